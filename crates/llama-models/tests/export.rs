//! Checkpoints in Hugging Face form, written as GGUF files: the same model, in GGUF's words.

mod support;

#[path = "support/decoders.rs"]
mod decoders;

use std::path::Path;

use llama_backend::{Device, ops::rope::RopeLayout, weight::WeightDtype};
use llama_models::{Checkpoint, Decoder, DecoderOptions, Output, Quantization, checkpoint::gguf::GgufValue};
use serde_json::{Value, json};
use support::{FAMILIES, config, safetensors_bytes, weights, write};
use tempfile::TempDir;

fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("the system has a temporary directory")
}

/// A checkpoint with a changed configuration.
fn checkpoint(family: &str, change: impl Fn(&mut Value)) -> (TempDir, Checkpoint) {
    let dir = temp_dir();
    let mut config = config(family);
    change(&mut config);
    write(dir.path(), "config.json", config.to_string().as_bytes());
    // Also with a head of its own if it is tied: some are saved so, and it is not to be read.
    write(dir.path(), "model.safetensors", &safetensors_bytes(&weights(family)));
    let checkpoint = Checkpoint::open(dir.path()).expect("valid").with_gguf_vocabulary(vocabulary());
    (dir, checkpoint)
}

/// The keys that the configuration is read from.
fn vocabulary() -> Vec<(String, GgufValue)> {
    vec![
        ("tokenizer.ggml.model".to_owned(), "gpt2".into()),
        ("tokenizer.ggml.bos_token_id".to_owned(), 1u32.into()),
        ("tokenizer.ggml.eos_token_id".to_owned(), 2u32.into()),
    ]
}

/// The file is removed with the directory; its map lives on.
fn exported(checkpoint: &Checkpoint) -> Checkpoint {
    let bytes = checkpoint.write_dense(WeightDtype::F32, Vec::new()).expect("GGUF has words for it");
    let dir = temp_dir();
    write(dir.path(), "m.gguf", &bytes);
    Checkpoint::open(dir.path()).expect("what we write, we read")
}

fn logits(checkpoint: &Checkpoint) -> Vec<f32> {
    let backend = Device::Cpu.backend().expect("there is always a CPU");
    let decoder = Decoder::new(checkpoint, &*backend, DecoderOptions::default()).expect("valid");
    decoders::whole(&decoder, &[5, 50, 7, 99, 3, 3, 20], Output::LastLogits).remove(0)
}

/// The configuration comes back, and so do the logits.
fn check(family: &str, change: impl Fn(&mut Value)) {
    let (_dir, checkpoint) = checkpoint(family, change);
    let file = exported(&checkpoint);
    let mut expected = checkpoint.config().clone();
    expected.special_tokens = file.config().special_tokens.clone(); // not part of the configuration there
    expected.family = file.config().family; // mistral is llama there
    expected.rope.scaling = file.config().rope.scaling.clone(); // Llama 3's is in a tensor there
    expected.rope.layout = file.config().rope.layout;
    assert_eq!(*file.config(), expected, "{family}");
    let is_llama = ["llama", "mistral"].contains(&family);
    assert_eq!(expected.rope.layout, if is_llama { RopeLayout::Pairs } else { RopeLayout::Halves });
    let (there, here) = (logits(&file), logits(&checkpoint));
    let size = here.iter().fold(0f32, |size, x| size.max(x.abs()));
    for (there, here) in there.iter().zip(&here) {
        assert!((there - here).abs() <= 1e-5 * size, "{family}: {there} instead of {here}, of {size}");
    }
}

#[test]
fn every_family_comes_back() {
    for family in FAMILIES {
        check(family, |_| {});
    }
}

#[test]
fn biases_and_ties_come_back() {
    check("qwen2", |config| config["tie_word_embeddings"] = json!(true));
    check("llama", |config| config["tie_word_embeddings"] = json!(true));
}

#[test]
fn windows_come_back() {
    check("mistral", |config| config["sliding_window"] = json!(4));
}

#[test]
fn rope_scaling_comes_back() {
    check("llama", |config| {
        config["rope_theta"] = json!(500.0);
        config["rope_scaling"] = json!({"rope_type": "linear", "factor": 2.0});
    });
    let llama3 = |config: &mut Value| {
        config["rope_theta"] = json!(500.0);
        config["rope_scaling"] = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64});
    };
    check("llama", llama3);
    let (_dir, checkpoint) = checkpoint("llama", llama3);
    let (there, here) = (exported(&checkpoint).inverse_frequencies(), checkpoint.inverse_frequencies());
    for (there, here) in there.expect("valid").iter().zip(here.expect("valid")) {
        assert!((there - here).abs() <= 1e-6 * here, "{there} instead of {here}");
    }
}

#[test]
fn a_quantised_file_has_the_rows_that_loading_makes_in_another_order() {
    let (_dir, checkpoint) = checkpoint("llama", |_| {});
    let bytes = checkpoint.write_quantized(Quantization::Q8_0, Vec::new(), &|_| {}).expect("dense");
    let dir = temp_dir();
    write(dir.path(), "m.gguf", &bytes);
    let file = Checkpoint::open(dir.path()).expect("what we write, we read");
    let loaded = checkpoint.quantized(Quantization::Q8_0, &|_| {}).expect("dense");
    let rows = |checkpoint: &Checkpoint, name: &str| -> Vec<Vec<u8>> {
        let tensor = checkpoint.tensor(&format!("model.layers.0.self_attn.{name}.weight"), &[64, 64]);
        let tensor = tensor.expect("there");
        (0..64).map(|row_idx| tensor.row(row_idx).to_vec()).collect()
    };
    assert!(rows(&file, "o_proj") == rows(&loaded, "o_proj"));
    let (there, here) = (rows(&file, "q_proj"), rows(&loaded, "q_proj"));
    // Heads of 16: component 0 and 8 of a head are rotated together, and stand side by side there.
    for (row_idx, from) in [(0, 0), (1, 8), (2, 1), (3, 9), (15, 15), (16, 16), (17, 24), (63, 63)] {
        assert!(there[row_idx] == here[from], "row {row_idx}");
    }
}

#[test]
fn windows_on_some_layers_have_no_words() {
    let (_dir, checkpoint) = checkpoint("qwen2", |config| {
        config["use_sliding_window"] = json!(true);
        config["sliding_window"] = json!(8);
        config["max_window_layers"] = json!(1);
    });
    let error = checkpoint.write_dense(WeightDtype::F32, Vec::new()).expect_err("no words").to_string();
    let expected =
        "sliding_window on some layers is not supported; supported: one window for all layers, in GGUF";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn bard_is_written_whole() {
    let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    let bard = Checkpoint::open(&bard).expect("an asset of ours").with_gguf_vocabulary(vocabulary());
    let file = exported(&bard);
    assert_eq!(file.tensors().len(), bard.tensors().len());
    assert_eq!(file.config().family.name, "llama");
}
