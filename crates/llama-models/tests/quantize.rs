//! Quantising a whole checkpoint: in memory, and into a file; both the same.

mod support;

use std::{cell::RefCell, path::Path};

use candle_core::DType;
use llama_backend::{
    Device,
    weight::{WeightDtype, decode_row},
};
use llama_kv::PagedCache;
use llama_models::{Batch, Checkpoint, Decoder, DecoderOptions, ModelError, Output, Quantization, Span};
use support::{FAMILIES, Weight, gguf_bytes, gguf_metadata, weights, write};
use tempfile::TempDir;

fn bard() -> Checkpoint {
    let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    Checkpoint::open(&bard).expect("an asset of ours")
}

/// A GGUF file of a family; the directory keeps it.
fn gguf(family: &str, weights: &[Weight]) -> (TempDir, Checkpoint) {
    let dir = tempfile::tempdir().expect("the system has a temporary directory");
    write(dir.path(), "m.gguf", &gguf_bytes(gguf_metadata(family), weights));
    let checkpoint = Checkpoint::open(dir.path()).expect("valid");
    (dir, checkpoint)
}

fn quantized(checkpoint: Checkpoint, quantization: Quantization) -> Checkpoint {
    checkpoint.quantized(quantization, &|_| {}).expect("dense and finite")
}

fn reopened(checkpoint: &Checkpoint, quantization: Quantization) -> (TempDir, Checkpoint) {
    let bytes = checkpoint.write_quantized(quantization, Vec::new(), &|_| {}).expect("dense and finite");
    let dir = tempfile::tempdir().expect("the system has a temporary directory");
    write(dir.path(), "q.gguf", &bytes);
    let checkpoint = Checkpoint::open(dir.path()).expect("what we write, we read");
    (dir, checkpoint)
}

fn summary(checkpoint: &Checkpoint) -> Vec<String> {
    checkpoint.tensors().map(|tensor| format!("{} {}", tensor.name, tensor.dtype)).collect()
}

#[test]
fn a_file_holds_what_loading_makes() {
    for family in FAMILIES {
        for quantization in Quantization::ALL {
            let weights = weights(family);
            let (_source, dense) = gguf(family, &weights);
            let (_target, written) = reopened(&dense, quantization);
            let loaded = quantized(dense, quantization);
            assert_eq!(summary(&written), summary(&loaded), "{family} {quantization}");
            assert_eq!(written.config(), loaded.config());
            assert_eq!(written.memory_plan(), loaded.memory_plan());
            for Weight { canonical, shape, .. } in &weights {
                let (written, loaded) = (written.tensor(canonical, shape), loaded.tensor(canonical, shape));
                assert!(written.expect("there").bytes() == loaded.expect("there").bytes(), "{canonical}");
            }
        }
    }
}

#[test]
fn every_matrix_and_nothing_else_is_quantised() {
    for (quantization, expected, head) in [
        (Quantization::Q8_0, "Q8_0", "Q8_0"),
        (Quantization::Q4_0, "Q4_0", "Q8_0"), // 64 is no multiple of 256
        (Quantization::Q4K, "Q5_0", "Q8_0"),
    ] {
        let (_dir, dense) = gguf("qwen2", &weights("qwen2"));
        for tensor in summary(&quantized(dense, quantization)) {
            let is_vector = tensor.contains("norm") || tensor.contains("bias");
            let is_down_or_value = tensor.contains("ffn_down") || tensor.contains("attn_v");
            let is_exempt = quantization == Quantization::Q4K && is_down_or_value;
            let found = tensor.split(' ').next_back().expect("name and format");
            match (is_vector, tensor.starts_with("output.")) {
                (true, _) => assert_eq!(found, "F32", "{tensor}"),
                (false, true) => assert_eq!(found, head, "{tensor}"),
                (false, false) if is_exempt => assert!(["Q5_0", "Q8_0"].contains(&found), "{tensor}"),
                (false, false) => assert_eq!(found, expected, "{tensor}"),
            }
        }
    }
}

#[test]
fn metadata_of_a_quantised_file_says_so() {
    let (_source, dense) = gguf("llama", &weights("llama"));
    let (_target, written) = reopened(&dense, Quantization::Q4K);
    let llama_models::Vocabulary::Gguf(metadata) = written.vocabulary() else { panic!("a GGUF file") };
    let number = |key| metadata.required::<u32>(key).expect("set");
    assert_eq!((number("general.file_type"), number("general.quantization_version")), (15, 2));
}

#[test]
fn progress_counts_every_matrix_once() {
    let seen = RefCell::new(Vec::new());
    let note = |progress: llama_models::checkpoint::TensorProgress| seen.borrow_mut().push(progress);
    bard().quantized(Quantization::Q8_0, &note).expect("dense");
    let seen: Vec<_> = seen.take().iter().map(|progress| (progress.num_done, progress.num_tensors)).collect();
    let num_matrices = 1 + 6 * 7;
    assert_eq!(seen, (1..=num_matrices).map(|i| (i, num_matrices)).collect::<Vec<_>>());
}

#[test]
fn what_is_quantised_already_is_refused() {
    let (_source, dense) = gguf("llama", &weights("llama"));
    let (_target, written) = reopened(&dense, Quantization::Q4_0);
    let error = written.write_quantized(Quantization::Q8_0, Vec::new(), &|_| {}).expect_err("twice");
    assert!(matches!(error, ModelError::AlreadyQuantized { found: WeightDtype::Q4_0, .. }), "{error}");
    let error = written.quantized(Quantization::Q8_0, &|_| {}).expect_err("twice").to_string();
    let expected = "tensor \"token_embd.weight\" is Q4_0 already; only dense checkpoints can be quantised";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_safetensors_checkpoint_is_written_with_a_vocabulary_only() {
    let error = bard().write_quantized(Quantization::Q8_0, Vec::new(), &|_| {}).expect_err("no metadata");
    assert!(
        error.to_string().ends_with(
            "tokenizer none for GGUF is not supported; supported: one given by with_gguf_vocabulary"
        ),
        "{error}"
    );
}

#[test]
fn a_weight_that_is_no_number_is_named() {
    let mut weights = weights("llama");
    let weight = weights.iter_mut().find(|weight| weight.gguf == "blk.1.ffn_up.weight").expect("listed");
    weight.data[4 * (64 * 3 + 5)..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let (_dir, dense) = gguf("llama", &weights);
    let expected = "tensor \"blk.1.ffn_up.weight\": row 3, column 5 is inf, which Q4_0 has no place for";
    let error = dense.write_quantized(Quantization::Q4_0, Vec::new(), &|_| {}).expect_err("infinite");
    assert_eq!(error.to_string(), expected);
    let error = dense.quantized(Quantization::Q4_0, &|_| {}).expect_err("infinite");
    assert_eq!(error.to_string(), expected);
}

/// Logits of a decoder after some tokens.
fn logits(checkpoint: &Checkpoint) -> Vec<f32> {
    let backend = Device::Cpu.backend().expect("there is always a CPU");
    let options = DecoderOptions { dtype: Some(DType::F32), ..DecoderOptions::default() };
    let decoder = Decoder::new(checkpoint, &*backend, options).expect("valid");
    let cache = decoder.cache_config(1, 16);
    let mut cache = PagedCache::new(cache, &*backend).expect("small");
    let span = Span {
        tokens: (0..16).map(|i| 5 + 61 * i).collect(),
        first_position: 0,
        blocks: vec![0],
        output: Output::LastLogits,
    };
    let batch = Batch::new(vec![span], 16).expect("valid");
    let outputs = decoder.forward(&batch, &mut cache).expect("it runs");
    let logits = outputs.into_iter().next().flatten().expect("wanted");
    logits.flatten_all().expect("a tensor").to_vec1().expect("f32")
}

/// Cosine of the angle between the logits of a trained model and those after quantising it.
fn check_logits(quantization: Quantization, least: f64) {
    let (dense, quantised) = (logits(&bard()), logits(&quantized(bard(), quantization)));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let cosine = dot(&dense, &quantised) / (dot(&dense, &dense) * dot(&quantised, &quantised)).sqrt();
    println!("{quantization}: {cosine:.6}");
    assert!((least..0.999_999_9).contains(&cosine), "{quantization}: {cosine}");
}

#[test]
fn logits_stay_close() {
    check_logits(Quantization::Q8_0, 0.9999);
    check_logits(Quantization::Q4K, 0.997);
    check_logits(Quantization::Q4_0, 0.98);
}

#[test]
fn the_matrices_of_a_quantised_model_are_near_the_dense_ones() {
    let (dense, quantised) = (bard(), quantized(bard(), Quantization::Q8_0));
    let shape = [1024, 128];
    let values = |checkpoint: &Checkpoint| {
        let tensor = checkpoint.tensor("model.embed_tokens.weight", &shape).expect("there");
        let mut values = vec![0.0; 1024 * 128];
        decode_row(tensor.dtype(), tensor.bytes(), &mut values);
        values
    };
    for (row, found) in values(&dense).chunks(32).zip(values(&quantised).chunks(32)) {
        let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        for (x, found) in row.iter().zip(found) {
            assert!((x - found).abs() <= largest / 250.0, "{x} became {found}");
        }
    }
}
