//! tokenizer.json: what from_json refuses, ignores and derives.

mod support;

use llama_tokenizer::{AddSpecial, DecodeSpecial, ParseSpecial, SpecialTokens, Tokenizer, TokenizerError};
use serde_json::{Value, json};
use support::bard;

/// A SentencePiece BPE in the form in which Llama 2 was published.
fn llama2_style() -> Value {
    let added = |id: u32, text: &str| json!({"id": id, "content": text, "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false});
    let mut vocab = json!({"<unk>": 0, "<s>": 1, "▁": 2, "a": 3, "▁a": 4});
    for byte in 0..256 {
        vocab[format!("<0x{byte:02X}>")] = json!(5 + byte);
    }
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
        "added_tokens": [added(0, "<unk>"), added(1, "<s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": ["▁ a"]},
    })
}

fn build(json: &Value) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_json(json.to_string().as_bytes())
}

#[test]
fn sentence_piece_bytes_and_no_truncation() {
    let tokenizer = build(&llama2_style()).expect("valid");
    let ids = tokenizer.encode("a aé", AddSpecial::Yes, ParseSpecial::No).expect("encodes");
    assert_eq!(ids, [4, 4, 5 + 0xc3, 5 + 0xa9]);
    assert_eq!(tokenizer.decode(&ids, DecodeSpecial::Keep).expect("known"), "a aé");
    assert_eq!(tokenizer.token_bytes(5 + 0xc3), Some([0xc3].as_slice()));
    assert_eq!(tokenizer.special_ids().unk, Some(0));
}

#[test]
fn refusals() {
    assert!(matches!(Tokenizer::from_json(b"{"), Err(TokenizerError::TokenizerJson { .. })));
    assert!(matches!(Tokenizer::from_json(b"{}"), Err(TokenizerError::TokenizerJson { .. })));
    assert!(matches!(Tokenizer::from_file("no/such/file"), Err(TokenizerError::Read { .. })));
    let mut json = llama2_style();
    json["decoder"] = Value::Null;
    assert!(matches!(build(&json), Err(TokenizerError::UnsupportedDecoder { found, .. }) if found == "null"));
    let mut json = llama2_style();
    json["model"]["vocab"]["far"] = json!(u32::MAX);
    assert!(matches!(build(&json), Err(TokenizerError::SparseIds { num_tokens: 262, max_id: u32::MAX })));
}

#[test]
fn special_tokens_of_the_config_are_found_or_an_error() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard/");
    let config = std::fs::read_to_string(format!("{path}tokenizer_config.json")).expect("bard is committed");
    let tokens = SpecialTokens::from_config(&config).expect("a valid config");
    let tokenizer = Tokenizer::from_file(format!("{path}tokenizer.json")).expect("valid");
    let tokenizer = tokenizer.with_special_tokens(&tokens).expect("both exist");
    assert_eq!((tokenizer.special_ids().bos, tokenizer.special_ids().eos), (Some(0), Some(1)));
    let other = SpecialTokens { eos: Some("<|im_end|>".to_owned()), ..tokens };
    let error = tokenizer.with_special_tokens(&other).expect_err("bard has no such token");
    assert!(matches!(error, TokenizerError::UnknownSpecialToken { role: "eos", .. }));
}

#[test]
fn special_text_is_parsed_on_request_only() {
    let encode = |parse| bard().encode("<s>a", AddSpecial::No, parse).expect("encodes");
    assert_eq!(encode(ParseSpecial::Yes)[0], 0);
    assert!(encode(ParseSpecial::No).iter().all(|&id| !bard().is_special(id)));
}

#[test]
fn decoding_agrees_with_the_library() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard/tokenizer.json");
    let library = tokenizers::Tokenizer::from_file(path).expect("valid");
    for seed in 0..200_u32 {
        let ids: Vec<u32> = (0..20).map(|step| (seed * 7919 + step * 104_729) % 1024).collect();
        for (special, skips) in [(DecodeSpecial::Keep, false), (DecodeSpecial::Skip, true)] {
            let expected = library.decode(&ids, skips).expect("decodes");
            assert_eq!(bard().decode(&ids, special).expect("known"), expected, "{ids:?}");
        }
    }
}

#[test]
fn everything_may_be_shared_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Tokenizer>();
    check::<llama_tokenizer::StreamDecoder>();
    check::<llama_tokenizer::ChatTemplate>();
    check::<TokenizerError>();
}
