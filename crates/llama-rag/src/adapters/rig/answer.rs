//! How rig reads an answer.

use std::marker::PhantomData;

use llama_engine::{FinishReason, Finished};
use rig_core::{
    ProviderError, completion,
    message::{CallId, ToolName},
    operation::{Block, Completion, Finish},
    wire::{
        Decoder, Flow, Out, WireEvent,
        document::{Reassemble, Serves},
    },
};
use serde_json::{Value, json};

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// More text.
    Text(String),
    /// A whole tool call.
    Call {
        /// Which tool.
        name: String,
        /// The text of a JSON value.
        arguments: String,
    },
    /// The end.
    End {
        /// Why it ended.
        reason: completion::FinishReason,
        /// Tokens in and out.
        usage: completion::Usage,
    },
}

impl Frame {
    pub(super) fn end(finished: &Finished) -> Self {
        let reason = match finished.reason {
            FinishReason::EndOfText | FinishReason::Stop(_) | FinishReason::StopToken(_) => {
                completion::FinishReason::Stop
            }
            FinishReason::MaxTokens => completion::FinishReason::Length,
            FinishReason::Interrupted => completion::FinishReason::Other("interrupted".to_owned()),
            FinishReason::Deadline => completion::FinishReason::Other("deadline".to_owned()),
        };
        let usage = finished.usage;
        let usage = completion::Usage::new()
            .input_tokens(usage.prompt_tokens as u64)
            .cached_input_tokens(usage.cached_tokens as u64)
            .output_tokens(usage.completion_tokens as u64)
            .total_tokens((usage.prompt_tokens + usage.completion_tokens) as u64);
        Self::End { reason, usage }
    }
}

/// Writes an answer into the one reply that rig brands with `'id`.
#[derive(Debug, Default)]
pub struct AnswerDecoder<'id>(PhantomData<fn(&'id ()) -> &'id ()>);

impl<'id> Decoder<'id, Completion, Frame> for AnswerDecoder<'id> {
    type Event = Frame;

    fn classify(&self, frame: Frame) -> WireEvent<Frame> {
        WireEvent::Known(frame)
    }

    fn decode(&mut self, frame: Frame, mut out: Out<'id, Completion>) -> Result<Flow, ProviderError> {
        match frame {
            Frame::Text(text) => {
                out.run(Block::Text, &text)?;
            }
            Frame::Call { name, arguments } => {
                out.end_run()?;
                // An empty id has rig issue one.
                let block = Block::Call {
                    id: CallId::from_wire(""),
                    name: ToolName::new(name).map_err(ProviderError::request)?,
                };
                let index = out.fresh_index();
                out.whole(index, block, Value::Null, &arguments)?;
            }
            Frame::End { reason, usage } => {
                out.end_run()?;
                return Ok(out.end(Finish { usage, reason: Some(reason), ..Finish::default() }));
            }
        }
        Ok(Flow::More)
    }
}

/// An answer as one JSON document, rig's `raw`: text, calls, and why it ended.
#[derive(Debug, Default)]
pub struct AnswerDocument {
    text: String,
    calls: Vec<Value>,
    finish_reason: Option<completion::FinishReason>,
}

impl Serves<Completion> for AnswerDocument {}

impl Reassemble<Frame> for AnswerDocument {
    fn absorb(&mut self, frame: &Frame) {
        match frame {
            Frame::Text(text) => self.text.push_str(text),
            Frame::Call { name, arguments } => {
                self.calls.push(json!({ "name": name, "arguments": arguments }))
            }
            Frame::End { reason, .. } => self.finish_reason = Some(reason.clone()),
        }
    }

    fn finish(self) -> Value {
        json!({ "text": self.text, "tool_calls": self.calls, "finish_reason": self.finish_reason })
    }
}
