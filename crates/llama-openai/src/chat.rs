//! `/v1/chat/completions`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{
    ChoiceDetails, Extensions, FinishReason, GenerationOptions, Logprobs, Object, Remarks, ResponseFormat,
    SamplingOptions, Tool, ToolCall, ToolCallDelta, ToolChoice, Usage,
};

/// A conversation to continue.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChatRequest {
    /// What to continue.
    #[serde(flatten)]
    pub input: ChatInput,
    /// How long, how often, and in which form.
    #[serde(flatten)]
    pub options: GenerationOptions,
    /// How tokens are chosen.
    #[serde(flatten)]
    pub sampling: SamplingOptions,
    /// What OpenAI's API does not have.
    #[serde(flatten)]
    pub extensions: Extensions,
    /// What changes no answer.
    #[serde(flatten)]
    pub remarks: Remarks,
}

impl<'de> Deserialize<'de> for ChatRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Object::deserialize(deserializer)?;
        let request = Self {
            input: object.take()?,
            options: object.take()?,
            sampling: object.take()?,
            extensions: Extensions::take(&mut object)?,
            remarks: object.take()?,
        };
        object.finish()?;
        Ok(request)
    }
}

/// The conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChatInput {
    /// Name of the model; the server has one and takes any name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The turns so far.
    pub messages: Vec<ChatMessage>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Tool>>,
    /// Whether it may, must, or which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether one answer may have several calls; it may unless this says false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// What the answer has to look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// Further variables for the chat template. An extension that vLLM has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Most tokens of the answer; goes before `max_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u64>,
    /// Whether to report log-probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<bool>,
    /// Of how many alternatives to each token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u32>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, by their newer name.
    Developer,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
    /// A tool.
    Tool,
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChatMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Tells speakers of one role apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the assistant called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCall>>,
    /// Which call a tool answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// A text, whole or in parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged, expecting = "expected a string or a list of text parts")]
pub enum Content {
    /// Whole.
    Text(String),
    /// In parts, which belong together without anything between them.
    Parts(Vec<ContentPart>),
}

impl Content {
    /// The text.
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().map(|ContentPart::Text { text }| text).collect(),
        }
    }
}

/// A part of a turn. There are only texts: models here see no pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
}

/// An answer, or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChatResponse {
    /// Names the answer.
    pub id: String,
    /// `chat.completion`.
    pub object: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The model that made it.
    pub model: String,
    /// One for each of `n`.
    pub choices: Vec<ChatChoice>,
    /// Tokens in and out.
    pub usage: Usage,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChatChoice {
    /// Which of `n`.
    pub index: u32,
    /// What the model says.
    pub message: AnswerMessage,
    /// Log-probabilities, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Logprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What OpenAI's API does not have.
    #[serde(flatten)]
    pub details: ChoiceDetails,
}

/// What the model says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AnswerMessage {
    /// The assistant.
    pub role: Role,
    /// The text; absent where there are only calls.
    #[serde(default)]
    pub content: Option<String>,
    /// What it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCall>>,
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChatChunk {
    /// Names the answer.
    pub id: String,
    /// `chat.completion.chunk`.
    pub object: String,
    /// When the answer was begun, in seconds since 1970.
    pub created: u64,
    /// The model that makes it.
    pub model: String,
    /// What is new; empty in the last piece if that reports usage.
    pub choices: Vec<ChatDelta>,
    /// Tokens in and out, in the last piece if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What is new of one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChatDelta {
    /// Which of `n`.
    pub index: u32,
    /// What the model says further.
    pub delta: AnswerDelta,
    /// Log-probabilities of it, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Logprobs>,
    /// Why the answer ended, in its last piece.
    #[serde(default)]
    pub finish_reason: Option<FinishReason>,
    /// What OpenAI's API does not have.
    #[serde(flatten)]
    pub details: ChoiceDetails,
}

/// A further bit of what the model says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AnswerDelta {
    /// The assistant, in the first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Further text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Further bits of calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCallDelta>>,
}
