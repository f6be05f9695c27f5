//! Writes a model as a GGUF file in another format, dense or quantised; `cargo xtask quantize` calls it:
//! `cargo run --release --example convert -- smollm2 smollm2-f16.gguf --dtype f16`.
//! Metadata is copied, or made for a directory in Hugging Face form; vectors (norms, biases) become f32. The file
//! appears under its name when it is whole.

use std::{fs::File, io::BufWriter, path::PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use llama_hub::{TerminalProgress, resolve};
use llama_rs::{
    backend::weight::WeightDtype, models::Checkpoint, prelude::Quantization, runtime::gguf_vocabulary,
};

/// Write a model again in another format
#[derive(Parser)]
struct Options {
    /// A known model's name, a GGUF file or a directory
    model: String,
    /// The file to write
    out: PathBuf,
    /// f32, f16, bf16, q8_0, q4_0 or q4_k
    #[arg(long, default_value = "f16")]
    dtype: String,
}

fn main() -> anyhow::Result<()> {
    let Options { model, out, dtype } = Options::parse();
    let checkpoint = Checkpoint::open(&resolve(&model, &TerminalProgress::new())?)?;
    let vocabulary = gguf_vocabulary(&checkpoint)?;
    let checkpoint = checkpoint.with_gguf_vocabulary(vocabulary);
    ensure!(!out.exists(), "{} exists already", out.display());
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| ".".as_ref());
    let name = out.file_name().context("the file to write has no name")?.to_string_lossy();
    // Made by the ordinary call, it gets the ordinary permissions.
    let file = tempfile::Builder::new()
        .prefix(&format!("{name}."))
        .suffix(".part")
        .make_in(folder, |path| File::create_new(path));
    let file = file.with_context(|| format!("cannot write in {}", folder.display()))?;
    let sink = BufWriter::new(file);
    let dense = [WeightDtype::F32, WeightDtype::F16, WeightDtype::Bf16];
    let dense = dense.into_iter().find(|dense| dense.to_string().eq_ignore_ascii_case(&dtype));
    let written = match (dense, dtype.parse::<Quantization>()) {
        (Some(dense), _) => checkpoint.write_dense(dense, sink)?,
        (None, Ok(quantization)) => checkpoint.write_quantized(quantization, sink, &|progress| {
            eprint!("\r{} of {} tensors", progress.num_done, progress.num_tensors);
        })?,
        (None, Err(_)) => bail!("--dtype is f32, f16, bf16, q8_0, q4_0 or q4_k"),
    };
    let file = written.into_inner()?;
    file.as_file().sync_all()?;
    let file = file.persist_noclobber(&out).with_context(|| format!("cannot create {}", out.display()))?;
    eprintln!("\r{}: {:.1} MB", out.display(), file.metadata()?.len() as f64 / 1e6);
    Ok(())
}
