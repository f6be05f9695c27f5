//! The crate `async-openai` against a live server: chat, streams, tools, schemas, embeddings, errors, cancellation.
//!
//! Arguments: URL KEY. Every check prints a line; the last line counts them. Needs a model with a chat template.

use std::time::Instant;

use anyhow::{Context, ensure};
use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionMessageToolCalls, ChatCompletionResponseStream, CreateChatCompletionRequest,
        CreateChatCompletionResponse, FinishReason,
    },
};
use futures::StreamExt;
use serde_json::{Value, json};

struct Suite {
    client: Client<OpenAIConfig>,
    url: String,
    model: String,
}

impl Suite {
    async fn connect(url: &str, key: &str) -> anyhow::Result<Self> {
        let client = client(url, key);
        let models = client.models().list().await?;
        let model = models.data.first().context("the server has no model")?.id.clone();
        Ok(Self { client, url: url.to_owned(), model })
    }

    /// A request in the crate's own types, with `more` in it.
    fn request(&self, more: Value) -> anyhow::Result<CreateChatCompletionRequest> {
        let mut request = json!({
            "model": self.model, "messages": [{"role": "user", "content": "Weather in Paris?"}],
            "temperature": 0.0, "max_completion_tokens": 24,
        });
        let fields = request.as_object_mut().context("an object")?;
        fields.extend(more.as_object().context("an object")?.clone());
        Ok(serde_json::from_value(request)?)
    }

    async fn chat(&self, more: Value) -> anyhow::Result<CreateChatCompletionResponse> {
        Ok(self.client.chat().create(self.request(more)?).await?)
    }

    async fn stream(&self, more: Value) -> anyhow::Result<ChatCompletionResponseStream> {
        Ok(self.client.chat().create_stream(self.request(more)?).await?)
    }

    async fn models_are_listed(&self) -> anyhow::Result<()> {
        ensure!(self.client.models().retrieve(&self.model).await?.id == self.model, "another model");
        Ok(())
    }

    async fn chat_answers_and_counts(&self) -> anyhow::Result<()> {
        let answer = self.chat(json!({})).await?;
        let usage = answer.usage.as_ref().context("no usage")?;
        ensure!(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "{usage:?}");
        ensure!(!text(&answer)?.trim().is_empty(), "{answer:?}");
        let cut = self.chat(json!({"max_completion_tokens": 2})).await?;
        ensure!(cut.choices[0].finish_reason == Some(FinishReason::Length), "{cut:?}");
        Ok(())
    }

    async fn a_stream_is_the_answer_in_parts(&self) -> anyhow::Result<()> {
        let mut stream = self.stream(json!({"stream_options": {"include_usage": true}})).await?;
        let (mut said, mut usage) = (String::new(), None);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            usage = chunk.usage.or(usage);
            said.extend(chunk.choices.into_iter().filter_map(|choice| choice.delta.content));
        }
        let whole = self.chat(json!({})).await?;
        ensure!(said == text(&whole)?, "{said:?}, not {whole:?}");
        let counted = |usage: Option<async_openai::types::chat::CompletionUsage>| {
            usage.map(|usage| usage.completion_tokens)
        };
        ensure!(counted(usage).is_some(), "no usage");
        Ok(())
    }

    async fn tools_are_called(&self) -> anyhow::Result<()> {
        let parameters = json!({
            "type": "object", "properties": {"unit": {"enum": ["celsius", "kelvin"]}},
            "required": ["unit"], "additionalProperties": false,
        });
        let forced = json!({
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": parameters}}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}}, "max_completion_tokens": 60,
        });
        let answer = self.chat(forced.clone()).await?;
        let calls = answer.choices[0].message.tool_calls.as_ref().context("no calls")?;
        let [ChatCompletionMessageToolCalls::Function(call)] = &calls[..] else {
            anyhow::bail!("{calls:?}")
        };
        let arguments: Value = serde_json::from_str(&call.function.arguments)?;
        ensure!(["celsius", "kelvin"].map(Value::from).contains(&arguments["unit"]), "{arguments}");
        let (mut stream, mut streamed) = (self.stream(forced).await?, String::new());
        while let Some(chunk) = stream.next().await {
            let parts = chunk?.choices.into_iter().filter_map(|choice| choice.delta.tool_calls).flatten();
            streamed.extend(parts.filter_map(|part| part.function?.arguments));
        }
        ensure!(streamed == call.function.arguments, "{streamed:?}");
        Ok(())
    }

    async fn a_schema_is_followed(&self) -> anyhow::Result<()> {
        let schema = json!({
            "type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}},
            "required": ["age"], "additionalProperties": false,
        });
        let format = json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}});
        let answer = self.chat(json!({"response_format": format})).await?;
        let found: Value = serde_json::from_str(&text(&answer)?)?;
        ensure!(found["age"].as_u64().is_some_and(|age| age < 100), "{found}");
        Ok(())
    }

    async fn logprobs_belong_to_the_tokens(&self) -> anyhow::Result<()> {
        let answer = self.chat(json!({"logprobs": true, "top_logprobs": 2})).await?;
        let logprobs = answer.choices[0].logprobs.as_ref().and_then(|logprobs| logprobs.content.as_ref());
        let logprobs = logprobs.context("no log-probabilities")?;
        let usage = answer.usage.as_ref().context("no usage")?;
        ensure!(logprobs.len() == usage.completion_tokens as usize, "{logprobs:?}");
        ensure!(logprobs.iter().all(|entry| entry.top_logprobs[0].logprob == entry.logprob), "{logprobs:?}");
        Ok(())
    }

    async fn embeddings_keep_their_order(&self) -> anyhow::Result<()> {
        let input = json!({"model": self.model, "input": ["the king", "a horse", "the king"]});
        let plain = self.client.embeddings().create(serde_json::from_value(input.clone())?).await?;
        let vectors: Vec<&[f32]> = plain.data.iter().map(|entry| &entry.embedding[..]).collect();
        ensure!(vectors.len() == 3 && vectors[0] == vectors[2] && vectors[0] != vectors[1], "mixed up");
        let mut packed = input;
        packed["encoding_format"] = "base64".into();
        let packed = self.client.embeddings().create_base64(serde_json::from_value(packed)?).await?;
        for (packed, plain) in packed.data.into_iter().zip(vectors) {
            ensure!(Vec::<f32>::from(packed.embedding) == plain, "two forms, two vectors");
        }
        Ok(())
    }

    async fn errors_are_typed(&self) -> anyhow::Result<()> {
        let refused = client(&self.url, "wrong").models().list().await;
        let Err(OpenAIError::ApiError(error)) = refused else { anyhow::bail!("{refused:?}") };
        ensure!(error.status_code.as_u16() == 401, "{error:?}");
        let refused = self.client.chat().create(self.request(json!({"temperature": -1.0}))?).await;
        let Err(OpenAIError::ApiError(error)) = refused else { anyhow::bail!("{refused:?}") };
        ensure!(error.api_error.param.as_deref() == Some("temperature"), "{error:?}");
        Ok(())
    }

    async fn a_client_that_leaves_does_no_harm(&self) -> anyhow::Result<()> {
        for _ in 0..4 {
            let mut stream = self.stream(json!({"max_completion_tokens": 1000})).await?;
            stream.next().await.context("no first part")??;
        }
        ensure!(!text(&self.chat(json!({})).await?)?.is_empty(), "nothing");
        Ok(())
    }
}

fn client(url: &str, key: &str) -> Client<OpenAIConfig> {
    Client::with_config(OpenAIConfig::new().with_api_base(format!("{url}/v1")).with_api_key(key))
}

fn text(answer: &CreateChatCompletionResponse) -> anyhow::Result<String> {
    answer.choices[0].message.content.clone().context("no text")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (url, key) = (arguments.next().context("URL KEY")?, arguments.next().context("URL KEY")?);
    let suite = Suite::connect(&url, &key).await?;
    let (mut num_passed, mut num_failed) = (0, 0);
    macro_rules! check {
        ($($name:ident),* $(,)?) => {$(
            let start = Instant::now();
            match suite.$name().await {
                Ok(()) => {
                    num_passed += 1;
                    println!("ok {} ({:.2} s)", stringify!($name), start.elapsed().as_secs_f64());
                }
                Err(error) => {
                    num_failed += 1;
                    println!("FAILED {}: {error:#}", stringify!($name));
                }
            }
        )*};
    }
    check!(
        models_are_listed,
        chat_answers_and_counts,
        a_stream_is_the_answer_in_parts,
        tools_are_called,
        a_schema_is_followed,
        logprobs_belong_to_the_tokens,
        embeddings_keep_their_order,
        errors_are_typed,
        a_client_that_leaves_does_no_harm,
    );
    println!("async-openai (Rust): {num_passed} passed, {num_failed} failed");
    ensure!(num_failed == 0, "some checks failed");
    Ok(())
}
