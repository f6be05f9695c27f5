//! The contract of [`LlamaEngine`](crate::LlamaEngine), as tests that every engine passes.
//!
//! One function per clause: plain async functions that panic where the engine breaks it, so that they need nothing but
//! an executor's `block_on`. They assume an engine whose answers do not depend on what else runs, a context of at
//! least 256 tokens, and nobody else who asks it at the same time. They do not assume a particular model, device or
//! cache size. Nothing here knows how an engine works inside: what is specific to one is tested beside it.
//!
//! ```no_run
//! # fn block_on<F: Future>(_: F) {}
//! # fn test(engine: impl llama_engine::LlamaEngine) {
//! block_on(llama_engine::contract::check_all(&engine));
//! # }
//! ```

mod all;
mod answer;
mod contexts;
mod embedding;
mod generation;
mod grammars;
mod refusals;
mod sampling;
mod several;
mod stopping;
mod tokens;

pub use all::check_all;
pub use contexts::{
    contexts_can_be_rewound, interrupted_answers_resume, kept_contexts_continue_the_answer,
    pins_equal_prompts, pins_serve_many_at_once, pins_survive_other_work,
};
pub use embedding::{
    embedding_options_apply, embeddings_are_as_alone, empty_texts_are_the_tokens_around_them,
    overlong_texts_are_cut_if_asked,
};
pub use generation::{
    concurrent_requests_answer_as_alone, greedy_is_repeatable, info_is_consistent,
    logprobs_are_a_distribution, max_tokens_is_kept, seeds_decide, texts_make_up_the_answer, usage_counts,
};
pub use grammars::{
    answers_follow_their_grammar, bad_grammars_are_refused, citations_are_reported,
    constrained_answers_are_as_alone, forced_texts_and_limits_are_kept,
};
pub use refusals::{bad_contexts_are_refused, bad_requests_are_refused, bad_sampling_is_refused};
pub use sampling::{
    bad_token_rules_are_refused, penalties_act, prompts_are_scored_as_answers,
    seeds_decide_with_all_parameters, stop_tokens_end_the_answer, token_rules_are_kept,
};
pub use several::{deadlines_end_the_answer, priorities_change_no_answer, samples_answer_as_requests};
pub use stopping::{dropped_streams_free_the_engine, stop_interrupts, stop_texts_end_the_answer};
pub use tokens::texts_survive_the_tokens;
