//! Goldens: what Jinja2, set up as transformers does, prints for real templates and conversations. Then refusals and hostile templates.

mod support;

use std::collections::BTreeMap;

use llama_tokenizer::{
    ChatTemplate, GenerationPrompt, LocalTime, Message, RenderOptions, SpecialTokens, TokenizerError,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use support::read;

#[derive(Deserialize)]
struct Goldens {
    now: i64,
    special: BTreeMap<String, String>,
    conversations: BTreeMap<String, Conversation>,
    templates: Vec<GoldenTemplate>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Message>,
    options: Map<String, Value>,
}

#[derive(Deserialize)]
struct GoldenTemplate {
    name: String,
    source: String,
    runs: BTreeMap<String, Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    text: Option<String>,
    error: Option<String>,
}

impl Goldens {
    fn read() -> Self {
        serde_json::from_str(&read("templates.json")).expect("make_templates.py wrote it")
    }

    fn special_tokens(&self) -> SpecialTokens {
        let text = |name| self.special.get(name).cloned();
        SpecialTokens { bos: text("bos_token"), eos: text("eos_token"), unk: None, pad: None }
    }

    fn options(&self, conversation: &Conversation) -> RenderOptions {
        let mut extra = conversation.options.clone();
        let generation_prompt = match extra.remove("add_generation_prompt") {
            Some(Value::Bool(true)) => GenerationPrompt::Add,
            _ => GenerationPrompt::Omit,
        };
        RenderOptions { generation_prompt, now: Some(LocalTime::from_unix_seconds(self.now)), extra }
    }
}

#[test]
fn renders_as_jinja2_does() {
    let goldens = Goldens::read();
    let mut num_texts = 0;
    for template in &goldens.templates {
        let chat = ChatTemplate::new(&template.source, goldens.special_tokens()).expect("a valid template");
        for (key, outcome) in &template.runs {
            let conversation = &goldens.conversations[key];
            let found = chat.render(&conversation.messages, &goldens.options(conversation));
            let case = format!("{} / {key}", template.name);
            match (&outcome.text, &outcome.error, found) {
                (Some(expected), _, found) => assert_eq!(found.expect(&case), *expected, "{case}"),
                (None, Some(expected), Err(TokenizerError::TemplateRefused { message })) => {
                    assert_eq!(message, *expected, "{case}");
                }
                (None, None, Err(_)) => {}
                (None, expected, found) => panic!("{case}: expected {expected:?}, found {found:?}"),
            }
            num_texts += usize::from(outcome.text.is_some());
        }
    }
    assert_eq!(goldens.templates.len(), 5);
    assert!(num_texts >= 25, "only {num_texts} texts");
}

fn render(source: &str) -> Result<String, TokenizerError> {
    let template = ChatTemplate::new(source, SpecialTokens::default())?;
    template.render(&[Message::user("hi")], &RenderOptions::new(GenerationPrompt::Omit))
}

fn check(source: &str, expected: &str) {
    assert_eq!(render(source).expect("renders"), expected, "{source}");
}

#[test]
fn small_things_that_templates_rely_on() {
    check("{{ messages[0].nope }}|{{ nope }}|{% for x in nope %}{% endfor %}", "||");
    check("a\n{% if true %}\nb\n{% endif %}\n", "a\nb\n");
    check("  {% set x = 1 %}\n{{ x }}\n", "1");
    check("{{ tools is none }} {{ add_generation_prompt }} {{ bos_token is defined }}", "True False False");
    check("{{ '<' | string }}{{ [true] | string }}", "<[True]");
    check(
        "{{ none is iterable }} {{ nope is iterable }} {{ 'a' is iterable }} {{ 1 is iterable }}",
        "False True True False",
    );
    check("{{ 'a' is sequence }} {{ messages[0] is sequence }} {{ none is sequence }}", "True True False");
    check("{{ true is number }} {{ 1.5 is number }} {{ '1' is number }}", "True True False");
    check("{{ messages | tojson }}", r#"[{"role": "user", "content": "hi"}]"#);
    assert!(matches!(render("{{ nope.more }}"), Err(TokenizerError::TemplateRender { .. })));
    assert!(matches!(render("{% if %}"), Err(TokenizerError::TemplateSyntax { .. })));
}

#[test]
fn the_date_is_given_or_an_error() {
    let source = "{{ strftime_now('%d %b %Y') }}";
    assert!(matches!(render(source), Err(TokenizerError::TemplateNeedsDate)));
    let template = ChatTemplate::new(source, SpecialTokens::default()).expect("valid");
    let mut options = RenderOptions::new(GenerationPrompt::Omit);
    options.now = Some(LocalTime::from_unix_seconds(1_721_952_000));
    assert_eq!(template.render(&[], &options).expect("renders"), "26 Jul 2024");
}

#[test]
fn refusals_carry_the_templates_words() {
    let error = render("{{ raise_exception('no ' + messages[0].role) }}").expect_err("refuses");
    assert!(
        matches!(&error, TokenizerError::TemplateRefused { message } if message == "no user"),
        "{error:?}"
    );
    let inside =
        "{% macro m() %}{% for x in [1] %}{{ raise_exception('deep') }}{% endfor %}{% endmacro %}{{ m() }}";
    assert!(matches!(render(inside), Err(TokenizerError::TemplateRefused { message }) if message == "deep"));
}

#[test]
fn reserved_variables_are_not_replaced() {
    let mut options = RenderOptions::new(GenerationPrompt::Omit);
    options.extra.insert("messages".to_owned(), json!([]));
    let error = ChatTemplate::chatml().render(&[], &options).expect_err("refuses");
    assert!(matches!(error, TokenizerError::ReservedVariable { name } if name == "messages"));
}

#[test]
fn hostile_templates_end() {
    let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    assert!(matches!(render(nested), Err(TokenizerError::TemplateEndless { max_instructions: 10_000_000 })));
    let long = "{% set s = 'x' * 1000000 %}{% for a in range(1000) %}{{ s }}{% endfor %}";
    assert!(matches!(render(long), Err(TokenizerError::TemplateTooLong { max_bytes: 67_108_864 })));
    for source in [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        "{% for x in range(1000000000) %}{% endfor %}".to_owned(),
        "{{ 'x' * 100000000000 }}".to_owned(),
        "{% include 'other' %}".to_owned(),
        format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{}{}", "{% if true %}".repeat(10_000), "{% endif %}".repeat(10_000)),
    ] {
        assert!(render(&source).is_err(), "{}", &source[..40]);
    }
}

#[test]
fn chatml_and_its_shape() {
    let options = RenderOptions::new(GenerationPrompt::Add);
    let messages = [Message::system("Be kind."), Message::user("Hi")];
    let expected =
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(ChatTemplate::chatml().render(&messages, &options).expect("renders"), expected);
    let silent = Message { role: "assistant".to_owned(), content: None, extra: Map::new() };
    let options = RenderOptions::new(GenerationPrompt::Omit);
    assert_eq!(
        ChatTemplate::chatml().render(&[silent], &options).expect("renders"),
        "<|im_start|>assistant\n<|im_end|>\n"
    );
}

fn from_config(config: &Value, jinja: Option<&str>) -> Result<String, TokenizerError> {
    ChatTemplate::from_config(&config.to_string(), jinja)?
        .render(&[], &RenderOptions::new(GenerationPrompt::Omit))
}

#[test]
fn config_forms() {
    let source = "{{ bos_token }}{{ eos_token }}";
    let one = json!({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "chat_template": source});
    assert_eq!(from_config(&one, None).expect("renders"), "<s></s>");
    assert_eq!(from_config(&one, Some("file wins {{ eos_token }}")).expect("renders"), "file wins </s>");
    let templates = [("rag", "no"), ("default", "yes")]
        .map(|(name, template)| json!({"name": name, "template": template}));
    assert_eq!(from_config(&json!({ "chat_template": templates }), None).expect("renders"), "yes");
    let error = from_config(&json!({ "chat_template": templates[..1] }), None).expect_err("no default");
    assert!(matches!(error, TokenizerError::NoTemplate { names } if names == ["rag"]));
    let error = from_config(&json!({"bos_token": null}), None).expect_err("no template");
    assert!(matches!(error, TokenizerError::NoTemplate { names } if names.is_empty()));
    assert!(matches!(from_config(&json!({"bos_token": 1}), None), Err(TokenizerError::Config { .. })));
}

#[test]
fn messages_keep_their_extra_fields_in_order() {
    let text = r#"{"role":"tool","content":"sun","z":1,"a":{"y":2,"b":3}}"#;
    let message: Message = serde_json::from_str(text).expect("a message");
    assert_eq!(serde_json::to_string(&message).expect("writes"), text);
    let built = Message::new("tool", "sun").with("z", json!(1)).with("a", json!({"y": 2, "b": 3}));
    assert_eq!(message, built);
}
