//! Clauses on text and tokens.

use super::answer::{accepted, tokens_of};
use crate::LlamaEngine;

/// A text turned into tokens and back is the same text, and the ids are in the vocabulary; an id outside of it is an
/// error.
///
/// # Panics
/// If the engine breaks this.
pub async fn texts_survive_the_tokens<E: LlamaEngine>(engine: &E) {
    let vocab_size = engine.info().vocab_size;
    for text in ["To be, or not to be", "", "a  b\n\n\tc ", "déjà vu – 你好 🦙!", "x"] {
        let tokens = tokens_of(engine, text).await;
        assert_eq!(tokens.is_empty(), text.is_empty(), "{text:?} became {tokens:?}");
        assert!(tokens.iter().all(|&token| (token as usize) < vocab_size), "{tokens:?} of {vocab_size}");
        assert_eq!(accepted(engine.detokenize(&tokens).await), text, "through {tokens:?}");
        assert_eq!(tokens_of(engine, text).await, tokens, "{text:?} a second time");
    }
    let unknown = engine.detokenize(&[u32::MAX]).await;
    assert!(unknown.is_err(), "token {} became {unknown:?}", u32::MAX);
}
