//! The OpenAI dialect: what is sent, what is read, and what is refused.

use llama_engine::{
    Dimensions, EmbedRequest, EngineError, Event, FinishReason, GenerateRequest, Grammar, LlamaEngine,
    Message, Normalization, Prompt, Sampling, TokenLogprob, UNKNOWN_TOKEN,
};
use llama_remote::{ConnectError, Dialect, RemoteEngine, RemoteError};

use crate::script::{Asked, ScriptedServer, Step, end, events_head, json, part};

/// A list of models as llama.cpp gives it.
pub(crate) const MODELS: &str = r#"{"object": "list", "data": [{"id": "tiny", "meta":
    {"n_vocab": 100, "n_ctx": 64, "n_ctx_train": 128, "n_embd": 2}}]}"#;

/// The events of a whole answer: "To be".
pub(crate) fn whole_answer() -> Vec<Step> {
    vec![
        events_head(),
        part(
            ": hello\n\ndata: {\"choices\": [{\"text\": \"To\", \"index\": 0, \"finish_reason\": null}]}\n\n",
        ),
        part("data: {\"choices\": [{\"text\": \" be\", \"index\": 0, \"finish_reason\": null}]}\r\n\r\n"),
        part("data: {\"choices\": [{\"text\": \"\", \"index\": 0, \"finish_reason\": \"length\"}]}\n\n"),
        part(
            "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 2}}\n\ndata: [DONE]\n\n",
        ),
        end(),
    ]
}

/// A server that has the model, and answers everything else by the plan.
pub(crate) async fn server(
    plan: impl Fn(&Asked, usize) -> Vec<Step> + Send + Sync + 'static,
) -> ScriptedServer {
    ScriptedServer::start(move |asked, number| match asked.line.as_str() {
        "GET /v1/models" => json("200 OK", MODELS),
        "GET /health" => json("200 OK", "{}"),
        _ => plan(asked, number),
    })
    .await
}

pub(crate) fn request() -> GenerateRequest {
    GenerateRequest::new("HAMLET.").with_max_tokens(2)
}

#[tokio::test]
async fn an_answer_comes_in_parts_and_the_connection_is_used_again() {
    let server = server(|_, _| whole_answer()).await;
    let engine = RemoteEngine::connect(&server.url).await.unwrap();
    assert_eq!(
        (engine.dialect(), engine.info().context_len, engine.info().vocab_size),
        (Dialect::OpenAi, 64, 100)
    );
    for _ in 0..3 {
        let answer = engine.generate(request()).await.unwrap().collect().await.unwrap();
        assert_eq!((answer.text.as_str(), answer.tokens), ("To be", vec![UNKNOWN_TOKEN; 2]));
        assert_eq!(answer.finished.reason, FinishReason::MaxTokens);
        let usage = answer.finished.usage;
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (3, 2));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let asked = server.asked();
    assert_eq!(asked.last().unwrap().line, "POST /v1/completions");
    let body: serde_json::Value = serde_json::from_str(&asked.last().unwrap().body).unwrap();
    assert_eq!(
        (&body["prompt"], &body["model"], &body["stream"]),
        (&"HAMLET.".into(), &"tiny".into(), &true.into())
    );
    assert_eq!(server.num_connections(), 1, "one connection for all");
}

#[tokio::test]
async fn log_probabilities_name_their_tokens_or_are_refused() {
    let entry = "{\"id\": 7, \"logprob\": -0.5, \"top_logprobs\": [{\"id\": 7, \"logprob\": -0.5}, {\"id\": 8, \"logprob\": -1.5}]}";
    for (entry, has_ids) in [(entry.to_owned(), true), (entry.replace("\"id\"", "\"token\""), false)] {
        let server = server(move |_, _| {
            let chunk = format!("{{\"choices\": [{{\"delta\": {{\"content\": \"x\"}}, \"logprobs\": {{\"content\": [{entry}]}}, \"finish_reason\": \"stop\"}}]}}");
            vec![events_head(), part(&format!("data: {chunk}\n\n")), end()]
        })
        .await;
        let engine = RemoteEngine::connect(&server.url).await.unwrap();
        let chat = GenerateRequest::new([Message::user("hello")]).with_logprobs(2);
        let mut stream = engine.generate(chat).await.unwrap();
        let event = stream.next_event().await;
        if !has_ids {
            assert!(matches!(event, Err(EngineError::Unsupported { .. })), "{event:?}");
            continue;
        }
        let Ok(Some(Event::Token(token))) = event else { panic!("{event:?}") };
        let logprob = |id, logprob| TokenLogprob { id, logprob };
        assert_eq!(token.logprobs, Some(vec![logprob(7, -0.5), logprob(7, -0.5), logprob(8, -1.5)]));
        assert_eq!((token.id, token.text.as_str()), (7, "x"));
        let finished = stream.collect().await.unwrap().finished;
        assert_eq!(
            (finished.reason, finished.usage.completion_tokens),
            (FinishReason::EndOfText, 1),
            "counted here"
        );
    }
}

#[tokio::test]
async fn what_the_standard_cannot_carry_is_refused_and_named() {
    let server = server(|_, _| whole_answer()).await;
    let engine = RemoteEngine::connect(&server.url).await.unwrap();
    let top_k = request().with_sampling(Sampling { top_k: Some(3), ..Sampling::default() });
    let grammar = request().with_grammar(Grammar::Regex("a".to_owned()));
    for (request, expected) in [
        (top_k, "sampling.top_k"),
        (grammar, "grammar"),
        (GenerateRequest::new("endless"), "max_tokens"),
        (request().with_prompt_logprobs(1), "logprobs.prompt"),
    ] {
        match engine.generate(request).await {
            Err(EngineError::Unsupported { what }) => assert!(what.contains(expected), "{what}"),
            other => panic!("{other:?} instead of a refusal of {expected}"),
        }
    }
    let pinned = engine.pin(Prompt::from("x")).await;
    assert!(matches!(pinned, Err(EngineError::Unsupported { .. })), "{pinned:?}");
    let raw = EmbedRequest { normalization: Normalization::None, ..EmbedRequest::new(["x"]) };
    assert!(matches!(engine.embed(raw).await, Err(EngineError::Unsupported { .. })));
    assert_eq!(server.num_asked("/v1/completions"), 0, "nothing of it was sent");
}

#[tokio::test]
async fn embeddings_are_asked_in_batches_and_cut_here() {
    let server = server(|asked, _| {
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        let texts = body["input"].as_array().unwrap();
        // Backwards, since the order is what the index says.
        let data = texts.iter().enumerate().rev().map(|(index, text)| {
            let number: f32 = text.as_str().unwrap().trim_start_matches("no. ").parse().unwrap();
            serde_json::json!({"index": index, "embedding": [number + 1.0, 0.0]})
        });
        let data: Vec<_> = data.collect();
        let usage = serde_json::json!({"prompt_tokens": texts.len()});
        json("200 OK", &serde_json::json!({"data": data, "usage": usage}).to_string())
    })
    .await;
    let engine = RemoteEngine::connect(&server.url).await.unwrap();
    let texts: Vec<String> = (0..600).map(|i| i.to_string()).collect();
    let request = EmbedRequest { instruction: Some("no. ".to_owned()), ..EmbedRequest::new(texts) };
    let embedded = engine.embed(request.clone()).await.unwrap();
    assert_eq!((embedded.vectors.len(), embedded.usage.prompt_tokens), (600, 600));
    assert!(embedded.vectors.iter().all(|vector| *vector == [1.0, 0.0]), "normalised");
    let cut = EmbedRequest { dimensions: Some(Dimensions::Untrained(1)), ..request.clone() };
    assert_eq!(engine.embed(cut).await.unwrap().vectors[599], [1.0]);
    let beyond = EmbedRequest { dimensions: Some(Dimensions::Untrained(3)), ..request };
    assert!(matches!(
        engine.embed(beyond).await,
        Err(EngineError::InvalidRequest { field: "dimensions", .. })
    ));
    assert_eq!(server.num_asked("/v1/embeddings"), 6);
}

#[tokio::test]
async fn servers_errors_become_the_engines() {
    let refuse = async |status: &'static str, body: &'static str| {
        let server = server(move |_, _| json(status, body)).await;
        let engine = RemoteEngine::connect(&server.url).await.unwrap();
        engine.generate(request()).await.expect_err("it was refused")
    };
    let bad = refuse("400 Bad Request", r#"{"error": {"message": "too hot", "param": "temperature"}}"#).await;
    assert!(
        matches!(&bad, EngineError::InvalidRequest { field: "temperature", reason } if reason == "too hot"),
        "{bad:?}"
    );
    let long = refuse(
        "400 Bad Request",
        r#"{"error": {"code": 400, "message": "long", "type": "exceed_context_size_error", "n_prompt_tokens": 70, "n_ctx": 64}}"#,
    )
    .await;
    assert!(matches!(long, EngineError::ContextTooLong { needed: 71, context_len: 64 }), "{long:?}");
    let absent = refuse("404 Not Found", "nothing here").await;
    assert!(matches!(absent, EngineError::Unsupported { .. }), "{absent:?}");
    for (status, body) in [
        ("401 Unauthorized", r#"{"error": {"message": "no such key"}}"#),
        ("500 Internal Server Error", "<html>"),
        ("502 Bad Gateway", ""),
    ] {
        let error = refuse(status, body).await;
        assert!(matches!(error, EngineError::Connection(_)), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn connecting_says_what_does_not_fit() {
    let error = async |url: &str| RemoteEngine::connect(url).await.expect_err("it cannot be connected to");
    for url in ["", "localhost:80", "ftp://x", "http://me:secret@x", "http://x/?a=b"] {
        assert!(matches!(error(url).await, ConnectError::InvalidUrl { .. }), "{url}");
    }
    if cfg!(not(feature = "tls")) {
        assert!(matches!(error("https://x").await, ConnectError::InvalidUrl { .. }));
    }
    let nobody = error("http://127.0.0.1:1").await;
    let is_unreachable =
        matches!(&nobody, ConnectError::Unreachable { source: RemoteError::Unreachable { .. }, .. });
    assert!(is_unreachable, "{nobody:?}");
    assert!(matches!(RemoteEngine::builder().connect().await, Err(ConnectError::NoEndpoint)));
    let first = server(|_, _| Vec::new()).await;
    let other = ScriptedServer::start(|_, _| json("200 OK", &MODELS.replace("64", "63"))).await;
    let bare = ScriptedServer::start(|_, _| json("200 OK", r#"{"data": [{"id": "tiny"}]}"#)).await;
    let unknown =
        RemoteEngine::builder().endpoint(format!("{}/v1/", first.url)).model("large").connect().await;
    assert!(matches!(unknown, Err(ConnectError::UnknownModel { available, .. }) if available == ["tiny"]));
    let both = RemoteEngine::builder().endpoint(&first.url).endpoint(&other.url).connect().await;
    assert!(matches!(both, Err(ConnectError::EndpointsDiffer { .. })));
    assert!(matches!(error(&bare.url).await, ConnectError::MissingInfo { .. }));
    let info = RemoteEngine::connect(&first.url).await.unwrap().info().clone();
    let said = RemoteEngine::builder().endpoint(&bare.url).info(info.clone()).connect().await.unwrap();
    assert_eq!(*said.info(), info);
}
