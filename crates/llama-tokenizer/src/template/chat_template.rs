//! The chat template itself.
//!
//! Owns [`ChatTemplate`]: source, special tokens and engine in, text out. Invariant: rendering ends, within [`MAX_INSTRUCTIONS`] and
//! [`MAX_BYTES`], whatever the template says. It deliberately keeps nothing between two conversations.

use minijinja::{Environment, ErrorKind, Value};

use super::config::TokenizerConfig;
use super::environment::{self, CappedWriter, MAX_INSTRUCTIONS, Refusal};
use super::{GenerationPrompt, Message, RenderOptions, SpecialTokens};
use crate::TokenizerError;

/// Bytes after which the output counts as runaway.
const MAX_BYTES: usize = 64 << 20;

/// Renders conversations for one model.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    special_tokens: SpecialTokens,
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// A template from its source, for example from the key `tokenizer.chat_template` of a GGUF file.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::TemplateSyntax`] when it is not valid Jinja.
    pub fn new(source: &str, special_tokens: SpecialTokens) -> Result<Self, TokenizerError> {
        let environment = environment::build();
        let source = environment::open_generation_blocks(source);
        environment.template_from_str(&source).map_err(|source| TokenizerError::TemplateSyntax { source })?;
        Ok(Self { source, special_tokens, environment })
    }

    /// The template that a model's tokenizer_config.json holds; the text of a chat_template.jinja beside it wins.
    ///
    /// Of several named templates `default` is taken. (transformers switches to `tool_use` when tools are given; pass that source to
    /// [`ChatTemplate::new`] for the same effect.)
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Config`] for an invalid file, [`TokenizerError::NoTemplate`] when there is none, and as [`ChatTemplate::new`].
    pub fn from_config(config: &str, jinja: Option<&str>) -> Result<Self, TokenizerError> {
        let config = TokenizerConfig::from_json(config)?;
        let special_tokens = config.special_tokens();
        match jinja {
            Some(source) => Self::new(source, special_tokens),
            None => Self::new(&config.default_template()?, special_tokens),
        }
    }

    /// ChatML, the most common form: `<|im_start|>role`, newline, content, `<|im_end|>`, newline.
    ///
    /// Never chosen by itself: a model that was trained on another form answers worse in this one, and nothing shows it.
    ///
    /// # Panics
    ///
    /// Never; the source is a constant that the tests parse.
    #[must_use]
    pub fn chatml() -> Self {
        const SOURCE: &str = "{% for message in messages %}\
            {{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '<|im_end|>\\n' }}\
            {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
        Self::new(SOURCE, SpecialTokens::default()).expect("the constant parses, which a test checks")
    }

    /// The template's source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of a conversation.
    ///
    /// Tokenize it with [`AddSpecial::No`](crate::AddSpecial::No) and [`ParseSpecial::Yes`](crate::ParseSpecial::Yes): templates write
    /// their special tokens themselves. Text of users that spells a special token becomes one, as in transformers.
    ///
    /// # Errors
    ///
    /// When the template refuses the conversation, fails, or does not end; each has its own variant.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<String, TokenizerError> {
        let context = self.context(messages, options)?;
        let mut environment = self.environment.clone();
        if let Some(now) = options.now {
            environment
                .add_function("strftime_now", move |format: String| environment::strftime(now, &format));
        }
        let template = environment
            .template_from_str(&self.source)
            .map_err(|source| TokenizerError::TemplateSyntax { source })?;
        let mut output = CappedWriter::new(MAX_BYTES);
        let rendered = template.render_captured_to(context, &mut output).map(drop);
        if output.is_over() {
            return Err(TokenizerError::TemplateTooLong { max_bytes: MAX_BYTES });
        }
        rendered.map_err(explain)?;
        Ok(output.into_text())
    }

    /// All variables, with the precedence that transformers gives them.
    fn context(&self, messages: &[Message], options: &RenderOptions) -> Result<Value, TokenizerError> {
        const RESERVED: [&str; 2] = ["messages", "add_generation_prompt"];
        if let Some(name) = RESERVED.into_iter().find(|&name| options.extra.contains_key(name)) {
            return Err(TokenizerError::ReservedVariable { name: name.to_owned() });
        }
        let add_generation_prompt = options.generation_prompt == GenerationPrompt::Add;
        let own = [
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("messages", Value::from_serialize(messages)),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ];
        let special =
            self.special_tokens.variables().map(|(name, text)| (name.to_owned(), Value::from(text)));
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let extra = options.extra.iter().map(|(name, value)| (name.clone(), Value::from_serialize(value)));
        Ok(own.chain(special).chain(extra).collect())
    }
}

/// Finds the cause that we know under an error of the engine.
fn explain(error: minijinja::Error) -> TokenizerError {
    if error.kind() == ErrorKind::OutOfFuel {
        return TokenizerError::TemplateEndless { max_instructions: MAX_INSTRUCTIONS };
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        match current.downcast_ref::<Refusal>() {
            Some(Refusal::Raised(message)) => {
                return TokenizerError::TemplateRefused { message: message.clone() };
            }
            Some(Refusal::NeedsDate) => return TokenizerError::TemplateNeedsDate,
            None => cause = current.source(),
        }
    }
    TokenizerError::TemplateRender { source: error }
}
