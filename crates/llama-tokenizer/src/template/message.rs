//! One turn of a conversation.
//!
//! Owns [`Message`], in the form in which templates read it. It deliberately checks no roles: which exist, and in which order, is the
//! template's business.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One turn: who speaks, and what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or what else the template knows.
    pub role: String,
    /// The text; absent for an assistant that only calls tools, which templates see as `none`.
    #[serde(default)]
    pub content: Option<String>,
    /// Further fields, such as `tool_calls`, `name` or `reasoning_content`, in the order given.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A turn with text alone.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(content.into()), extra: Map::new() }
    }

    /// Instructions that hold for the whole conversation.
    #[must_use]
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }

    /// What the user says.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// What the model said before.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }

    /// The same turn with one more field.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: Value) -> Self {
        self.extra.insert(field.into(), value);
        self
    }
}
