//! Chat templates: a conversation to the text that a model was trained on.
//!
//! A template is a Jinja program that comes with the model; it renders here as transformers renders it, down to Python's spelling of
//! `True` and of JSON. Invariant: rendering ends whatever the program says, and reads no clock. The module deliberately does not guess a
//! template for a model without one, and does not tokenize.

mod chat_template;
mod message;
mod options;

mod config;
mod environment;
mod json;
mod local_time;
mod python;

pub use chat_template::ChatTemplate;
pub use config::SpecialTokens;
pub use local_time::LocalTime;
pub use message::Message;
pub use options::{GenerationPrompt, RenderOptions};
