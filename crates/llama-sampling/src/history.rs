//! What a request has seen so far.

/// The tokens of a sequence, in order: those of the prompt, then those chosen since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History<'a> {
    tokens: &'a [u32],
    prompt_len: usize,
}

impl<'a> History<'a> {
    /// The first `prompt_len` of `tokens` are the prompt, with the context that it started from.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn new(tokens: &'a [u32], prompt_len: usize) -> Self {
        assert!(prompt_len <= tokens.len(), "a prompt of {prompt_len} in {} tokens", tokens.len());
        Self { tokens, prompt_len }
    }

    /// Nothing at all.
    pub const EMPTY: History<'static> = History { tokens: &[], prompt_len: 0 };

    /// Prompt and answer, one after the other.
    pub fn tokens(&self) -> &'a [u32] {
        self.tokens
    }

    /// The prompt.
    pub fn prompt(&self) -> &'a [u32] {
        &self.tokens[..self.prompt_len]
    }

    /// What has been chosen and accepted.
    pub fn answer(&self) -> &'a [u32] {
        &self.tokens[self.prompt_len..]
    }

    /// The number of the next token in the answer: the counter of every random stream.
    pub fn draw_idx(&self) -> u64 {
        self.answer().len() as u64
    }
}
