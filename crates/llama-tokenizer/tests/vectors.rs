//! Goldens: llama.cpp's 47 texts for four vocabularies, and the prompts of the reference runs.

mod support;

use std::collections::BTreeMap;

use llama_tokenizer::{AddSpecial, DecodeSpecial, ParseSpecial, Tokenizer};
use serde::Deserialize;
use support::{bard, read, tokenizer};

/// Texts with their ids.
type Cases = Vec<(String, Vec<u32>)>;

fn check(name: &str) {
    let mut cases: BTreeMap<String, Cases> =
        serde_json::from_str(&read("vectors.json")).expect("make.py wrote it");
    let cases = cases.remove(name).expect("a vocabulary with vectors");
    assert_eq!(cases.len(), 47);
    let tokenizer = tokenizer(name);
    let wrong: Vec<_> = cases
        .iter()
        .map(|(text, expected)| {
            (
                text,
                expected,
                tokenizer.encode(text, AddSpecial::No, ParseSpecial::No).expect("any text encodes"),
            )
        })
        .filter(|(_, expected, found)| *expected != found)
        .collect();
    assert!(wrong.is_empty(), "{} of 47: {wrong:?}", wrong.len());
    for (text, ids) in &cases {
        assert_eq!(tokenizer.decode(ids, DecodeSpecial::Keep).expect("known ids"), *text);
    }
}

#[test]
fn llama_bpe() {
    check("llama-bpe");
}

#[test]
fn llama_spm() {
    check("llama-spm");
}

#[test]
fn gpt_2() {
    check("gpt-2");
}

#[test]
fn qwen2() {
    check("qwen2");
}

#[derive(Deserialize)]
struct Prompt {
    text: String,
    ids: Vec<u32>,
    greedy_ids: Vec<u32>,
    greedy_text: String,
}

fn check_reference(name: &str, tokenizer: &Tokenizer, add: AddSpecial) {
    let mut all: BTreeMap<String, Vec<Prompt>> =
        serde_json::from_str(&read("references.json")).expect("make.py wrote it");
    let prompts = all.remove(name).expect("a vocabulary with references");
    assert_eq!(prompts.len(), 5);
    for Prompt { text, ids, greedy_ids, greedy_text } in prompts {
        assert_eq!(tokenizer.encode(&text, add, ParseSpecial::Yes).expect("any text encodes"), ids, "{text}");
        assert_eq!(tokenizer.decode(&greedy_ids, DecodeSpecial::Keep).expect("known ids"), greedy_text);
    }
}

#[test]
fn smollm_reference() {
    check_reference("smollm", tokenizer("smollm"), AddSpecial::No);
}

#[test]
fn qwen2_reference() {
    check_reference("qwen2", tokenizer("qwen2"), AddSpecial::No);
}

#[test]
fn bard_reference() {
    check_reference("bard", bard(), AddSpecial::Yes);
}
