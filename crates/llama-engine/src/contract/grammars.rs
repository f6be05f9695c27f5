//! Clauses on grammars: the answer follows them, ends where they may end, and cites what it may.

use super::answer::{Answer, accepted, ask, join, random, tokens_of};
use crate::{
    CitationGrammar, EndOfText, EngineError, FinishReason, GenerateRequest, Grammar, LlamaEngine,
    RequiredCitations, Sampling,
};

const PROMPT: &str = "HAMLET.\nTo be, or not to be, that is the question:";

fn with(grammar: Grammar, sampling: Sampling) -> GenerateRequest {
    GenerateRequest::new(PROMPT).with_grammar(grammar).with_sampling(sampling).with_max_tokens(64)
}

fn gbnf(source: &str) -> Grammar {
    Grammar::Gbnf(source.to_owned())
}

/// An answer that has ended by itself is a whole text of its grammar, whatever the model would rather say.
///
/// # Panics
/// If the engine breaks this.
pub async fn answers_follow_their_grammar<E: LlamaEngine>(engine: &E) {
    let texts = ["aye, my lord", "nay", "nay, madam"].map(str::to_owned);
    for sampling in [Sampling::default(), random(1), random(2), random(3)] {
        let choice = ask(engine, with(Grammar::Choice(texts.to_vec()), sampling.clone())).await;
        assert!(texts.contains(&choice.text()), "{:?} of {texts:?}", choice.text());
        let regex = ask(engine, with(Grammar::Regex("[x-z]{4}-[0-9]".to_owned()), sampling.clone())).await;
        let text = regex.text();
        let is_whole = text.len() == 6 && text[..4].bytes().all(|byte| (b'x'..=b'z').contains(&byte));
        assert!(is_whole && text.as_bytes()[4] == b'-' && text.as_bytes()[5].is_ascii_digit(), "{text:?}");
        let nested = ask(engine, with(gbnf("root ::= \"(\" root? \")\" | \"x\""), sampling)).await;
        let (text, reason) = (nested.text(), nested.finished.reason.clone());
        let depth = text.matches('(').count();
        let middle = if text.contains('x') { "x" } else { "" };
        let whole = format!("{}{middle}{}", "(".repeat(depth), ")".repeat(depth));
        match reason {
            FinishReason::EndOfText => assert_eq!(text, whole),
            _ => assert!(whole.starts_with(&text), "{text:?} begins nothing"),
        }
        assert_eq!(choice.finished.reason, FinishReason::EndOfText);
        assert_eq!(regex.finished.reason, FinishReason::EndOfText);
    }
}

/// Where the grammar leaves no choice, tokens are those of the tokenizer, and they are counted. Limits and stop texts cut an
/// answer off, and say so.
///
/// # Panics
/// If the engine breaks this.
pub async fn forced_texts_and_limits_are_kept<E: LlamaEngine>(engine: &E) {
    let text = "Whether it is nobler in the mind to suffer";
    let only = Grammar::Choice(vec![text.to_owned()]);
    let whole = ask(engine, with(only.clone(), random(5))).await;
    assert_eq!(whole.text(), text);
    assert_eq!(whole.tokens(), tokens_of(engine, text).await, "forced tokens are canonical");
    assert_eq!(whole.finished.reason, FinishReason::EndOfText);
    let usage = whole.finished.usage;
    assert!(usage.forced_tokens > 0 && usage.forced_tokens < usage.completion_tokens, "{usage:?}");
    let cut = ask(engine, with(only.clone(), random(5)).with_max_tokens(3)).await;
    assert_eq!((cut.events.len(), &cut.finished.reason), (3, &FinishReason::MaxTokens));
    assert!(text.starts_with(&cut.text()), "{:?}", cut.text());
    let stopped = ask(engine, with(only.clone(), random(5)).with_stop("in the")).await;
    assert_eq!(stopped.text(), "Whether it is nobler ");
    assert_eq!(stopped.finished.reason, FinishReason::Stop("in the".to_owned()));
    let watched = ask(engine, with(only, random(5)).with_logprobs(1)).await;
    assert_eq!(watched.tokens(), whole.tokens(), "asking for log-probabilities changes nothing");
    assert!(watched.events.iter().all(|event| event.logprobs.is_some()), "each token has its own");
}

/// Answers under grammars do not depend on what else runs.
///
/// # Panics
/// If the engine breaks this.
pub async fn constrained_answers_are_as_alone<E: LlamaEngine>(engine: &E) {
    let word = || gbnf("root ::= \"<\" [a-z]{2,9} (\" \" [a-z]{2,9}){0,3} \">\"");
    let requests: Vec<GenerateRequest> = (0..6).map(|seed| with(word(), random(seed))).collect();
    let together = join(requests.iter().map(|request| ask(engine, request.clone()))).await;
    for (seed, (request, together)) in requests.into_iter().zip(together).enumerate() {
        let alone = ask(engine, request).await;
        assert_eq!(alone.tokens(), together.tokens(), "seed {seed}");
        assert_eq!(alone.finished.usage.forced_tokens, together.finished.usage.forced_tokens, "seed {seed}");
    }
}

fn check_citations(answer: &Answer, ids: &[u32]) {
    let text = answer.text();
    for citation in &answer.citations {
        assert_eq!(text.get(citation.range.clone()), Some(&*citation.marker), "{citation:?} in {text:?}");
        assert_eq!(citation.marker, format!("[{}]", citation.id));
        assert!(ids.contains(&citation.id), "{citation:?} of {ids:?}");
    }
    let num_brackets = text.matches(['[', ']']).count();
    assert_eq!(num_brackets, 2 * answer.citations.len(), "each bracket of {text:?} belongs to a citation");
}

/// Citations are of the given ids, whole, and reported with their place in the text, wherever the answer is cut off.
///
/// # Panics
/// If the engine breaks this.
pub async fn citations_are_reported<E: LlamaEngine>(engine: &E) {
    let ids = vec![2, 17, 40];
    let citing = |required| Grammar::Citations(CitationGrammar { ids: ids.clone(), required });
    let mut num_citations = 0;
    for max_tokens in 1..24 {
        let request = with(citing(RequiredCitations::None), random(max_tokens as u64));
        let answer = ask(engine, request.with_max_tokens(max_tokens)).await;
        check_citations(&answer, &ids);
    }
    for seed in 0..4 {
        // A model that never cites by itself has to, because nothing else may come.
        let lark = "start: /[a-z ]{0,9}/ MARK MARK\nMARK: \"[2]\" | \"[17]\"";
        let forced = ask(engine, with(Grammar::Lark(lark.to_owned()), random(seed))).await;
        assert!(forced.citations.is_empty(), "only citation grammars report citations");
        let answer = ask(engine, with(citing(RequiredCitations::PerAnswer), random(seed))).await;
        check_citations(&answer, &ids);
        let has_ended = answer.finished.reason == FinishReason::EndOfText;
        assert!(!has_ended || !answer.citations.is_empty(), "{:?} ends without a citation", answer.text());
        num_citations += answer.citations.len();
    }
    let only =
        Grammar::Citations(CitationGrammar { ids: ids.clone(), required: RequiredCitations::PerSentence });
    let banned = ask(engine, with(only, Sampling { temperature: 3.0, ..random(9) })).await;
    check_citations(&banned, &ids);
    num_citations += banned.citations.len();
    assert!(num_citations > 0, "nothing was ever cited");
}

/// Grammars that cannot be honoured are refused before anything is said, with the place of the error where there is one.
///
/// # Panics
/// If the engine breaks this.
pub async fn bad_grammars_are_refused<E: LlamaEngine>(engine: &E) {
    let refusal = async |grammar: Grammar| match engine.generate(with(grammar, Sampling::default())).await {
        Err(EngineError::InvalidGrammar { at, reason }) => (at, reason),
        other => panic!("{:?}, expected a refusal", other.map(|_| "a stream")),
    };
    assert_eq!(refusal(gbnf("root ::= \"a\"\nb ::= nothing")).await.0, Some((2, 7)));
    assert_eq!(refusal(gbnf("root ::= root \"a\" | \"b\"")).await.0, Some((1, 10)));
    let (_, reason) =
        refusal(Grammar::JsonSchema("{\"properties\": {\"a\": {\"not\": {}}}}".to_owned())).await;
    assert!(reason.contains("/properties/a/not"), "{reason}");
    refusal(Grammar::Choice(Vec::new())).await;
    refusal(Grammar::Regex("(".to_owned())).await;
    let endless = with(gbnf("root ::= \"a\""), Sampling::default()).with_end(EndOfText::Ignored);
    let refused = engine.generate(endless).await;
    assert!(matches!(refused, Err(EngineError::InvalidRequest { field: "grammar", .. })));
    let after = ask(engine, with(gbnf("root ::= \"a\""), Sampling::default())).await;
    assert_eq!(after.text(), "a");
    accepted(engine.generate(GenerateRequest::new(PROMPT).with_max_tokens(1)).await);
}
