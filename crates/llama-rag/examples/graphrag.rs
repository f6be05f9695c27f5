//! graphrag-core on a model in this process: its boxed embedder fills its vector store, its boxed language model answers.
//! `cargo run -p llama-rag --features graphrag --example graphrag "By any other name, a rose"`

use std::{collections::HashMap, sync::Arc};

use futures::StreamExt;
use graphrag_core::{
    core::traits::{BoxedAsyncEmbedder, BoxedAsyncLanguageModel},
    generation::PromptTemplate,
    vector::{memory_store::MemoryVectorStore, store::VectorStore},
};
use llama_engine::{EmbedRequest, GenerateRequest};
use llama_rag::adapters::{
    PromptForm,
    graphrag::{EngineEmbedder, EngineLanguageModel},
};
use llama_runtime::{CandleEngine, EngineOptions};

const LINES: [&str; 3] = [
    "JULIET.\nWhat's in a name? That which we call a rose,\nBy any other name would smell as sweet;",
    "HAMLET.\nTo be, or not to be, that is the question:",
    "RICHARD.\nA horse! A horse! My kingdom for a horse!",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "By any other name, a rose".to_owned());
    futures::executor::block_on(ask(&question))
}

async fn ask(question: &str) -> Result<(), Box<dyn std::error::Error>> {
    let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
    let engine = Arc::new(CandleEngine::load(bard, EngineOptions::default()).await?);
    let embedder: BoxedAsyncEmbedder =
        Box::new(EngineEmbedder::new(engine.clone(), EmbedRequest::default())?);
    // bard has no chat template; models that do take PromptForm::Chat.
    let options = GenerateRequest::new("").with_max_tokens(48);
    let model: BoxedAsyncLanguageModel =
        Box::new(EngineLanguageModel::new(engine, PromptForm::Text, options));

    let store = MemoryVectorStore::new();
    let vectors = embedder.embed_batch(&LINES).await?;
    let entries = LINES.into_iter().zip(vectors).map(|(text, vector)| (text, vector, HashMap::new()));
    store.add_vectors_batch(entries.collect()).await?;
    let found = store.search(&embedder.embed(question).await?, 1).await?.remove(0);
    println!("{:.3} {}\n", found.score, found.id);

    let values =
        HashMap::from([("context".to_owned(), found.id), ("question".to_owned(), question.to_owned())]);
    let prompt = PromptTemplate::new("{context}\n\n{question}\n".to_owned()).fill(&values)?;
    let mut answer = model.complete_streaming(&prompt).await?;
    while let Some(text) = answer.next().await {
        print!("{}", text?);
    }
    println!("\n\n{:?}", model.get_usage_stats().await?);
    Ok(())
}
