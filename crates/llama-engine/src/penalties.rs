//! Penalties on what was said before, and rules for single tokens: plain data.

/// Makes tokens less likely that the sequence already has.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalties {
    /// Divides positive logits, and multiplies negative ones, of tokens in prompt or answer. Above 0, finite; 1 is off.
    pub repetition: f32,
    /// Subtracted from a token's logit for each time the answer has it. From -2 to 2; 0 is off.
    pub frequency: f32,
    /// Subtracted from the logits of tokens that the answer has at all. From -2 to 2; 0 is off.
    pub presence: f32,
    /// How many of the last tokens these three look at, at least 1; all if absent.
    pub last_n: Option<usize>,
    /// Against repeated phrases.
    pub dry: Option<Dry>,
}

impl Default for Penalties {
    /// None.
    fn default() -> Self {
        Self { repetition: 1.0, frequency: 0.0, presence: 0.0, last_n: None, dry: None }
    }
}

/// Don't repeat yourself: a token that would continue the repetition of a phrase loses more the longer the phrase is.
#[derive(Clone, Debug, PartialEq)]
pub struct Dry {
    /// Subtracted from the logit that continues a phrase of `allowed_len` tokens. At least 0, finite.
    pub multiplier: f32,
    /// By how much that grows with each further token. At least 1, finite.
    pub base: f32,
    /// Phrases shorter than this may be repeated, in tokens. At least 1.
    pub allowed_len: usize,
    /// How many of the last tokens it looks at, at least 1; all if absent.
    pub last_n: Option<usize>,
    /// No phrase goes across these texts: across a token that contains one, or, where none does, across the last token
    /// of its encoding.
    pub breakers: Vec<String>,
}

impl Default for Dry {
    /// As its author recommends.
    fn default() -> Self {
        let breakers = ["\n", ":", "\"", "*"].map(str::to_owned).to_vec();
        Self { multiplier: 0.8, base: 1.75, allowed_len: 2, last_n: None, breakers }
    }
}

/// What holds for single tokens, whatever the model thinks of them. Applied before everything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenRules {
    /// Added to the logits of these tokens: each from -100 to 100.
    pub bias: Vec<(u32, f32)>,
    /// Nothing but these; at least one. An answer only ends by itself if its end tokens are among them.
    pub allowed: Option<Vec<u32>>,
    /// None of these.
    pub banned: Vec<u32>,
    /// They end the answer and are not part of it.
    pub stop: Vec<u32>,
    /// Nothing ends the answer before it has so many tokens: end and stop tokens are ruled out, and stop texts only
    /// count from there on. At most `max_tokens`.
    pub min_tokens: usize,
}
