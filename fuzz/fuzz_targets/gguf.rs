//! GGUF headers: parse, read every kind of value, build the configuration.
//!
//! `cargo +nightly fuzz run gguf`
#![no_main]

use std::{hint::black_box, path::Path, sync::Arc};

use libfuzzer_sys::fuzz_target;
use llama_models::{
    DecoderConfig,
    checkpoint::gguf::{FromGguf, Gguf, GgufMetadata},
};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz.gguf");
    let Ok(gguf) = Gguf::parse(path, Arc::new(bytes.to_vec())) else {
        return;
    };
    for (key, _) in gguf.metadata.keys() {
        read::<&str>(&gguf.metadata, key);
        read::<u32>(&gguf.metadata, key);
        read::<f32>(&gguf.metadata, key);
        read::<bool>(&gguf.metadata, key);
        read::<Vec<&str>>(&gguf.metadata, key);
        read::<Vec<f32>>(&gguf.metadata, key);
        read::<Vec<i32>>(&gguf.metadata, key);
    }
    for tensor in gguf.tensors.summaries() {
        if let Ok(Some(mapped)) = gguf.tensors.mapped(path, &tensor.name) {
            black_box((mapped.rows(), mapped.row(mapped.rows() - 1)));
        }
    }
    if let Ok(config) = DecoderConfig::from_gguf(&gguf) {
        black_box(config.rope.inverse_frequencies(config.attention.head_dim));
    }
});

fn read<'a, T: FromGguf<'a>>(metadata: &'a GgufMetadata, key: &str) {
    black_box(metadata.optional::<T>(key).is_ok());
}
