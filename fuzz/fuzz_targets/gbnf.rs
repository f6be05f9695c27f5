//! A grammar and a text, separated by a zero byte: compile, then read the text with the mask and without.
//!
//! `cargo +nightly fuzz run gbnf`
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use llama_engine::Grammar;
use llama_sampling::{GrammarCompiler, GrammarLimits, GrammarVocabulary, VocabularyPiece};

/// For a vocabulary of bytes, a special token and one that ends; with limits that keep a run short.
static COMPILER: LazyLock<GrammarCompiler> = LazyLock::new(|| {
    let mut pieces: Vec<VocabularyPiece> = (0..=255).map(|byte| VocabularyPiece::Text(vec![byte])).collect();
    pieces.extend(["<think>", "<end>"].map(|name| VocabularyPiece::Special(name.to_owned())));
    let tokenize = Arc::new(|text: &str| text.bytes().map(u32::from).collect());
    let vocabulary = GrammarVocabulary { pieces, end_tokens: vec![257], tokenize };
    let limits = GrammarLimits { max_source_bytes: 4096, max_analysis_steps: 200_000, ..GrammarLimits::default() };
    GrammarCompiler::new(vocabulary, limits).expect("the vocabulary is sound")
});

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    let Ok(source) = std::str::from_utf8(parts.next().unwrap_or_default()) else {
        return;
    };
    let Ok(mut constraint) = COMPILER.compile(&Grammar::Gbnf(source.to_owned())) else {
        return;
    };
    for &byte in parts.next().unwrap_or_default().iter().take(256) {
        let Ok(mask) = constraint.mask() else {
            return;
        };
        let accepted = constraint.accept(byte.into());
        assert_eq!(mask.is_allowed(byte.into()), accepted.is_ok(), "mask and acceptance agree");
        if accepted.is_err() {
            return;
        }
    }
});
