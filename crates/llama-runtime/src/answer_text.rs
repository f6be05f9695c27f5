//! From sampled tokens to the text of an answer: whole characters only, and nothing that a stop text may swallow.
//!
//! Invariant: the texts handed out, one after another, are the decoded answer up to the first stop text.

use llama_tokenizer::{StreamDecoder, TokenizerError};

/// The growing text of one answer.
pub(crate) struct AnswerText {
    decoder: Option<StreamDecoder>,
    stops: Vec<String>,
    /// Decoded, but perhaps the beginning of a stop text.
    held: String,
    /// Tokens to come whose text is handed out at once: a stop text begins after them.
    num_free: usize,
}

/// What a token brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Text that is certain now.
    pub(crate) text: String,
    /// The stop text that ended the answer.
    pub(crate) stop: Option<String>,
}

impl AnswerText {
    /// The text of the first `num_free` tokens does not count as a stop text.
    pub(crate) fn new(decoder: StreamDecoder, stops: Vec<String>, num_free: usize) -> Self {
        Self { decoder: Some(decoder), stops, held: String::new(), num_free }
    }

    /// Adds one token.
    pub(crate) fn push(&mut self, token: u32) -> Result<Progress, TokenizerError> {
        if let Some(decoder) = &mut self.decoder {
            self.held.push_str(&decoder.push(token)?);
        }
        if self.num_free > 0 {
            self.num_free -= 1;
            return Ok(Progress { text: std::mem::take(&mut self.held), stop: None });
        }
        Ok(self.release())
    }

    /// Ends the answer: what is held back is handed out, incomplete characters as U+FFFD.
    pub(crate) fn finish(&mut self) -> Progress {
        if let Some(decoder) = self.decoder.take() {
            self.held.push_str(&decoder.finish());
        }
        let mut progress = self.release();
        if progress.stop.is_none() {
            progress.text.push_str(&std::mem::take(&mut self.held));
        }
        progress
    }

    /// Hands out what cannot be part of a stop text any more.
    fn release(&mut self) -> Progress {
        let first = |stop: &String| self.held.find(stop.as_str()).map(|at| (at, stop.clone()));
        // The earliest stop text counts; of several at one place, the one listed first.
        let found = self.stops.iter().filter_map(first).min_by_key(|(at, _)| *at);
        if let Some((at, stop)) = found {
            let text = self.held[..at].to_owned();
            self.held.clear();
            return Progress { text, stop: Some(stop) };
        }
        let len = self.held.len() - self.possible_stop_len();
        Progress { text: self.held.drain(..len).collect(), stop: None }
    }

    /// Length of the longest end of the held text that begins a stop text.
    fn possible_stop_len(&self) -> usize {
        let begins = |stop: &String| {
            let prefixes = stop.char_indices().map(|(at, _)| at).rev();
            prefixes.into_iter().find(|&at| self.held.ends_with(&stop[..at])).unwrap_or(0)
        };
        self.stops.iter().map(begins).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use llama_tokenizer::{AddSpecial, DecodeSpecial, ParseSpecial, Tokenizer};
    use proptest::prelude::*;

    use super::*;

    fn tokenizer() -> Tokenizer {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard/tokenizer.json");
        Tokenizer::from_file(path).unwrap()
    }

    /// Streams a text token by token; returns the text and the stop that ended it.
    fn stream(tokenizer: &Tokenizer, text: &str, stops: &[&str]) -> (String, Option<String>) {
        stream_after(tokenizer, text, (stops, 0))
    }

    /// As [`stream`], where stop texts count after `num_free` tokens.
    fn stream_after(
        tokenizer: &Tokenizer,
        text: &str,
        (stops, num_free): (&[&str], usize),
    ) -> (String, Option<String>) {
        let tokens = tokenizer.encode(text, AddSpecial::No, ParseSpecial::No).unwrap();
        let decoder = tokenizer.stream_decoder(DecodeSpecial::Skip).continuing();
        let mut answer =
            AnswerText::new(decoder, stops.iter().map(|stop| stop.to_string()).collect(), num_free);
        let mut streamed = String::new();
        for token in tokens {
            let progress = answer.push(token).unwrap();
            streamed.push_str(&progress.text);
            if progress.stop.is_some() {
                return (streamed, progress.stop);
            }
        }
        let progress = answer.finish();
        (streamed + &progress.text, progress.stop)
    }

    #[test]
    fn stops_are_found_across_token_borders() {
        let tokenizer = tokenizer();
        let check = |text, stops: &[&str], expected, stop: Option<&str>| {
            assert_eq!(stream(&tokenizer, text, stops), (String::from(expected), stop.map(str::to_owned)));
        };
        check("to be or not to be", &[" or not"], "to be", Some(" or not"));
        check("to be or not", &["nothing"], "to be or not", None);
        check("aaab", &["aab"], "a", Some("aab"));
        check("abc", &["c", "bc"], "a", Some("bc"));
        check("né à Paris", &["à"], "né ", Some("à"));
    }

    #[test]
    fn stops_count_after_the_tokens_that_must_come() {
        let tokenizer = tokenizer();
        let text = "to be or not to be";
        let tokens = tokenizer.encode(text, AddSpecial::No, ParseSpecial::No).unwrap();
        let ends = |num_free| stream_after(&tokenizer, text, (&["to"], num_free));
        assert_eq!(ends(0), (String::new(), Some("to".to_owned())));
        assert_eq!(ends(1), ("to be or not ".to_owned(), Some("to".to_owned())));
        assert_eq!(ends(tokens.len()), (text.to_owned(), None));
    }

    proptest! {
        #[test]
        fn the_stream_is_the_text_before_the_first_stop(text in "[ab é]{0,30}", stop in "[ab é]{1,4}") {
            let (streamed, found) = stream(&tokenizer(), &text, &[&stop]);
            let expected = text.split(&stop).next().unwrap_or_default();
            prop_assert_eq!(&streamed, expected);
            prop_assert_eq!(found.is_some(), text.contains(&stop));
        }
    }
}
