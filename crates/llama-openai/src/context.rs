//! `/v1/contexts`: prompts that a server keeps computed.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{ChatMessage, ContextAnswer, Input, Object, Tool};

/// What to compute and keep: a prompt, or a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContextRequest {
    /// All of it.
    #[serde(flatten)]
    pub input: ContextInput,
}

impl<'de> Deserialize<'de> for ContextRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Object::deserialize(deserializer)?;
        let request = Self { input: object.take()? };
        object.finish()?;
        Ok(request)
    }
}

/// A prompt, or a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContextInput {
    /// Name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Text or tokens; one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Input>,
    /// Or a conversation, up to where the assistant speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<ChatMessage>>,
    /// Its tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Tool>>,
    /// Further variables for the chat template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

/// The contexts that are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContextList {
    /// `list`.
    pub object: String,
    /// The contexts.
    pub data: Vec<ContextAnswer>,
}

/// An answer that ends early: it was asked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AnswerStopped {
    /// Its id, as the header `x-answer-id` of its stream said.
    pub id: String,
    /// `answer.stopped`.
    pub object: String,
    /// True.
    pub stopped: bool,
}

/// A context that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContextDeleted {
    /// Its id.
    pub id: String,
    /// `context.deleted`.
    pub object: String,
    /// True.
    pub deleted: bool,
}
