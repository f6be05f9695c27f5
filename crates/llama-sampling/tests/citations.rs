//! Answers of a model that knows nothing: whatever it says, its citations are among those given.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeSet;

use llama_engine::{CitationGrammar, Grammar, RequiredCitations};
use llama_sampling::{Constraint, GrammarCompiler, GrammarError, GrammarLimits, Stream, uniform};
use support::{bard, bytes_compiler, check};

fn rules(ids: &[u32], required: RequiredCitations) -> Grammar {
    Grammar::Citations(CitationGrammar { ids: ids.to_vec(), required })
}

fn compile(ids: &[u32], required: RequiredCitations) -> Constraint {
    bytes_compiler().compile(&rules(ids, required)).unwrap()
}

#[test]
fn only_given_ids_are_cited() {
    let optional = compile(&[1, 3, 12], RequiredCitations::None);
    check(
        &optional,
        &["", "So it is [1][3], and so [12]. é", "[12]"],
        &["[2]", "[", "]", "[1", "a[b]", "[1,3]", "[ 1]", "[01]", "[13]"],
    );
    check(&compile(&[], RequiredCitations::None), &["", "So it is."], &["[1]", "[", "]"]);
}

#[test]
fn an_answer_or_each_sentence_cites() {
    let answer = compile(&[1, 2], RequiredCitations::PerAnswer);
    check(&answer, &["[1]", "It is. So [2].", "It is [1] and [1][2]"], &["", "It is.", "[3]"]);
    let sentence = compile(&[1, 2], RequiredCitations::PerSentence);
    let whole = [
        "It is [1].",
        "It is [1]. It was 3.5 m [2][1]!? ",
        "It is [2]",
        "See e.g.this [1]...\nOr [2] that?",
        "It is.[1] So.",
    ];
    check(&sentence, &whole, &["", "It is.", "It is [1]. It was.", "It is. [1]", "[3].", "It [1]? So"]);
    let error = bytes_compiler().compile(&rules(&[], RequiredCitations::PerSentence)).unwrap_err();
    assert!(matches!(error, GrammarError::Refused { .. }), "{error}");
}

/// The likeliest token of a model that wants nothing as much as `wanted`, and its logit.
fn led_to(constraint: &mut Constraint, wanted: u32, logits: &[(u32, f32)]) -> (u32, f32) {
    let mut row = vec![0.0; 257];
    logits.iter().for_each(|&(token, logit)| row[token as usize] = logit);
    row[wanted as usize] = 9.0;
    constraint.mask().unwrap().apply(&mut row);
    let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    (best as u32, row[best])
}

fn accept(constraint: &mut Constraint, text: &str) {
    text.bytes().for_each(|byte| constraint.accept(byte.into()).unwrap());
}

#[test]
fn what_lacks_a_citation_leads_to_one() {
    let (end, open) = (256, u32::from(b'['));
    let mut answer = compile(&[1, 2], RequiredCitations::PerAnswer);
    accept(&mut answer, "It is");
    assert_eq!(led_to(&mut answer, end, &[]), (open, 9.0), "it may not end yet");
    assert_eq!(led_to(&mut answer, b'x'.into(), &[(end, 5.0)]), (b'x'.into(), 9.0), "and need not");
    accept(&mut answer, "[");
    assert_eq!(
        led_to(&mut answer, end, &[(b'2'.into(), 1.0)]),
        (b'2'.into(), 1.0),
        "inside a marker is no way out"
    );
    accept(&mut answer, "2]");
    assert_eq!(led_to(&mut answer, end, &[]), (end, 9.0));
    let mut sentence = compile(&[1], RequiredCitations::PerSentence);
    accept(&mut sentence, "It is.");
    assert_eq!(led_to(&mut sentence, b' '.into(), &[]), (open, 9.0), "white space would end the sentence");
    accept(&mut sentence, "[1]");
    assert_eq!(led_to(&mut sentence, b' '.into(), &[]), (b' '.into(), 9.0));
    let mut optional = compile(&[1], RequiredCitations::None);
    assert_eq!(led_to(&mut optional, end, &[]), (end, 9.0));
}

/// A model whose logits are random, with likely brackets: they are what has to be held in check.
fn random_answer(mut constraint: Constraint, vocabulary: &Vocabulary, seed: u64) -> (String, bool) {
    let mut bytes = Vec::new();
    for step in 0..20u64 {
        let mask = constraint.mask().unwrap();
        let mut logits: Vec<f32> = vocabulary
            .texts
            .iter()
            .enumerate()
            .map(|(token, text)| {
                let noise = uniform(seed, Stream::TOKEN, step * 2048 + token as u64) as f32;
                let bonus = if vocabulary.end_tokens.contains(&(token as u32)) {
                    step as f32 / 20.0
                } else if text.iter().any(|byte| b"[]0123456789.".contains(byte)) {
                    0.5
                } else {
                    0.0
                };
                noise + bonus
            })
            .collect();
        mask.apply(&mut logits);
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32;
        if vocabulary.end_tokens.contains(&best) {
            return (String::from_utf8(bytes).unwrap(), true);
        }
        constraint.accept(best).unwrap();
        bytes.extend(&vocabulary.texts[best as usize]);
        if constraint.is_complete() {
            return (String::from_utf8(bytes).unwrap(), true);
        }
    }
    (String::from_utf8_lossy(&bytes).into_owned(), false)
}

struct Vocabulary {
    texts: Vec<Vec<u8>>,
    end_tokens: Vec<u32>,
}

/// Whether every bracket of a text belongs to a marker of one of the ids. One that has only begun is no marker yet.
fn is_well_cited(text: &str, ids: &BTreeSet<u32>, has_ended: bool) -> bool {
    let mut rest = text;
    while let Some(open) = rest.find(['[', ']']) {
        let Some(inside) = rest[open..].strip_prefix('[') else {
            return false;
        };
        let Some((marker, after)) = inside.split_once(']') else {
            let begins_one = |id: &u32| id.to_string().starts_with(inside);
            return !has_ended && ids.iter().any(begins_one);
        };
        if !ids.iter().any(|id| id.to_string() == marker) {
            return false;
        }
        rest = after;
    }
    true
}

#[test]
fn ten_thousand_random_answers_cite_nothing_foreign() {
    let (vocabulary, tokenizer) = bard();
    let texts =
        (0..vocabulary.pieces.len() as u32).map(|id| tokenizer.token_bytes(id).unwrap_or_default().to_vec());
    let texts = Vocabulary { texts: texts.collect(), end_tokens: vocabulary.end_tokens.clone() };
    let compiler = GrammarCompiler::new(vocabulary, GrammarLimits::default()).unwrap();
    let (mut num_citations, mut num_ended) = (0, 0);
    for seed in 0..10_000u64 {
        let ids: BTreeSet<u32> = (0..=seed % 5).map(|i| (seed * 7 + i * 13) as u32 % 120).collect();
        let required = match seed % 3 {
            0 => RequiredCitations::None,
            1 => RequiredCitations::PerAnswer,
            _ => RequiredCitations::PerSentence,
        };
        let constraint =
            compiler.compile(&rules(&ids.iter().copied().collect::<Vec<_>>(), required)).unwrap();
        let (text, has_ended) = random_answer(constraint, &texts, seed);
        assert!(is_well_cited(&text, &ids, has_ended), "{text:?} cites something else than {ids:?}");
        let cites = text.contains(']');
        assert!(
            !has_ended || cites || required == RequiredCitations::None,
            "{text:?} ends without a citation"
        );
        num_citations += text.matches(']').count();
        num_ended += usize::from(has_ended);
    }
    // The property would be empty if the model never tried.
    assert!(num_citations > 5_000 && num_ended > 5_000, "{num_citations} citations, {num_ended} ends");
}
