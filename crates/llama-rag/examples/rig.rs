//! rig on a model in this process: documents into rig's vector store, the nearest one into a request of rig's, the answer as it comes.
//! `cargo run -p llama-rag --features rig --example rig "What is in a name?"`

use std::sync::Arc;

use futures::StreamExt;
use llama_engine::{EmbedRequest, GenerateRequest};
use llama_rag::adapters::{
    PromptForm,
    rig::{completion_model, embedding_model},
};
use llama_runtime::{CandleEngine, EngineOptions};
use rig_core::{
    completion::{CompletionRequest, Document},
    prelude::*,
    streaming::{Item, StreamEvent},
};

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
    let embedder = embedding_model(engine.clone(), EmbedRequest::default())?.erase();
    let documents =
        EmbeddingsBuilder::new(embedder.clone()).documents(LINES.map(str::to_owned))?.build().await?;
    let index = InMemoryVectorStore::from_documents(documents).index(embedder);
    let nearest =
        index.top_n::<String>(VectorSearchRequest::builder().query(question).samples(1).build()).await?;

    // bard has no chat template; models that do take PromptForm::Chat.
    let options = GenerateRequest::new("").with_max_tokens(48);
    let model = completion_model(engine, PromptForm::Text, options);
    let mut request = CompletionRequest::new(format!("{question}\n"));
    for found in nearest {
        println!("{:.3} {}: {}\n", found.score, found.id, found.document);
        request = request.document(Document {
            id: found.id,
            text: found.document,
            additional_props: Default::default(),
        });
    }
    let mut answer = model.stream(request)?;
    while let Some(item) = answer.next().await {
        if let Item::Event(StreamEvent::Text { text, .. }) = item? {
            print!("{text}");
        }
    }
    println!("\n\n{:?}", answer.finish().await?.usage);
    Ok(())
}
