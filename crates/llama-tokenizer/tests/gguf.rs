//! Contradictory GGUF vocabularies give the error that names the cause; framing follows the file.

mod support;

use llama_tokenizer::{AddSpecial, DecodeSpecial, GgufVocabulary, ParseSpecial, Tokenizer};

/// Byte-level BPE over a few letters.
fn bpe() -> GgufVocabulary {
    let tokens = ["a", "b", "ab", "Ġ", "<s>", "</s>", "<user>"];
    GgufVocabulary {
        model: "gpt2".to_owned(),
        tokens: tokens.map(str::to_owned).to_vec(),
        token_types: vec![1, 1, 1, 1, 3, 3, 4],
        merges: vec!["a b".to_owned()],
        bos: Some(4),
        eos: Some(5),
        ..GgufVocabulary::default()
    }
}

/// SPM over one letter and all bytes.
fn spm() -> GgufVocabulary {
    let mut tokens: Vec<String> =
        ["<unk>", "<s>", "▁", "a", "▁a", "<", "s", ">", "<s"].map(str::to_owned).to_vec();
    let mut token_types = vec![2, 3, 1, 1, 1, 1, 1, 1, 1];
    for byte in 0..=255_u8 {
        tokens.push(format!("<0x{byte:02X}>"));
        token_types.push(6);
    }
    let scores = vec![0.0; tokens.len()];
    let (bos, unk) = (Some(1), Some(0));
    GgufVocabulary {
        model: "llama".to_owned(),
        tokens,
        token_types,
        scores,
        bos,
        unk,
        ..GgufVocabulary::default()
    }
}

fn refuse(mut vocabulary: GgufVocabulary, damage: impl Fn(&mut GgufVocabulary), expected: &str) {
    Tokenizer::from_gguf(&vocabulary).expect("sound before the damage");
    damage(&mut vocabulary);
    let error = Tokenizer::from_gguf(&vocabulary).expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn unknown_kinds_list_the_known_ones() {
    refuse(
        bpe(),
        |v| v.model = "bert".to_owned(),
        r#"unknown tokenizer model "bert"; known are ["gpt2", "llama"]"#,
    );
    refuse(
        bpe(),
        |v| v.pre = Some("tekken".to_owned()),
        r#"unknown pre-tokenizer "tekken"; known are ["gpt-2", "gpt2", "default", "smollm", "llama-bpe", "llama3", "llama-v3", "qwen2"]"#,
    );
}

#[test]
fn contradictions_are_errors() {
    refuse(bpe(), |v| v.tokens.clear(), "the vocabulary is empty");
    refuse(bpe(), |v| v.tokens[1] = "a".to_owned(), r#"tokens 0 and 1 are both "a""#);
    refuse(bpe(), |v| v.token_types.truncate(6), "token_type has 6 entries for 7 tokens");
    refuse(bpe(), |v| v.token_types[2] = 7, "token 2 has the type 7; types are 0 to 6");
    refuse(bpe(), |v| v.bos = Some(7), "the bos token is 7, but there are 7 tokens");
    refuse(bpe(), |v| v.eos = Some(u32::MAX), "the eos token is 4294967295, but there are 7 tokens");
    refuse(bpe(), |v| v.unk = Some(7), "the unk token is 7, but there are 7 tokens");
    refuse(
        bpe(),
        |v| (v.bos, v.add_bos) = (None, Some(true)),
        "the vocabulary wants a bos token added, but names none",
    );
    refuse(
        bpe(),
        |v| (v.eos, v.add_eos) = (None, Some(true)),
        "the vocabulary wants a eos token added, but names none",
    );
}

#[test]
fn merges_are_pairs_of_tokens() {
    for text in ["ab", "", " ", "a ", " b", "a b b", "a  b"] {
        let expected = format!("merge 1 is {text:?}, not a pair");
        refuse(bpe(), |v| v.merges.push(text.to_owned()), &expected);
    }
    let missing = |piece: &str| format!("merge 1 needs the token {piece:?}, which the vocabulary lacks");
    refuse(bpe(), |v| v.merges.push("a c".to_owned()), &missing("c"));
    refuse(bpe(), |v| v.merges.push("b a".to_owned()), &missing("ba"));
}

#[test]
fn spm_needs_scores_and_a_fallback() {
    refuse(spm(), |v| v.scores.truncate(3), "scores has 3 entries for 265 tokens");
    refuse(spm(), |v| v.scores[3] = f32::NAN, "the score of token 3 is not a number");
    refuse(
        spm(),
        |v| (v.unk, v.token_types[9 + 0x41]) = (None, 1),
        "the vocabulary lacks the byte token <0x41> and names no unknown token",
    );
}

fn check(vocabulary: &GgufVocabulary, text: &str, modes: (AddSpecial, ParseSpecial), expected: &[u32]) {
    let tokenizer = Tokenizer::from_gguf(vocabulary).expect("a sound vocabulary");
    assert_eq!(tokenizer.encode(text, modes.0, modes.1).expect("encodes"), expected, "{text:?} {modes:?}");
}

#[test]
fn framing_follows_the_file() {
    let add = (AddSpecial::Yes, ParseSpecial::No);
    check(&bpe(), "ab", add, &[2]);
    check(&GgufVocabulary { add_bos: Some(true), add_eos: Some(true), ..bpe() }, "ab", add, &[4, 2, 5]);
    check(&GgufVocabulary { pre: Some("llama3".to_owned()), ..bpe() }, "ab", add, &[4, 2]);
    check(&GgufVocabulary { pre: Some("llama3".to_owned()), add_bos: Some(false), ..bpe() }, "ab", add, &[2]);
    check(&spm(), "a", add, &[1, 4]);
    check(&spm(), "", add, &[1]);
    check(&GgufVocabulary { add_bos: Some(false), ..spm() }, "a", add, &[4]);
    check(&GgufVocabulary { add_space_prefix: Some(false), ..spm() }, "a", add, &[1, 3]);
}

#[test]
fn special_text_is_parsed_on_request_only() {
    let (literal, parsed) = ((AddSpecial::No, ParseSpecial::No), (AddSpecial::No, ParseSpecial::Yes));
    check(&bpe(), "a<s>b", parsed, &[0, 4, 1]);
    check(&bpe(), "a<s>b", literal, &[0, 1]);
    check(&bpe(), "a<user>b", literal, &[0, 6, 1]);
    // Each run after a special token gets its space.
    check(&spm(), "a<s>a", parsed, &[4, 1, 4]);
    // "<s" and ">" would merge into the control token.
    check(&spm(), "<s>", literal, &[2, 8, 7]);
}

#[test]
fn a_control_token_that_merges_could_spell_stays_text() {
    let vocabulary = GgufVocabulary { token_types: vec![1, 1, 3, 1, 3, 3, 4], ..bpe() };
    check(&vocabulary, "ab", (AddSpecial::No, ParseSpecial::No), &[0, 1]);
    check(&vocabulary, "ab", (AddSpecial::No, ParseSpecial::Yes), &[2]);
}

#[test]
fn missing_bytes_become_the_unknown_token() {
    let mut vocabulary = spm();
    vocabulary.token_types[9 + 0x62] = 1;
    check(&vocabulary, "b", (AddSpecial::No, ParseSpecial::No), &[2, 0]);
}

#[test]
fn lookups() {
    let tokenizer = Tokenizer::from_gguf(&spm()).expect("a sound vocabulary");
    assert_eq!(tokenizer.vocab_size(), 265);
    assert_eq!(tokenizer.token_id("▁a"), Some(4));
    assert_eq!(tokenizer.token_id("<s>"), Some(1));
    assert_eq!(tokenizer.token_text(4).as_deref(), Some("▁a"));
    assert_eq!(tokenizer.token_text(265), None);
    assert_eq!(tokenizer.token_bytes(4), Some(b" a".as_slice()));
    assert_eq!(tokenizer.token_bytes(9 + 0xff), Some([0xff].as_slice()));
    assert_eq!(tokenizer.token_bytes(265), None);
    assert!(tokenizer.is_special(1) && !tokenizer.is_special(4) && !tokenizer.is_special(999));
    assert_eq!(tokenizer.decode(&[1, 4], DecodeSpecial::Keep).expect("known"), "<s> a");
    assert_eq!(tokenizer.decode(&[1, 4], DecodeSpecial::Skip).expect("known"), "a");
}
