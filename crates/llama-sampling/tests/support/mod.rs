//! Vocabularies, and texts read through a constraint.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test crate uses its own part")]

use std::{path::Path, sync::Arc};

use llama_engine::Grammar;
use llama_sampling::{
    Constraint, GrammarCompiler, GrammarError, GrammarLimits, GrammarVocabulary, VocabularyPiece,
};
use llama_tokenizer::{AddSpecial, ParseSpecial, Tokenizer};

/// A token for each byte, some that are special, and one that ends.
pub(crate) fn bytes_vocabulary() -> GrammarVocabulary {
    let mut pieces: Vec<VocabularyPiece> = (0..=255).map(|byte| VocabularyPiece::Text(vec![byte])).collect();
    let names = ["<|end|>", "<think>", "</think>", "<call>", "</call>"];
    pieces.extend(names.map(|name| VocabularyPiece::Special(name.to_owned())));
    let tokenize = Arc::new(|text: &str| text.bytes().map(u32::from).collect());
    GrammarVocabulary { pieces, end_tokens: vec![END], tokenize }
}

/// The token that ends a text of [`bytes_vocabulary`].
pub(crate) const END: u32 = 256;

/// The vocabulary of the bundled model, and its tokenizer.
pub(crate) fn bard() -> (GrammarVocabulary, Arc<Tokenizer>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard/tokenizer.json");
    vocabulary(Tokenizer::from_file(path).unwrap())
}

pub(crate) fn vocabulary(tokenizer: Tokenizer) -> (GrammarVocabulary, Arc<Tokenizer>) {
    let tokenizer = Arc::new(tokenizer);
    let piece = |id: u32| match tokenizer.token_bytes(id) {
        None => VocabularyPiece::Unused,
        Some(_) if tokenizer.is_special(id) => VocabularyPiece::Special(tokenizer.token_text(id).unwrap()),
        Some(bytes) => VocabularyPiece::Text(bytes.to_vec()),
    };
    let pieces = (0..tokenizer.vocab_size() as u32).map(piece).collect();
    let end_tokens = ["</s>", "<|im_end|>"].iter().filter_map(|name| tokenizer.token_id(name)).collect();
    let encoder = tokenizer.clone();
    let tokenize =
        Arc::new(move |text: &str| encoder.encode(text, AddSpecial::No, ParseSpecial::No).unwrap());
    (GrammarVocabulary { pieces, end_tokens, tokenize }, tokenizer)
}

pub(crate) fn bytes_compiler() -> GrammarCompiler {
    GrammarCompiler::new(bytes_vocabulary(), GrammarLimits::default()).unwrap()
}

pub(crate) fn gbnf(source: &str) -> Result<Constraint, GrammarError> {
    bytes_compiler().compile(&Grammar::Gbnf(source.to_owned()))
}

/// Whether a text, byte by byte, is a whole one of the grammar's. Checks that mask and acceptance agree.
pub(crate) fn is_whole(constraint: &Constraint, text: &[u8]) -> bool {
    let mut constraint = constraint.clone();
    for &byte in text {
        let token = u32::from(byte);
        let is_allowed = constraint.mask().unwrap().is_allowed(token);
        let accepted = constraint.accept(token);
        assert_eq!(is_allowed, accepted.is_ok(), "{:?} at byte {byte}", String::from_utf8_lossy(text));
        if !is_allowed {
            assert_eq!(accepted, Err(GrammarError::Rejected { token }));
            return false;
        }
    }
    let may_end = constraint.may_end();
    assert_eq!(constraint.mask().unwrap().is_allowed(END), may_end, "an end token where the text may end");
    may_end
}

/// Checks texts that a grammar has, and texts that it has not.
pub(crate) fn check(constraint: &Constraint, whole: &[&str], other: &[&str]) {
    for text in whole {
        assert!(is_whole(constraint, text.as_bytes()), "{text:?} is refused");
    }
    for text in other {
        assert!(!is_whole(constraint, text.as_bytes()), "{text:?} is taken");
    }
}
