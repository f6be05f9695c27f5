//! Masks, forced tokens, going back, and the vocabulary's special tokens.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use llama_engine::Grammar;
use llama_sampling::{GrammarCompiler, GrammarError, GrammarLimits, GrammarVocabulary, VocabularyPiece};
use llama_tokenizer::{AddSpecial, ParseSpecial};
use support::{END, bard, bytes_compiler, bytes_vocabulary, check, gbnf};

fn bard_compiler() -> GrammarCompiler {
    GrammarCompiler::new(bard().0, GrammarLimits::default()).unwrap()
}

#[test]
fn other_notations_go_to_the_engine() {
    let compiler = bytes_compiler();
    let choice = Grammar::Choice(vec!["to be".to_owned(), "not\n\"to\" be".to_owned(), "to".to_owned()]);
    check(
        &compiler.compile(&choice).unwrap(),
        &["to be", "to", "not\n\"to\" be"],
        &["", "to b", "not", "tobe"],
    );
    let regex = Grammar::Regex(r"[a-c]+/\d{2}".to_owned());
    check(&compiler.compile(&regex).unwrap(), &["abc/12"], &["/12", "abc/1", "abc/123"]);
    let lark = Grammar::Lark("start: \"a\" b?\nb: /[0-9]+/".to_owned());
    check(&compiler.compile(&lark).unwrap(), &["a", "a17"], &["", "ab"]);
    let error = compiler.compile(&Grammar::Lark("start: \"a\" b?\nb: /[0-9/".to_owned())).unwrap_err();
    assert_eq!(error.position().map(|at| at.line), Some(2), "{error}");
    assert!(compiler.compile(&Grammar::Regex("(".to_owned())).is_err());
    assert!(compiler.compile(&Grammar::Choice(Vec::new())).is_err());
}

#[test]
fn forced_tokens_are_those_of_the_tokenizer() {
    let (_, tokenizer) = bard();
    let text = "To be, or not to be, that is the question:";
    let mut constraint = bard_compiler().compile(&Grammar::Choice(vec![text.to_owned()])).unwrap();
    let forced = constraint.forced();
    assert_eq!(forced, tokenizer.encode(text, AddSpecial::No, ParseSpecial::No).unwrap());
    for &token in &forced {
        assert_eq!(constraint.mask().unwrap().tokens().collect::<Vec<_>>(), [token]);
        constraint.accept(token).unwrap();
    }
    assert!(constraint.is_complete() && constraint.may_end());
    assert!(constraint.forced().is_empty());
}

#[test]
fn forced_tokens_end_where_a_choice_could_change_them() {
    let mut constraint =
        bard_compiler().compile(&Grammar::Gbnf("root ::= \"the king\" (\"s\" | \"\")".to_owned())).unwrap();
    let (_, tokenizer) = bard();
    let forced = constraint.forced();
    let texts: Vec<String> = forced
        .iter()
        .map(|&token| tokenizer.decode(&[token], llama_tokenizer::DecodeSpecial::Keep).unwrap())
        .collect();
    assert!("the king".starts_with(&texts.concat()), "{texts:?}");
    let whole = tokenizer.encode("the kings", AddSpecial::No, ParseSpecial::No).unwrap();
    assert!(whole.starts_with(&forced), "{texts:?} is not how {whole:?} begins");
    assert_eq!(constraint.forced(), forced, "asking changes nothing");
}

#[test]
fn going_back_is_as_if_nothing_had_been_read() {
    let mut constraint = gbnf("root ::= \"(\" root \")\" | [a-z]+").unwrap();
    let masks: Vec<_> = "((ab"
        .bytes()
        .map(|byte| {
            let mask = constraint.mask().unwrap();
            constraint.accept(u32::from(byte)).unwrap();
            mask
        })
        .collect();
    let mut copy = constraint.clone();
    constraint.rollback(3).unwrap();
    assert_eq!(constraint.mask().unwrap(), masks[1]);
    assert!(constraint.rollback(2).is_err());
    copy.accept(u32::from(b')')).unwrap();
    assert!(!copy.may_end());
}

#[test]
fn no_grammar_spells_a_special_token() {
    let mut constraint = gbnf("root ::= [^x]*").unwrap();
    let mask = constraint.mask().unwrap();
    let special: Vec<u32> = (256..261).filter(|&token| mask.is_allowed(token)).collect();
    assert_eq!(special, [END], "and that only because the text may end");
    let mut constraint = gbnf("root ::= \"<|end|>\" \"<think>\"").unwrap();
    for byte in "<|end|><think>".bytes() {
        assert_eq!(constraint.mask().unwrap().tokens().collect::<Vec<_>>(), [u32::from(byte)]);
        constraint.accept(u32::from(byte)).unwrap();
    }
    assert_eq!(constraint.mask().unwrap().tokens().collect::<Vec<_>>(), [END]);
}

#[test]
fn masks_rule_out_all_other_logits() {
    let mut constraint = gbnf("root ::= [ab\\x1f\\x20]").unwrap();
    let mut logits = vec![0.0; 300];
    constraint.mask().unwrap().apply(&mut logits);
    let left: Vec<usize> = (0..300).filter(|&token| logits[token] == 0.0).collect();
    assert_eq!(left, [0x1f, 0x20, 97, 98]);
    assert_eq!(constraint.mask().unwrap().num_allowed(), 4);
}

#[test]
fn a_text_that_no_token_continues_is_an_error() {
    let mut vocabulary = bytes_vocabulary();
    vocabulary.pieces[usize::from(b'b')] = VocabularyPiece::Unused;
    let compiler = GrammarCompiler::new(vocabulary, GrammarLimits::default()).unwrap();
    let mut constraint = compiler.compile(&Grammar::Gbnf("root ::= [ac] \"b\"".to_owned())).unwrap();
    constraint.accept(u32::from(b'a')).unwrap();
    let error = constraint.mask().unwrap_err();
    assert!(matches!(error, GrammarError::NoToken { .. }), "{error}");
    assert!(constraint.mask().is_err(), "and it stays one");
    let nothing = compiler.compile(&Grammar::Gbnf("root ::= \"b\"".to_owned()));
    assert!(matches!(nothing, Err(GrammarError::NoToken { .. })), "{nothing:?}");
}

#[test]
fn work_beyond_the_limits_is_an_error() {
    let limits = GrammarLimits { max_parser_step_items: 20, ..GrammarLimits::default() };
    let compiler = GrammarCompiler::new(bytes_vocabulary(), limits).unwrap();
    let source = "root ::= \"(\" root \")\" | \"[\" root \"]\" | [a-z] root | \"x\"";
    let result = compiler.compile(&Grammar::Gbnf(source.to_owned()));
    assert!(matches!(result, Err(GrammarError::NoToken { .. })), "{result:?}");
}

#[test]
fn wrong_vocabularies_are_refused() {
    let refused = |vocabulary: GrammarVocabulary| {
        let result = GrammarCompiler::new(vocabulary, GrammarLimits::default());
        assert!(matches!(result, Err(GrammarError::Vocabulary { .. })));
    };
    refused(GrammarVocabulary { end_tokens: vec![9999], ..bytes_vocabulary() });
    refused(GrammarVocabulary { pieces: Vec::new(), end_tokens: Vec::new(), ..bytes_vocabulary() });
    let long = vec![VocabularyPiece::Text(vec![b'a'; 300])];
    refused(GrammarVocabulary { pieces: long, end_tokens: Vec::new(), ..bytes_vocabulary() });
}

#[test]
fn without_end_tokens_only_whole_texts_end() {
    let vocabulary = GrammarVocabulary { end_tokens: Vec::new(), ..bytes_vocabulary() };
    let compiler = GrammarCompiler::new(vocabulary, GrammarLimits::default()).unwrap();
    let mut constraint = compiler.compile(&Grammar::Gbnf("root ::= \"a\"".to_owned())).unwrap();
    constraint.accept(97).unwrap();
    assert!(constraint.is_complete());
    assert!(constraint.mask().is_err());
}
