//! The tokens that a grammar chooses from, as bytes.

use std::{fmt, sync::Arc};

use llguidance::toktrie::{INVALID_TOKEN, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use super::GrammarError;

/// Longest token that the engine's tables hold.
const MOST_TOKEN_BYTES: usize = 255;

/// A vocabulary as plain bytes.
#[derive(Clone)]
pub struct GrammarVocabulary {
    /// By token id.
    pub pieces: Vec<VocabularyPiece>,
    /// Tokens that end an answer. They are special, whatever their piece says.
    pub end_tokens: Vec<u32>,
    /// The tokens that the model's tokenizer gives for a text that is not the first of a sequence, without special tokens.
    pub tokenize: Tokenize,
}

/// Text to tokens.
pub type Tokenize = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// One token of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VocabularyPiece {
    /// It is text: these bytes.
    Text(Vec<u8>),
    /// It stands for something else and has this name. No grammar can spell it; only a token reference names it.
    Special(String),
    /// No token has this id.
    Unused,
}

impl fmt::Debug for GrammarVocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarVocabulary")
            .field("num_tokens", &self.pieces.len())
            .field("end_tokens", &self.end_tokens)
            .finish_non_exhaustive()
    }
}

/// What a grammar's token references can ask of a vocabulary.
pub(super) trait TokenNames {
    /// The token of a name in angle brackets.
    fn id_of(&self, name: &str) -> Option<u32>;
    /// Whether there is such a token.
    fn is_token(&self, id: u32) -> bool;
    /// Whether it is no text.
    fn is_special(&self, id: u32) -> bool;
    /// Ids from zero to here.
    fn num_tokens(&self) -> u32;
}

impl TokenNames for GrammarVocabulary {
    fn id_of(&self, name: &str) -> Option<u32> {
        let is_named = |piece: &VocabularyPiece| match piece {
            VocabularyPiece::Special(text) => text == name,
            VocabularyPiece::Text(bytes) => bytes == name.as_bytes(),
            VocabularyPiece::Unused => false,
        };
        let found = self.pieces.iter().position(is_named)?;
        u32::try_from(found).ok()
    }

    fn is_token(&self, id: u32) -> bool {
        self.pieces.get(id as usize).is_some_and(|piece| *piece != VocabularyPiece::Unused)
    }

    fn is_special(&self, id: u32) -> bool {
        let is_special = matches!(self.pieces.get(id as usize), Some(VocabularyPiece::Special(_)));
        is_special || self.end_tokens.contains(&id)
    }

    fn num_tokens(&self) -> u32 {
        self.pieces.len() as u32
    }
}

impl GrammarVocabulary {
    /// The engine's tables.
    pub(super) fn environment(&self) -> Result<TokEnv, GrammarError> {
        let wrong = |reason: String| GrammarError::Vocabulary { reason };
        let num_tokens = u32::try_from(self.pieces.len()).map_err(|_| wrong("too many tokens".to_owned()))?;
        if let Some(id) = self.end_tokens.iter().find(|&&id| id >= num_tokens) {
            return Err(wrong(format!("end token {id} is outside of {num_tokens} tokens")));
        }
        let words: Vec<Vec<u8>> = (0..num_tokens).map(|id| self.word(id)).collect();
        if let Some(id) = words.iter().position(|word| word.len() > MOST_TOKEN_BYTES) {
            return Err(wrong(format!("token {id} is longer than {MOST_TOKEN_BYTES} bytes")));
        }
        if words.iter().all(Vec::is_empty) {
            return Err(wrong("no tokens".to_owned()));
        }
        let first_end = self.end_tokens.first().copied().unwrap_or(INVALID_TOKEN);
        let mut trie = TokTrie::from(&TokRxInfo::new(num_tokens, first_end), &words);
        if !self.end_tokens.is_empty() {
            trie = trie.with_eos_tokens(&self.end_tokens);
        }
        Ok(Arc::new(Environment { trie, tokenize: self.tokenize.clone() }))
    }

    /// The bytes under which the engine knows a token: special ones begin with a byte that no text has.
    fn word(&self, id: u32) -> Vec<u8> {
        let special = |name: &[u8]| [&[TokTrie::SPECIAL_TOKEN_MARKER, b'<'], name, b">"].concat();
        match &self.pieces[id as usize] {
            VocabularyPiece::Text(bytes) if self.end_tokens.contains(&id) => special(bytes),
            VocabularyPiece::Text(bytes) => bytes.clone(),
            VocabularyPiece::Special(name) => special(name.trim_matches(['<', '>']).as_bytes()),
            VocabularyPiece::Unused => Vec::new(),
        }
    }
}

/// What the engine asks of a tokenizer.
struct Environment {
    trie: TokTrie,
    tokenize: Tokenize,
}

impl Environment {
    /// The tokenizer's tokens, if they spell exactly this text; it may add a space, or normalise.
    fn canonical(&self, text: &str) -> Option<Vec<u32>> {
        let tokens = (self.tokenize)(text);
        let is_known = |&token: &u32| (token as usize) < self.trie.vocab_size();
        (tokens.iter().all(is_known) && self.trie.decode_raw(&tokens) == text.as_bytes()).then_some(tokens)
    }
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let longest_match = |bytes: &[u8]| self.trie.greedy_tokenize(bytes);
        let mut tokens = Vec::new();
        for chunk in bytes.utf8_chunks() {
            if !chunk.valid().is_empty() {
                let text = chunk.valid();
                tokens.extend(self.canonical(text).unwrap_or_else(|| longest_match(text.as_bytes())));
            }
            if !chunk.invalid().is_empty() {
                tokens.extend(longest_match(chunk.invalid()));
            }
        }
        tokens
    }
}
