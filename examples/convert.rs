//! Writes a GGUF file's model again with dense weights, to compare formats here and in llama.cpp:
//! `cargo run --release --example convert -- smollm2 smollm2-f16.gguf --dtype f16`.
//! Metadata is copied; vectors (norms, biases) become f32; matrices are decoded, then rounded to the format.

use std::{fs::File, io::BufWriter, path::PathBuf};

use anyhow::{Context, bail};
use clap::Parser;
use half::{bf16, f16};
use llama_hub::TerminalProgress;
use llama_rs::{
    backend::weight::WeightDtype::{self, Bf16, F16, F32},
    backend::weight::decode_row,
    models::{Checkpoint, Vocabulary, checkpoint::gguf::GgufWriter},
};

/// Dense formats, and ggml's numbers of files in them (`llama_ftype`).
const DENSE: [(WeightDtype, u32); 3] = [(F32, 0), (F16, 1), (Bf16, 32)];

/// Write a model again with dense weights
#[derive(Parser)]
struct Options {
    /// A known model's name or a GGUF file
    model: String,
    /// The file to write
    out: PathBuf,
    /// f32, f16 or bf16
    #[arg(long, default_value = "f16")]
    dtype: String,
}

fn main() -> anyhow::Result<()> {
    let Options { model, out, dtype } = Options::parse();
    let dense = DENSE.into_iter().find(|(dense, _)| dense.to_string().eq_ignore_ascii_case(&dtype));
    let (dtype, file_type) = dense.context("--dtype is f32, f16 or bf16")?;
    let checkpoint = Checkpoint::open(&llama_hub::resolve(&model, &TerminalProgress::new())?)?;
    let Vocabulary::Gguf(metadata) = checkpoint.vocabulary() else {
        bail!("{model} is no GGUF file: there is no metadata to copy");
    };
    let mut writer = GgufWriter::default();
    writer.copy_metadata(metadata);
    writer.set("general.file_type", file_type);
    let stored_as = |shape: &[usize]| if shape.len() > 1 { dtype } else { F32 };
    for tensor in checkpoint.tensors() {
        writer.declare(&tensor.name, stored_as(&tensor.shape), &tensor.shape)?;
    }
    let mut body = writer.start(BufWriter::new(File::create_new(&out)?))?;
    for tensor in checkpoint.tensors() {
        let mapped = checkpoint.tensor(&tensor.name, &tensor.shape)?;
        let mut values = vec![0.0; mapped.rows() * mapped.cols()];
        decode_row(mapped.dtype(), mapped.bytes(), &mut values);
        let bytes: Vec<u8> = match stored_as(mapped.shape()) {
            F16 => values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
            Bf16 => values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        body.append(&bytes)?;
    }
    Ok(body.finish().map(drop)?)
}
