//! What is new of an answer, in no API's form.

use llama_openai::{ChoiceDetails, FinishReason};

/// What is new of an answer; put together, the whole answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Which of the request's answers.
    pub(crate) index: usize,
    /// Text.
    pub(crate) text: String,
    /// Calls.
    pub(crate) calls: Vec<CallPiece>,
    /// Characters of text that came before.
    pub(crate) characters_before: u64,
    /// Log-probabilities, if asked for.
    pub(crate) reports: Option<Vec<TokenReport>>,
    /// Why it ended, at the end.
    pub(crate) finish_reason: Option<FinishReason>,
    /// Extensions.
    pub(crate) details: ChoiceDetails,
}

/// What is new of a call.
#[derive(Debug)]
pub(crate) struct CallPiece {
    /// Which of the answer's calls.
    pub(crate) index: usize,
    /// Its id and what is called, where it begins.
    pub(crate) start: Option<(String, String)>,
    /// Further text of its arguments.
    pub(crate) arguments: String,
}

/// What the model thinks of a token and its alternatives.
#[derive(Debug)]
pub(crate) struct TokenReport {
    /// The token.
    pub(crate) token: TokenText,
    /// The most likely ones in its place, falling.
    pub(crate) alternatives: Vec<TokenText>,
}

/// A token as text.
#[derive(Debug)]
pub(crate) struct TokenText {
    /// Its id.
    pub(crate) id: u32,
    /// Its text by itself.
    pub(crate) text: String,
    /// ln p.
    pub(crate) logprob: f32,
}

impl TokenReport {
    /// The token, then its alternatives.
    pub(crate) fn all(&self) -> impl Iterator<Item = &TokenText> {
        std::iter::once(&self.token).chain(&self.alternatives)
    }
}

impl TokenText {
    /// Its text as UTF-8; absent where it is only a part of a character, whose bytes the engine does not say.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        (!self.text.contains(char::REPLACEMENT_CHARACTER)).then(|| self.text.clone().into_bytes())
    }
}

impl Answer {
    /// Appends what is new.
    pub(crate) fn extend(&mut self, new: Self) {
        self.text.push_str(&new.text);
        for call in new.calls {
            match self.calls.last_mut() {
                Some(last) if last.index == call.index => last.arguments.push_str(&call.arguments),
                _ => self.calls.push(call),
            }
        }
        append(&mut self.reports, new.reports);
        self.finish_reason = new.finish_reason.or(self.finish_reason);
        let (all, new) = (&mut self.details, new.details);
        append(&mut all.token_ids, new.token_ids);
        append(&mut all.citations, new.citations);
        append(&mut all.prompt_tokens, new.prompt_tokens);
        all.context = new.context.or(all.context.take());
        all.finish_details = new.finish_details.or(all.finish_details.take());
    }
}

fn append<T>(all: &mut Option<Vec<T>>, new: Option<Vec<T>>) {
    if let Some(new) = new {
        all.get_or_insert_default().extend(new);
    }
}
