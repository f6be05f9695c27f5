//! Tool calls in the text of an answer.
//!
//! A model that chooses to call writes `<tool_call>{"name": .., "arguments": {..}}</tool_call>`, as many times as it likes: the form of
//! NousResearch's Hermes, which Qwen's models are trained on and which the engine tells models whose templates know no tools. What does
//! not parse stays text.

use serde_json::Value;

use super::Frame;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// How an answer is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// As text: there are no tools.
    None,
    /// As text with calls in it.
    Marked,
    /// As one call from beginning to end.
    Whole,
}

/// Divides an answer, as it comes, into text and calls. Text is held back only while it may be the beginning of a call.
#[derive(Debug)]
pub(super) struct CallReader {
    calls: Calls,
    held: String,
}

impl CallReader {
    pub(super) fn new(calls: Calls) -> Self {
        Self { calls, held: String::new() }
    }

    /// What is certain now.
    pub(super) fn push(&mut self, text: &str, frames: &mut impl Extend<Frame>) {
        match self.calls {
            Calls::None => emit(text, frames),
            Calls::Whole => self.held.push_str(text),
            Calls::Marked => {
                self.held.push_str(text);
                self.divide(frames);
            }
        }
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self, frames: &mut impl Extend<Frame>) {
        let held = std::mem::take(&mut self.held);
        match self.calls {
            Calls::Whole => frames.extend([call(&held).unwrap_or(Frame::Text(held))]),
            Calls::None | Calls::Marked => emit(&held, frames),
        }
    }

    fn divide(&mut self, frames: &mut impl Extend<Frame>) {
        while let Some(open) = self.held.find(OPEN) {
            emit(self.held[..open].trim_end(), frames);
            self.held.drain(..open);
            let Some(close) = self.held.find(CLOSE) else { return };
            let marked: String = self.held.drain(..close + CLOSE.len()).collect();
            let found = call(&marked[OPEN.len()..close]);
            frames.extend([found.unwrap_or(Frame::Text(marked))]);
        }
        let certain = self.held.len() - undecided(&self.held);
        emit(&self.held[..certain], frames);
        self.held.drain(..certain);
    }
}

fn emit(text: &str, frames: &mut impl Extend<Frame>) {
    if !text.is_empty() {
        frames.extend([Frame::Text(text.to_owned())]);
    }
}

/// Length of the end of `text` that may belong to a call: white space, which is dropped before one, and the beginning of a mark.
fn undecided(text: &str) -> usize {
    let mark_len = (1..OPEN.len()).rev().find(|&len| text.ends_with(&OPEN[..len])).unwrap_or(0);
    text.len() - text[..text.len() - mark_len].trim_end().len()
}

fn call(text: &str) -> Option<Frame> {
    let value: Value = serde_json::from_str(text).ok()?;
    let name = value.get("name")?.as_str().filter(|name| !name.is_empty())?.to_owned();
    let arguments = value.get("arguments").map_or_else(|| "{}".to_owned(), Value::to_string);
    Some(Frame::Call { name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Frame {
        Frame::Text(text.to_owned())
    }

    fn called(name: &str, arguments: &str) -> Frame {
        Frame::Call { name: name.to_owned(), arguments: arguments.to_owned() }
    }

    /// Whatever pieces the answer comes in; adjacent texts are joined.
    fn check(calls: Calls, answer: &str, expected: &[Frame]) {
        for piece_len in 1..=answer.len() {
            let (mut reader, mut frames) = (CallReader::new(calls), Vec::new());
            for piece in answer.as_bytes().chunks(piece_len) {
                reader.push(std::str::from_utf8(piece).unwrap(), &mut frames);
            }
            reader.finish(&mut frames);
            let mut joined: Vec<Frame> = Vec::new();
            for frame in frames {
                match (joined.last_mut(), frame) {
                    (Some(Frame::Text(last)), Frame::Text(more)) => last.push_str(&more),
                    (_, frame) => joined.push(frame),
                }
            }
            assert_eq!(joined, expected, "in pieces of {piece_len}");
        }
    }

    #[test]
    fn marked_calls_are_taken_out_of_the_text() {
        check(
            Calls::Marked,
            "Well:\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": 1}}\n</tool_call>\n<tool_call>{\"name\": \"go\"}</tool_call>",
            &[text("Well:"), called("look", "{\"at\":1}"), called("go", "{}")],
        );
    }

    #[test]
    fn what_is_no_call_stays_text() {
        check(Calls::Marked, "a < b, <tool> c ", &[text("a < b, <tool> c ")]);
        check(
            Calls::Marked,
            "<tool_call>{\"name\"</tool_call>.",
            &[text("<tool_call>{\"name\"</tool_call>.")],
        );
        check(Calls::Marked, "<tool_call>{\"na", &[text("<tool_call>{\"na")]);
        check(Calls::None, "<tool_call>{}</tool_call>", &[text("<tool_call>{}</tool_call>")]);
    }

    #[test]
    fn a_required_call_is_the_whole_answer() {
        check(Calls::Whole, "{\"name\": \"go\", \"arguments\": {}}", &[called("go", "{}")]);
        check(Calls::Whole, "{\"name\": \"go\", \"arg", &[text("{\"name\": \"go\", \"arg")]);
    }
}
