//! Writes a model of random weights in the shape of Llama-3.2-1B, to measure speed where the model itself cannot be had:
//! `cargo run --release --example random -- OUT`. It has no tokenizer; `--example bench` needs none.

use std::{collections::HashMap, fs, path::PathBuf};

use candle_core::{DType, Device, Tensor};
use clap::Parser;

/// Write a model of random weights
#[derive(Parser)]
struct Options {
    /// The directory to make
    out: PathBuf,
    #[arg(long, default_value = "bf16")]
    dtype: DType,
}

fn main() -> anyhow::Result<()> {
    let Options { out, dtype } = Options::parse();
    let (e, f, q, kv, v, num_layers) = (2048, 8192, 2048, 512, 128_256, 16);
    let mut shapes = vec![("model.embed_tokens".to_owned(), vec![v, e]), ("model.norm".to_owned(), vec![e])];
    for layer_idx in 0..num_layers {
        let parts = [
            ("input_layernorm", vec![e]),
            ("self_attn.q_proj", vec![q, e]),
            ("self_attn.k_proj", vec![kv, e]),
            ("self_attn.v_proj", vec![kv, e]),
            ("self_attn.o_proj", vec![e, q]),
            ("post_attention_layernorm", vec![e]),
            ("mlp.gate_proj", vec![f, e]),
            ("mlp.up_proj", vec![f, e]),
            ("mlp.down_proj", vec![e, f]),
        ];
        shapes.extend(parts.map(|(part, shape)| (format!("model.layers.{layer_idx}.{part}"), shape)));
    }
    let tensors = shapes.into_iter().zip(0..).map(|((name, shape), seed)| {
        let values = random(shape.iter().product(), seed, 1.0 / (e as f32).sqrt());
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?;
        Ok((format!("{name}.weight"), tensor))
    });
    let tensors = tensors.collect::<anyhow::Result<HashMap<_, _>>>()?;
    fs::create_dir_all(&out)?;
    candle_core::safetensors::save(&tensors, out.join("model.safetensors"))?;
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": e,
        "intermediate_size": f, "num_hidden_layers": num_layers, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": v, "max_position_embeddings": 131_072, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
        "bos_token_id": 128_000, "eos_token_id": 128_001, "tie_word_embeddings": true,
    });
    Ok(fs::write(out.join("config.json"), config.to_string())?)
}

/// Values in `-spread..spread`, from a linear congruential generator.
fn random(len: usize, seed: u64, spread: f32) -> Vec<f32> {
    let step = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    let states = std::iter::successors(Some(seed), step).skip(1);
    states.take(len).map(|state| spread * ((state >> 40) as f32 / (1 << 23) as f32 - 1.0)).collect()
}
