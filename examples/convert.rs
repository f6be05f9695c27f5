//! Writes a GGUF file's model again with dense weights, to compare formats here and in llama.cpp:
//! `cargo run --release --example convert -- smollm2 smollm2-f16.gguf --dtype f16`.
//! Metadata is copied; vectors (norms, biases) become f32; matrices are decoded, then rounded to the format.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::PathBuf,
};

use anyhow::Context;
use clap::Parser;
use llama_hub::{TerminalProgress, resolve};
use llama_rs::{backend::weight::WeightDtype, models::Checkpoint};

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
    let dense = [WeightDtype::F32, WeightDtype::F16, WeightDtype::Bf16];
    let dtype = dense.into_iter().find(|dense| dense.to_string().eq_ignore_ascii_case(&dtype));
    let dtype = dtype.context("--dtype is f32, f16 or bf16")?;
    let checkpoint = Checkpoint::open(&resolve(&model, &TerminalProgress::new())?)?;
    let file = File::create_new(&out).with_context(|| format!("cannot create {}", out.display()))?;
    if let Err(error) = checkpoint.write_dense(dtype, BufWriter::new(file)) {
        fs::remove_file(&out)?; // half a file would pass for a whole one
        return Err(error.into());
    }
    Ok(())
}
