//! Small random checkpoints of every family, in both forms.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{collections::BTreeMap, fs, path::Path};

use llama_backend::weight::WeightDtype;
use llama_models::checkpoint::gguf::GgufWriter;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

pub(crate) const FAMILIES: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

pub(crate) const HIDDEN_SIZE: usize = 64;
pub(crate) const INTERMEDIATE_SIZE: usize = 96;
pub(crate) const NUM_LAYERS: usize = 2;
pub(crate) const NUM_HEADS: usize = 4;
pub(crate) const NUM_KV_HEADS: usize = 2;
pub(crate) const VOCAB_SIZE: usize = 100;

/// One tensor under both names.
pub(crate) struct Weight {
    pub(crate) canonical: String,
    pub(crate) gguf: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<u8>,
}

/// Qwen3's heads have a size of their own.
pub(crate) fn head_dim(family: &str) -> usize {
    if family == "qwen3" { 32 } else { HIDDEN_SIZE / NUM_HEADS }
}

/// All tensors of a family's small model, in f32.
pub(crate) fn weights(family: &str) -> Vec<Weight> {
    let (q, kv) = (NUM_HEADS * head_dim(family), NUM_KV_HEADS * head_dim(family));
    let (e, f, v) = (HIDDEN_SIZE, INTERMEDIATE_SIZE, VOCAB_SIZE);
    let mut layer: Vec<(&str, &str, Vec<usize>)> = vec![
        ("input_layernorm.weight", "attn_norm.weight", vec![e]),
        ("self_attn.q_proj.weight", "attn_q.weight", vec![q, e]),
        ("self_attn.k_proj.weight", "attn_k.weight", vec![kv, e]),
        ("self_attn.v_proj.weight", "attn_v.weight", vec![kv, e]),
        ("self_attn.o_proj.weight", "attn_output.weight", vec![e, q]),
        ("post_attention_layernorm.weight", "ffn_norm.weight", vec![e]),
        ("mlp.gate_proj.weight", "ffn_gate.weight", vec![f, e]),
        ("mlp.up_proj.weight", "ffn_up.weight", vec![f, e]),
        ("mlp.down_proj.weight", "ffn_down.weight", vec![e, f]),
    ];
    match family {
        "qwen2" => layer.extend([
            ("self_attn.q_proj.bias", "attn_q.bias", vec![q]),
            ("self_attn.k_proj.bias", "attn_k.bias", vec![kv]),
            ("self_attn.v_proj.bias", "attn_v.bias", vec![kv]),
        ]),
        "qwen3" => layer.extend([
            ("self_attn.q_norm.weight", "attn_q_norm.weight", vec![head_dim(family)]),
            ("self_attn.k_norm.weight", "attn_k_norm.weight", vec![head_dim(family)]),
        ]),
        _ => {}
    }
    let mut named: Vec<(String, String, Vec<usize>)> = vec![
        ("model.embed_tokens.weight".to_owned(), "token_embd.weight".to_owned(), vec![v, e]),
        ("model.norm.weight".to_owned(), "output_norm.weight".to_owned(), vec![e]),
        ("lm_head.weight".to_owned(), "output.weight".to_owned(), vec![v, e]),
    ];
    for layer_idx in 0..NUM_LAYERS {
        named.extend(layer.iter().map(|(canonical, gguf, shape)| {
            (
                format!("model.layers.{layer_idx}.{canonical}"),
                format!("blk.{layer_idx}.{gguf}"),
                shape.clone(),
            )
        }));
    }
    let mut state = 1;
    let with_data = |(canonical, gguf, shape): (String, String, Vec<usize>)| {
        let data = random_f32(&mut state, shape.iter().product());
        Weight { canonical, gguf, shape, data }
    };
    named.into_iter().map(with_data).collect()
}

/// Bytes of `len` values in (-1, 1).
fn random_f32(state: &mut u64, len: usize) -> Vec<u8> {
    (0..len)
        .flat_map(|_| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let unit = (*state >> 40) as f32 / (1u64 << 24) as f32;
            (2.0 * unit - 1.0).to_le_bytes()
        })
        .collect()
}

/// config.json of a family's small model.
pub(crate) fn config(family: &str) -> Value {
    let architecture = match family {
        "llama" => "LlamaForCausalLM",
        "mistral" => "MistralForCausalLM",
        "qwen2" => "Qwen2ForCausalLM",
        "qwen3" => "Qwen3ForCausalLM",
        other => panic!("{other} is not in FAMILIES"),
    };
    json!({
        "architectures": [architecture], "model_type": family, "hidden_act": "silu", "head_dim": head_dim(family),
        "hidden_size": HIDDEN_SIZE, "intermediate_size": INTERMEDIATE_SIZE, "num_hidden_layers": NUM_LAYERS,
        "num_attention_heads": NUM_HEADS, "num_key_value_heads": NUM_KV_HEADS, "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": 512, "rms_norm_eps": 9.999999974752427e-7, "bos_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": false, "rope_theta": 10000.0, "sliding_window": null,
    })
}

pub(crate) fn safetensors_bytes(weights: &[Weight]) -> Vec<u8> {
    let views = weights.iter().map(|weight| {
        let view =
            TensorView::new(Dtype::F32, weight.shape.clone(), &weight.data).expect("sized by weights()");
        (weight.canonical.as_str(), view)
    });
    safetensors::serialize(views, None).expect("valid tensors")
}

/// Writes a Hugging Face directory with one file of weights.
pub(crate) fn write_single(dir: &Path, family: &str) {
    write(dir, "config.json", config(family).to_string().as_bytes());
    write(dir, "model.safetensors", &safetensors_bytes(&weights(family)));
}

/// Writes a Hugging Face directory with an index and two shards.
pub(crate) fn write_sharded(dir: &Path, family: &str) {
    write(dir, "config.json", config(family).to_string().as_bytes());
    let weights = weights(family);
    let (first, second) = weights.split_at(weights.len() / 2);
    let mut shard_by_tensor = BTreeMap::new();
    for (shard, weights) in [("1.safetensors", first), ("2.safetensors", second)] {
        write(dir, shard, &safetensors_bytes(weights));
        shard_by_tensor.extend(weights.iter().map(|weight| (weight.canonical.clone(), shard)));
    }
    let index = json!({"metadata": {}, "weight_map": shard_by_tensor});
    write(dir, "model.safetensors.index.json", index.to_string().as_bytes());
}

pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) {
    fs::write(dir.join(name), bytes).expect("the temporary directory can be written");
}

/// The metadata that a converter writes for a family's small model.
pub(crate) fn gguf_metadata(family: &str) -> GgufWriter {
    let architecture = if family == "mistral" { "llama" } else { family };
    let mut writer = GgufWriter::default();
    writer.set("general.architecture", architecture);
    let mut size = |key: &str, value: usize| {
        writer.set(&format!("{architecture}.{key}"), u32::try_from(value).expect("small"));
    };
    size("block_count", NUM_LAYERS);
    size("context_length", 512);
    size("embedding_length", HIDDEN_SIZE);
    size("feed_forward_length", INTERMEDIATE_SIZE);
    size("attention.head_count", NUM_HEADS);
    size("attention.head_count_kv", NUM_KV_HEADS);
    size("attention.key_length", head_dim(family));
    size("attention.value_length", head_dim(family));
    writer.set(&format!("{architecture}.rope.freq_base"), 10_000f32);
    writer.set(&format!("{architecture}.attention.layer_norm_rms_epsilon"), 1e-6f32);
    writer.set("tokenizer.ggml.bos_token_id", 1u32);
    writer.set("tokenizer.ggml.eos_token_id", 2u32);
    writer
}

/// Metadata and these tensors as a file.
pub(crate) fn gguf_bytes(mut writer: GgufWriter, weights: &[Weight]) -> Vec<u8> {
    for weight in weights {
        writer.declare(&weight.gguf, WeightDtype::F32, &weight.shape).expect("valid");
    }
    let mut body = writer.start(Vec::new()).expect("a Vec takes everything");
    for weight in weights {
        body.append(&weight.data).expect("declared");
    }
    body.finish().expect("complete")
}
