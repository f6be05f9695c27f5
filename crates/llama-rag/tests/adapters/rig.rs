//! rig's models.

use std::error::Error;

use futures::{StreamExt, executor::block_on};
use llama_engine::{EmbedRequest, EngineError, GenerateRequest, LlamaEngine, Sampling};
use llama_rag::adapters::{
    PromptForm,
    rig::{Refusal, completion_model, embedding_model},
};
use rig_core::{
    ProviderError,
    completion::{CompletionRequest, Effort, FinishReason, ToolDefinition},
    message::{ToolChoice, ToolName, ToolResultContent},
    prelude::*,
    streaming::{Item, StreamEvent},
};
use serde_json::json;

use crate::{bard, chatting_bard};

const TEXTS: [&str; 3] = ["What's in a name?", "A horse! A horse!", "To be, or not to be"];

fn options() -> GenerateRequest {
    GenerateRequest::new("").with_max_tokens(12)
}

fn look() -> ToolDefinition {
    let parameters = json!({ "type": "object", "properties": { "at": { "enum": ["sky", "sea"] } }, "required": ["at"], "additionalProperties": false });
    ToolDefinition::new(ToolName::new("look").expect("a name"), "Looks somewhere.", parameters)
}

#[test]
fn embeddings_are_the_engines_own_and_searched_by_rigs_store() {
    block_on(async {
        let engine = bard().await;
        let own = engine.embed(EmbedRequest::new(TEXTS)).await.unwrap();
        let model = embedding_model(engine.clone(), EmbedRequest::default()).unwrap();
        assert_eq!(model.capabilities().ndims, own.vectors[0].len());
        let response = model.call(TEXTS.map(str::to_owned).to_vec()).await.unwrap();
        for (embedding, (text, vector)) in response.embeddings.iter().zip(TEXTS.iter().zip(&own.vectors)) {
            assert_eq!(embedding.document, *text);
            assert_eq!(embedding.vec, vector.iter().copied().map(f64::from).collect::<Vec<_>>());
        }
        assert_eq!(response.usage.input_tokens, Some(own.usage.prompt_tokens as u64));

        let model = model.erase();
        let documents = EmbeddingsBuilder::new(model.clone()).documents(TEXTS.map(str::to_owned)).unwrap();
        let index = InMemoryVectorStore::from_documents(documents.build().await.unwrap()).index(model);
        let search = VectorSearchRequest::builder().query(TEXTS[1]).samples(2).build();
        let found = index.top_n::<String>(search).await.unwrap();
        assert_eq!(found[0].document, TEXTS[1]);
        assert!(found[0].score > 0.9999 && found[1].score < found[0].score, "{found:?}");
    });
}

#[test]
fn answers_are_the_engines_own_streamed_and_whole() {
    block_on(async {
        let engine = bard().await;
        let sampling = Sampling { temperature: 0.9, top_p: Some(0.8), seed: Some(5), ..Sampling::default() };
        let own =
            GenerateRequest::new("HAMLET.\n").with_sampling(sampling).with_max_tokens(20).with_stop("ZZZ");
        let own = engine.generate(own).await.unwrap().collect().await.unwrap();
        let model = completion_model(engine, PromptForm::Text, options());
        let request = CompletionRequest::new("HAMLET.\n")
            .temperature(0.9)
            .max_tokens(20)
            .top_p(0.8)
            .seed(5)
            .stop(["ZZZ"]);

        let whole = model.call(request.clone()).await.unwrap();
        assert_eq!(whole.text(), own.text);
        assert_eq!(whole.finish_reason(), Some(FinishReason::Length));
        assert_eq!(whole.usage.output_tokens, Some(20));
        assert_eq!(whole.usage.input_tokens, Some(own.finished.usage.prompt_tokens as u64));
        assert_eq!(whole.raw["text"], own.text);

        let (mut stream, mut pieces) = (model.stream(request).unwrap(), Vec::new());
        while let Some(item) = stream.next().await {
            if let Item::Event(StreamEvent::Text { text, .. }) = item.unwrap() {
                pieces.push(text);
            }
        }
        assert!(pieces.len() > 1, "{pieces:?}");
        assert_eq!(pieces.concat(), own.text);
        assert_eq!(stream.finish().await.unwrap().text(), own.text);
    });
}

#[test]
fn output_schemas_hold_the_answer() {
    block_on(async {
        let model = completion_model(bard().await, PromptForm::Text, GenerateRequest::new(""));
        let mut request = CompletionRequest::new("HAMLET.\n");
        request.output_schema = Some(json!({ "enum": ["to be", "not to be"] }).try_into().unwrap());
        let response = model.call(request).await.unwrap();
        assert!(["\"to be\"", "\"not to be\""].contains(&response.text().as_str()), "{}", response.text());
        assert_eq!(response.finish_reason(), Some(FinishReason::Stop));
    });
}

#[test]
fn required_tools_are_called() {
    block_on(async {
        let engine = chatting_bard().await;
        let model = completion_model(engine, PromptForm::Chat, GenerateRequest::new(""));
        let mut request = CompletionRequest::new("Where?").tool(look());
        request.tool_choice = Some(ToolChoice::Required);
        let response = model.call(request.clone()).await.unwrap();
        let calls: Vec<_> = response.tool_calls().cloned().collect();
        let [call] = calls.as_slice() else { panic!("{response:?}") };
        assert_eq!(call.function.name, "look");
        assert!(["sky", "sea"].contains(&call.function.arguments["at"].as_str().unwrap()), "{call:?}");
        assert_eq!(response.finish_reason(), Some(FinishReason::ToolCalls));

        // The call and what the tool says to it are part of the conversation then.
        let first = response.usage.input_tokens;
        let result = call.result(vec![ToolResultContent::text("Stars.")]);
        request.chat_history.extend(response.message());
        request.chat_history.push(Message::tool_results(vec![result]));
        request.tool_choice = None;
        let response = model.call(request.max_tokens(8)).await.unwrap();
        assert!(response.usage.input_tokens > first, "{:?} after {first:?}", response.usage);
        assert!(response.usage.cached_input_tokens > Some(0), "{:?}", response.usage);
    });
}

/// The refusal of a request, typed.
async fn refusal(form: PromptForm, request: CompletionRequest) -> String {
    let model = completion_model(bard().await, form, options());
    let Err(error) = model.call(request).await else { panic!("it is answered") };
    let Some(refusal) = error.source().and_then(|source| source.downcast_ref::<Refusal>()) else {
        panic!("no refusal in {error:?}");
    };
    refusal.to_string()
}

#[test]
fn what_no_engine_has_is_refused_by_name() {
    block_on(async {
        let asked = || CompletionRequest::new("HAMLET.\n");
        let mut request = asked();
        request.additional_params = Some(json!({ "top_k": 4 }));
        assert_eq!(refusal(PromptForm::Text, request).await, "additional parameters are not read: top_k");
        let mut request = asked();
        request.model = Some("gpt".to_owned());
        assert_eq!(refusal(PromptForm::Text, request).await, "the model is bard, not gpt");
        let request = asked().tool(look());
        assert_eq!(refusal(PromptForm::Text, request).await, "tools without a chat template");
        let mut request = asked().tool(look());
        request.output_schema = Some(json!({ "type": "string" }).try_into().unwrap());
        assert_eq!(refusal(PromptForm::Chat, request).await, "an output schema together with tools");
        let mut request = asked().tool(look());
        request.tool_choice =
            Some(ToolChoice::Specific { function_names: vec![ToolName::new("hear").unwrap()] });
        assert_eq!(refusal(PromptForm::Chat, request).await, "the required tool hear is not defined");

        let model = completion_model(bard().await, PromptForm::Text, options());
        let refused = model.call(asked().reasoning(Effort::High)).await;
        assert!(
            matches!(&refused, Err(ProviderError::UnsupportedOption(option)) if option.option == "reasoning"),
            "{refused:?}"
        );
    });
}

#[test]
fn the_engines_errors_are_at_the_end_of_the_chain() {
    block_on(async {
        let model = completion_model(bard().await, PromptForm::Text, options());
        let Err(error) = model.call(CompletionRequest::new("To be ".repeat(2000))).await else {
            panic!("it fits")
        };
        let source = error.source().and_then(|source| source.downcast_ref::<EngineError>());
        assert!(matches!(source, Some(EngineError::ContextTooLong { context_len: 1024, .. })), "{error:?}");
        assert!(!error.is_retryable());
        let model = embedding_model(bard().await, EmbedRequest::default()).unwrap();
        let Err(error) = model.call(vec!["To be ".repeat(2000)]).await else { panic!("nothing is embedded") };
        assert!(error.source().is_some_and(|source| source.is::<EngineError>()), "{error:?}");
    });
}
