//! What rendering takes besides the messages.
//!
//! Owns [`RenderOptions`]. It deliberately has no default date: see [`RenderOptions::now`].

use serde_json::{Map, Value as Json};

use super::LocalTime;

/// Whether the rendered text ends where the assistant starts to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerationPrompt {
    /// Open the assistant's turn. For generating an answer.
    Add,
    /// Stop after the last message.
    Omit,
}

/// What a template may read besides the messages.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// Whether to open the assistant's turn.
    pub generation_prompt: GenerationPrompt,
    /// What `strftime_now` shows. A template that asks for the date without it fails: rendering reads no clock, so that equal
    /// conversations give equal tokens and keep their cached prefixes.
    pub now: Option<LocalTime>,
    /// Further variables, such as `tools` (a list of function schemas), `documents` or `enable_thinking`.
    pub extra: Map<String, Json>,
}

impl RenderOptions {
    /// Options without a date or further variables.
    #[must_use]
    pub fn new(generation_prompt: GenerationPrompt) -> Self {
        Self { generation_prompt, now: None, extra: Map::new() }
    }
}
