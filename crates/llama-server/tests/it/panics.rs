//! An engine that panics costs its requests an error, and the server nothing.

use llama_engine::{
    EmbedRequest, Embeddings, EngineError, EngineInfo, GenerateRequest, LlamaEngine, PinnedContext, Prompt,
    TokenStream,
};
use llama_runtime::{CandleEngine, EngineOptions};
use llama_server::ServerConfig;
use serde_json::json;

use crate::support::Running;

/// Panics where texts become tokens, and fails with something from inside where texts are embedded.
#[derive(Clone)]
struct Broken(CandleEngine);

impl LlamaEngine for Broken {
    fn info(&self) -> &EngineInfo {
        self.0.info()
    }

    async fn generate(&self, request: GenerateRequest) -> Result<TokenStream, EngineError> {
        self.0.generate(request).await
    }

    async fn embed(&self, _: EmbedRequest) -> Result<Embeddings, EngineError> {
        Err(EngineError::Model("the secret at /home/me".into()))
    }

    async fn pin(&self, prompt: Prompt) -> Result<PinnedContext, EngineError> {
        self.0.pin(prompt).await
    }

    async fn tokenize(&self, _: &str) -> Result<Vec<u32>, EngineError> {
        panic!("the secret at /home/me")
    }

    async fn detokenize(&self, tokens: &[u32]) -> Result<String, EngineError> {
        self.0.detokenize(tokens).await
    }
}

#[test]
fn panics_and_failures_say_nothing_from_inside() {
    let server = Running::over(ServerConfig::default(), EngineOptions::default(), Broken);
    for (path, body) in [("/tokenize", json!({"text": "a"})), ("/v1/embeddings", json!({"input": "a"}))] {
        let answer = server.post(path, &body);
        let error = answer.check_error(500, "internal");
        assert_eq!(error["type"], "server_error");
        assert!(!answer.body.contains("secret"), "{answer:?}");
    }
    server.ok("/v1/completions", &json!({"prompt": [3, 4], "max_tokens": 2}));
    server.check_idle(0);
}
