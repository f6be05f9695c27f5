//! graphrag-core's traits.

use std::sync::Arc;

use futures::{TryStreamExt, executor::block_on};
use graphrag_core::{
    DocumentId, GraphRAGError,
    async_graphrag::AsyncLanguageModelAdapter,
    core::traits::{AsyncEmbedder, AsyncLanguageModel, BoxedAsyncLanguageModel, GenerationParams},
    summarization::{DocumentTree, HierarchicalConfig},
};
use llama_engine::{Dimensions, EmbedRequest, GenerateRequest, LlamaEngine, Prompt, Sampling};
use llama_rag::adapters::{
    PromptForm,
    graphrag::{EngineEmbedder, EngineLanguageModel},
};

use crate::bard;

const PROMPTS: [&str; 3] = ["HAMLET.\n", "JULIET.\nWhat's in a name?", "KING.\n"];

fn options() -> GenerateRequest {
    GenerateRequest::new("").with_max_tokens(12)
}

async fn said<E: LlamaEngine>(engine: &E, request: GenerateRequest) -> String {
    engine.generate(request).await.expect("bard takes it").collect().await.expect("bard answers").text
}

#[test]
fn embeddings_are_the_engines_own() {
    block_on(async {
        let engine = bard().await;
        let own = engine.embed(EmbedRequest::new(PROMPTS)).await.unwrap().vectors;
        let embedder = EngineEmbedder::new(engine.clone(), EmbedRequest::default()).unwrap();
        assert_eq!(embedder.embed_batch(&PROMPTS).await.unwrap(), own);
        assert_eq!(embedder.embed_batch_concurrent(&PROMPTS, 2).await.unwrap(), own);
        assert_eq!(embedder.embed(PROMPTS[1]).await.unwrap(), own[1]);
        assert_eq!(embedder.dimension(), own[0].len());

        let cut = EmbedRequest { dimensions: Some(Dimensions::Untrained(16)), ..EmbedRequest::default() };
        let embedder = EngineEmbedder::new(engine.clone(), cut).unwrap();
        assert_eq!((embedder.dimension(), embedder.embed("rose").await.unwrap().len()), (16, 16));
        let refused = embedder.embed(&"To be ".repeat(2000)).await;
        assert!(matches!(&refused, Err(GraphRAGError::ResourceLimit { limit: 1024, .. })), "{refused:?}");

        let untrained = EmbedRequest { dimensions: Some(Dimensions::Trained(16)), ..EmbedRequest::default() };
        assert!(EngineEmbedder::new(engine, untrained).is_err());
    });
}

#[test]
fn answers_are_the_engines_own() {
    block_on(async {
        let engine = bard().await;
        let mut own = Vec::new();
        for prompt in PROMPTS {
            own.push(said(&*engine, GenerateRequest { prompt: Prompt::from(prompt), ..options() }).await);
        }
        let model = EngineLanguageModel::new(engine.clone(), PromptForm::Text, options());
        assert_eq!(model.complete(PROMPTS[0]).await.unwrap(), own[0]);
        assert_eq!(model.complete_batch(&PROMPTS).await.unwrap(), own);
        assert_eq!(model.complete_batch_concurrent(&PROMPTS, 2).await.unwrap(), own);
        let pieces: Vec<String> =
            model.complete_streaming(PROMPTS[1]).await.unwrap().try_collect().await.unwrap();
        assert!(pieces.len() > 1, "{pieces:?}");
        assert_eq!(pieces.concat(), own[1]);

        let stats = model.get_usage_stats().await.unwrap();
        assert_eq!((stats.total_requests, stats.error_rate), (8, 0.0));
        assert!(stats.total_tokens_processed > 8 * 12 && stats.average_response_time_ms > 0.0, "{stats:?}");
        let info = model.model_info().await;
        assert_eq!((info.name, info.max_context_length), (engine.info().model.clone(), Some(1024)));
        let num_tokens = engine.tokenize(PROMPTS[1]).await.unwrap().len();
        assert_eq!(model.estimate_tokens(PROMPTS[1]).await.unwrap(), num_tokens);
    });
}

#[test]
fn parameters_of_a_call_replace_the_models_options() {
    block_on(async {
        let engine = bard().await;
        let sampling = Sampling { temperature: 0.9, top_p: Some(0.8), seed: Some(5), ..Sampling::default() };
        let own = GenerateRequest::new(PROMPTS[0])
            .with_sampling(sampling.clone())
            .with_max_tokens(30)
            .with_stop("\n");
        let seeded = options().with_sampling(Sampling { seed: Some(5), ..Sampling::default() });
        let model = EngineLanguageModel::new(engine.clone(), PromptForm::Text, seeded);
        let params = GenerationParams {
            max_tokens: Some(30),
            temperature: Some(0.9),
            top_p: Some(0.8),
            stop_sequences: Some(vec!["\n".to_owned()]),
        };
        assert_eq!(model.complete_with_params(PROMPTS[0], params).await.unwrap(), said(&*engine, own).await);
    });
}

#[test]
fn failures_are_counted_and_typed() {
    block_on(async {
        let model = EngineLanguageModel::new(bard().await, PromptForm::Text, options());
        let refused = model.complete(&"To be ".repeat(2000)).await;
        assert!(matches!(refused, Err(GraphRAGError::ResourceLimit { limit: 1024, .. })), "{refused:?}");
        assert_eq!(model.get_usage_stats().await.unwrap().error_rate, 1.0);
        // bard has no chat template.
        let model = EngineLanguageModel::new(bard().await, PromptForm::Chat, options());
        assert!(model.complete("Who is there?").await.is_err());
    });
}

#[test]
fn its_summaries_are_written_by_the_model() {
    block_on(async {
        let model: BoxedAsyncLanguageModel =
            Box::new(EngineLanguageModel::new(bard().await, PromptForm::Text, options()));
        let model = Arc::new(model);
        let client = Arc::new(AsyncLanguageModelAdapter::new(model.clone()));
        let id = DocumentId::new("romeo".to_owned());
        let tree = DocumentTree::with_llm_client(id, HierarchicalConfig::default(), client).unwrap();
        let text = "What's in a name? That which we call a rose by any other name would smell as sweet.";
        let summary = tree.generate_llm_summary(text, 1, "a play").await.unwrap();
        assert!(!summary.is_empty());
        assert_eq!(model.get_usage_stats().await.unwrap().total_requests, 1);
    });
}
