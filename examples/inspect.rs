//! What is in a checkpoint: configuration, tensors, and the memory it takes. Reads headers only.

use clap::Parser;
use llama_hub::{TerminalProgress, resolve};
use llama_rs::models::Checkpoint;

/// Print configuration, tensor table and memory plan of a checkpoint
#[derive(Parser)]
struct Args {
    /// Name of a known model, a directory in Hugging Face form, or a .gguf file
    #[arg(default_value = "bard")]
    model: String,
}

fn main() -> anyhow::Result<()> {
    let checkpoint = Checkpoint::open(&resolve(&Args::parse().model, &TerminalProgress::new())?)?;
    println!("{} ({:?})\n", checkpoint.path().display(), checkpoint.format());
    println!("{:#?}\n", checkpoint.config());

    println!("{:<52} {:>6} {:>20} {:>14}", "tensor", "format", "shape", "bytes");
    for tensor in checkpoint.tensors() {
        let shape = format!("{:?}", tensor.shape);
        println!("{:<52} {:>6} {shape:>20} {:>14}", tensor.name, tensor.dtype.to_string(), tensor.num_bytes);
    }

    let plan = checkpoint.memory_plan();
    println!("\n{:>6} {:>8} {:>14}", "format", "tensors", "bytes");
    for usage in &plan.per_dtype {
        println!("{:>6} {:>8} {:>14}", usage.dtype.to_string(), usage.num_tensors, usage.num_bytes);
    }
    println!("\neach layer: {:?} bytes", plan.layer_bytes.iter().max().unwrap_or(&0));
    println!("outside layers: {} bytes; in all: {} bytes", plan.other_bytes, plan.total_bytes());

    let config = checkpoint.config();
    let heads = &config.attention;
    let per_token = 2 * config.num_hidden_layers * heads.num_key_value_heads * heads.head_dim * 4;
    println!("cache: {per_token} bytes per token in f32, {} for a full context", {
        per_token * config.max_position_embeddings
    });
    Ok(())
}
