//! All clauses, one after another.

use super::*;
use crate::LlamaEngine;

/// Checks every clause.
///
/// # Panics
/// At the first clause that the engine breaks.
pub async fn check_all<E: LlamaEngine>(engine: &E) {
    info_is_consistent(engine).await;
    greedy_is_repeatable(engine).await;
    seeds_decide(engine).await;
    concurrent_requests_answer_as_alone(engine).await;
    texts_make_up_the_answer(engine).await;
    max_tokens_is_kept(engine).await;
    usage_counts(engine).await;
    logprobs_are_a_distribution(engine).await;
    token_rules_are_kept(engine).await;
    stop_tokens_end_the_answer(engine).await;
    penalties_act(engine).await;
    seeds_decide_with_all_parameters(engine).await;
    prompts_are_scored_as_answers(engine).await;
    stop_texts_end_the_answer(engine).await;
    stop_interrupts(engine).await;
    dropped_streams_free_the_engine(engine).await;
    bad_requests_are_refused(engine).await;
    bad_sampling_is_refused(engine).await;
    bad_token_rules_are_refused(engine).await;
    bad_contexts_are_refused(engine).await;
    pins_equal_prompts(engine).await;
    pins_serve_many_at_once(engine).await;
    pins_survive_other_work(engine).await;
    contexts_can_be_rewound(engine).await;
    kept_contexts_continue_the_answer(engine).await;
    interrupted_answers_resume(engine).await;
    samples_answer_as_requests(engine).await;
    priorities_change_no_answer(engine).await;
    deadlines_end_the_answer(engine).await;
    answers_follow_their_grammar(engine).await;
    forced_texts_and_limits_are_kept(engine).await;
    constrained_answers_are_as_alone(engine).await;
    citations_are_reported(engine).await;
    bad_grammars_are_refused(engine).await;
    embeddings_are_as_alone(engine).await;
    embedding_options_apply(engine).await;
    overlong_texts_are_cut_if_asked(engine).await;
    empty_texts_are_the_tokens_around_them(engine).await;
    texts_survive_the_tokens(engine).await;
}
