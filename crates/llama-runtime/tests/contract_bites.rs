//! Every clause of the contract fails on an engine that breaks it, and passes on the same engine without the fault.

#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::panic::{self, AssertUnwindSafe, catch_unwind};

use faulty::{Fault, Faulty};
use futures::executor::block_on;
use llama_engine::contract;
use llama_runtime::EngineOptions;
use support::bard;

type Clause = fn(&Faulty);

/// A clause as a plain function.
macro_rules! clause {
    ($name:ident) => {
        (stringify!($name), (|engine| block_on(contract::$name(engine))) as Clause)
    };
}

/// Checks that the clause passes without a fault, and fails with each of these.
fn check((name, clause): (&str, Clause), faults: &[Fault]) {
    let options = EngineOptions { context_len: Some(256), ..EngineOptions::default() };
    panic::set_hook(Box::new(|_| {}));
    let outcomes: Vec<bool> = [&[Fault::Nothing], faults]
        .concat()
        .iter()
        .map(|&fault| {
            catch_unwind(AssertUnwindSafe(|| clause(&Faulty::new(bard(options.clone()), fault)))).is_ok()
        })
        .collect();
    let _ = panic::take_hook();
    assert!(outcomes[0], "{name} fails on an engine without a fault");
    let missed: Vec<&Fault> =
        faults.iter().zip(&outcomes[1..]).filter(|(_, passed)| **passed).map(|(f, _)| f).collect();
    assert!(missed.is_empty(), "{name} does not notice {missed:?}");
}

#[test]
fn clauses_on_generation_bite() {
    check(clause!(info_is_consistent), &[Fault::EmptyInfo]);
    check(clause!(greedy_is_repeatable), &[Fault::Unrepeatable]);
    check(clause!(seeds_decide), &[Fault::Unrepeatable, Fault::AlwaysGreedy]);
    check(clause!(concurrent_requests_answer_as_alone), &[Fault::DependsOnLoad]);
    check(clause!(texts_make_up_the_answer), &[Fault::LosesText]);
    check(clause!(max_tokens_is_kept), &[Fault::OneTokenMore, Fault::WrongReason]);
    check(clause!(usage_counts), &[Fault::CountsOneMore, Fault::OneTokenMore]);
    let logprobs = [Fault::LogprobsRise, Fault::LogprobsShifted, Fault::LogprobsUnasked];
    check(clause!(logprobs_are_a_distribution), &logprobs);
}

#[test]
fn clauses_on_sampling_bite() {
    check(clause!(token_rules_are_kept), &[Fault::IgnoresBans, Fault::IgnoresAllowed, Fault::IgnoresBias]);
    check(clause!(stop_tokens_end_the_answer), &[Fault::IgnoresStopTokens, Fault::IgnoresMinTokens]);
    check(clause!(penalties_act), &[Fault::IgnoresPenalties]);
    check(clause!(seeds_decide_with_all_parameters), &[Fault::DependsOnLoad, Fault::AlwaysGreedy]);
    check(
        clause!(prompts_are_scored_as_answers),
        &[Fault::LosesPromptToken, Fault::PromptShifted, Fault::PromptUnasked],
    );
    check(clause!(bad_token_rules_are_refused), &[Fault::LenientRules]);
}

#[test]
fn clauses_on_grammars_bite() {
    check(clause!(answers_follow_their_grammar), &[Fault::IgnoresGrammar]);
    let forced = [Fault::IgnoresGrammar, Fault::ForcesUncounted, Fault::WrongReason, Fault::IgnoresStops];
    check(clause!(forced_texts_and_limits_are_kept), &forced);
    check(clause!(constrained_answers_are_as_alone), &[Fault::DependsOnLoad]);
    check(clause!(citations_are_reported), &[Fault::IgnoresGrammar, Fault::CitesBeside]);
    check(clause!(bad_grammars_are_refused), &[Fault::IgnoresGrammar]);
}

#[test]
fn clauses_on_stopping_bite() {
    check(
        clause!(stop_texts_end_the_answer),
        &[Fault::IgnoresStops, Fault::TellsStopText, Fault::WrongReason],
    );
    check(clause!(stop_interrupts), &[Fault::DeafToStop]);
    check(clause!(dropped_streams_free_the_engine), &[Fault::StopsAfterDrop]);
}

#[test]
fn clauses_on_refusals_bite() {
    check(clause!(bad_requests_are_refused), &[Fault::Lenient]);
    check(clause!(bad_sampling_is_refused), &[Fault::LenientSampling]);
    check(clause!(bad_contexts_are_refused), &[Fault::TakesForeignContext]);
}

#[test]
fn clauses_on_contexts_bite() {
    check(clause!(pins_equal_prompts), &[Fault::ContextOneShort, Fault::NothingCached]);
    check(clause!(pins_serve_many_at_once), &[Fault::DependsOnLoad, Fault::NothingCached]);
    check(clause!(pins_survive_other_work), &[Fault::ContextOneShort]);
    check(clause!(contexts_can_be_rewound), &[Fault::ContextOneShort]);
    check(
        clause!(kept_contexts_continue_the_answer),
        &[Fault::LosesContext, Fault::ContextOneShort, Fault::NothingCached],
    );
    check(clause!(interrupted_answers_resume), &[Fault::LosesContext, Fault::ContextOneShort]);
}

#[test]
fn clauses_on_several_generations_bite() {
    check(clause!(samples_answer_as_requests), &[Fault::SamplesAlike, Fault::SamplesShareAFate]);
    check(clause!(priorities_change_no_answer), &[Fault::PriorityMatters]);
    check(clause!(deadlines_end_the_answer), &[Fault::DeafToDeadline]);
}

#[test]
fn clauses_on_embeddings_and_tokens_bite() {
    check(clause!(embeddings_are_as_alone), &[Fault::EmbedsBackwards, Fault::EmbedsByBatch]);
    check(
        clause!(embedding_options_apply),
        &[Fault::IgnoresDimensions, Fault::IgnoresInstruction, Fault::ForgetsUntrained],
    );
    check(clause!(overlong_texts_are_cut_if_asked), &[Fault::CutsUnasked]);
    let empty = [Fault::EmptyIsNothing, Fault::EmptyIsTheOther];
    check(clause!(empty_texts_are_the_tokens_around_them), &empty);
    check(clause!(texts_survive_the_tokens), &[Fault::DetokenizesTrimmed]);
}
