//! safetensors headers: parse, touch every tensor, and accept nothing that the reference refuses.
//!
//! `cargo +nightly fuzz run safetensors`
#![no_main]

use std::{hint::black_box, path::Path, sync::Arc};

use libfuzzer_sys::fuzz_target;
use llama_models::checkpoint::safetensors;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz.safetensors");
    let Ok(table) = safetensors::parse(path, Arc::new(bytes.to_vec())) else {
        return;
    };
    let mut formats_known = true;
    for tensor in table.summaries() {
        match table.mapped(path, &tensor.name) {
            Ok(Some(mapped)) => {
                black_box((mapped.rows(), mapped.row(mapped.rows() - 1)));
            }
            Ok(None) => panic!("{} is listed, but not found", tensor.name),
            Err(_) => formats_known = false,
        }
    }
    // Its `__metadata__` must be strings, which does not concern us.
    let metadata = bytes.windows(12).any(|window| window == b"__metadata__");
    if formats_known && !metadata {
        ::safetensors::SafeTensors::deserialize(bytes).expect("we are not laxer than the reference");
    }
});
