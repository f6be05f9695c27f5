//! Choices about special tokens, and which tokens play which role.
//!
//! Owns the enums that [`Tokenizer`](crate::Tokenizer) takes in place of booleans, and [`SpecialIds`]. It deliberately holds no default:
//! whether a prompt gets a BOS or may contain control tokens is a decision (and a security boundary) of the caller.

/// Whether the tokens that the model wants around a text (usually a BOS in front) are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddSpecial {
    /// Add what the vocabulary asks for. For prompts that are plain text.
    Yes,
    /// Add nothing. For fragments, and for rendered chat templates, which write these tokens themselves.
    No,
}

/// Whether text that spells a special token becomes that token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseSpecial {
    /// `<|im_end|>` in the text is one control token. For text that we wrote ourselves, such as a rendered chat template.
    Yes,
    /// Special tokens are spelled out like any other text, so that input from outside cannot forge a turn.
    No,
}

/// What becomes of special tokens when ids are turned into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeSpecial {
    /// They appear as their text.
    Keep,
    /// They vanish.
    Skip,
}

/// The ids of the tokens with a role, where the vocabulary names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Begin of sequence.
    pub bos: Option<u32>,
    /// End of sequence. A model may have further ends (generation_config.json lists them).
    pub eos: Option<u32>,
    /// Stands for what the vocabulary cannot express.
    pub unk: Option<u32>,
}
