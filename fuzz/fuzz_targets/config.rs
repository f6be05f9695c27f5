//! config.json and generation_config.json, separated by a zero byte.
//!
//! `cargo +nightly fuzz run config`
#![no_main]

use std::{hint::black_box, path::Path};

use libfuzzer_sys::fuzz_target;
use llama_models::DecoderConfig;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    let config = parts.next().unwrap_or_default();
    let Ok(config) = DecoderConfig::from_json(Path::new("config.json"), config, parts.next()) else {
        return;
    };
    for layer_idx in 0..config.num_hidden_layers {
        black_box(config.window(layer_idx));
    }
    let frequencies = config.rope.inverse_frequencies(config.attention.head_dim);
    assert_eq!(frequencies.len() * 2, config.attention.head_dim, "one frequency per pair");
});
