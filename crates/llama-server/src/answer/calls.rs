//! Tool calls in the text of an answer.
//!
//! The text follows [`llama_engine::ToolCallGrammar`], so no raw line break stands inside a call's JSON and every piece of it is known by what
//! comes before. Text that can still become a call, or the end of one, is held back until that is certain.

use super::CallPiece;
use crate::state::unguessable;

const OPEN: &str = "<tool_call>\n{\"name\": \"";
const MIDDLE: &str = "\", \"arguments\": ";
const CLOSE: &str = "}\n";

/// Splits one answer's text into text and calls, as it comes.
#[derive(Debug, Default)]
pub(crate) struct CallReader {
    place: Place,
    held: String,
    num_calls: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    /// Where the answer begins: with a call, or not.
    #[default]
    Start,
    /// In free text.
    Text,
    /// In the name of what is called.
    Name,
    /// In the arguments.
    Arguments,
    /// Behind a call.
    Between,
}

impl CallReader {
    /// How many calls have begun.
    pub(crate) fn num_calls(&self) -> usize {
        self.num_calls
    }

    /// Reads further text; returns what is text, and what is known of calls.
    pub(crate) fn read(&mut self, text: &str) -> (String, Vec<CallPiece>) {
        self.held.push_str(text);
        let (mut plain, mut calls) = (String::new(), Vec::new());
        while self.step(&mut plain, &mut calls) {}
        (plain, calls)
    }

    /// What was held back, at the end of the answer. Of a call that was cut off, what is known has been said.
    pub(crate) fn finish(&mut self) -> String {
        if self.place == Place::Start { std::mem::take(&mut self.held) } else { String::new() }
    }

    /// Moves on if what is held suffices for it.
    fn step(&mut self, plain: &mut String, calls: &mut Vec<CallPiece>) -> bool {
        match self.place {
            Place::Start if self.held.starts_with(OPEN) => self.begin(OPEN.len()),
            Place::Start if OPEN.starts_with(&self.held) => false,
            Place::Start => self.go(Place::Text),
            Place::Text => {
                plain.push_str(&std::mem::take(&mut self.held));
                false
            }
            Place::Name => {
                let Some((name, _)) = self.held.split_once(MIDDLE) else { return false };
                let start = Some((unguessable("call_"), name.to_owned()));
                self.held.drain(..name.len() + MIDDLE.len());
                self.num_calls += 1;
                calls.push(CallPiece { index: self.num_calls - 1, start, arguments: String::new() });
                self.go(Place::Arguments)
            }
            Place::Arguments => {
                let end = self.held.find(CLOSE);
                let is_over = end.is_some();
                // A last brace may be the one that closes the call.
                let certain = end.unwrap_or(self.held.len() - usize::from(self.held.ends_with('}')));
                let arguments: String = self.held.drain(..certain).collect();
                if !arguments.is_empty() {
                    calls.push(CallPiece { index: self.num_calls - 1, start: None, arguments });
                }
                is_over && self.go(Place::Between)
            }
            Place::Between => match self.held.find(OPEN) {
                Some(start) => self.begin(start + OPEN.len()),
                None => false,
            },
        }
    }

    fn begin(&mut self, read: usize) -> bool {
        self.held.drain(..read);
        self.go(Place::Name)
    }

    fn go(&mut self, place: Place) -> bool {
        self.place = place;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text in pieces of every size; returns its plain part, and names and arguments of its calls.
    fn check(text: &str, plain: &str, expected: &[(&str, &str)]) {
        for size in 1..=text.len().max(1) {
            let mut reader = CallReader::default();
            let (mut found, mut calls) = (String::new(), Vec::<(String, String)>::new());
            for piece in text.as_bytes().chunks(size) {
                let (text, pieces) = reader.read(std::str::from_utf8(piece).unwrap());
                found += &text;
                for piece in pieces {
                    if let Some((_, name)) = piece.start {
                        assert_eq!(piece.index, calls.len());
                        calls.push((name, String::new()));
                    }
                    calls[piece.index].1 += &piece.arguments;
                }
            }
            found += &reader.finish();
            let calls: Vec<(&str, &str)> =
                calls.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            assert_eq!((found.as_str(), calls.as_slice()), (plain, expected), "in pieces of {size}");
        }
    }

    #[test]
    fn texts_and_calls_are_told_apart_in_pieces_of_any_size() {
        let one = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": {\"b\": \"}x\"}}}\n</tool_call>";
        let two = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
        check("", "", &[]);
        check("Fair.", "Fair.", &[]);
        check("<tool_cal", "<tool_cal", &[]);
        check("<p>}\n", "<p>}\n", &[]);
        check(one, "", &[("f", "{\"a\": {\"b\": \"}x\"}}")]);
        check(&format!("{one}\n{two}"), "", &[("f", "{\"a\": {\"b\": \"}x\"}}"), ("g", "{}")]);
        check(&one[..48], "", &[("f", "{\"a\": {\"b")]);
    }
}
