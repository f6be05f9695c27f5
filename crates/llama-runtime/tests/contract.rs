//! The engine keeps the contract, with a comfortable cache and with hardly any.

mod support;

use futures::executor::block_on;
use llama_engine::contract;
use llama_runtime::EngineOptions;
use support::bard;

#[test]
fn the_contract_is_kept() {
    block_on(contract::check_all(&bard(EngineOptions::default())));
}

#[test]
fn the_contract_is_kept_in_small_steps() {
    let options = EngineOptions {
        context_len: Some(256),
        cache_tokens: Some(512),
        block_len: 3,
        max_step_tokens: 7,
        max_running: 5,
        ..EngineOptions::default()
    };
    block_on(contract::check_all(&bard(options)));
}
