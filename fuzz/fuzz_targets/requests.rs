//! Bodies of requests, as the server reads them: anything is refused or can be written again.
//!
//! `cargo +nightly fuzz run requests`
#![no_main]

use libfuzzer_sys::fuzz_target;
use llama_openai::{ChatRequest, CompletionRequest, ContextRequest, EmbeddingRequest};
use serde::{Serialize, de::DeserializeOwned};

fn check<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<T>(bytes) {
        serde_json::to_string(&request).expect("what was read can be written");
    }
}

fuzz_target!(|bytes: &[u8]| {
    check::<ChatRequest>(bytes);
    check::<CompletionRequest>(bytes);
    check::<ContextRequest>(bytes);
    check::<EmbeddingRequest>(bytes);
});
