//! Opening whole checkpoints: both forms of every family, what they have in common, and what is not a checkpoint.

mod support;

use std::path::Path;

use llama_backend::{ops::rope::RopeLayout, weight::WeightDtype};
use llama_models::{
    Checkpoint, ModelError, Vocabulary,
    checkpoint::{CheckpointFormat, TensorDtype},
    config::{AttentionBias, RopeScaling},
};
use support::{FAMILIES, NUM_LAYERS, Weight, gguf_bytes, gguf_metadata, weights, write};
use tempfile::TempDir;

fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("the system has a temporary directory")
}

fn open_gguf(bytes: &[u8]) -> Result<Checkpoint, ModelError> {
    let dir = temp_dir();
    write(dir.path(), "m.gguf", bytes);
    Checkpoint::open(dir.path())
}

/// Every tensor under its canonical name, byte for byte.
fn check_weights(checkpoint: &Checkpoint, weights: &[Weight]) {
    assert_eq!(checkpoint.tensors().len(), weights.len());
    for weight in weights {
        let tensor = checkpoint.tensor(&weight.canonical, &weight.shape).expect("there");
        assert_eq!(tensor.bytes(), weight.data, "{}", weight.canonical);
    }
}

#[test]
fn every_family_opens_in_every_form_and_is_the_same() {
    for family in FAMILIES {
        let (single, sharded) = (temp_dir(), temp_dir());
        support::write_single(single.path(), family);
        support::write_sharded(sharded.path(), family);
        let single = Checkpoint::open(single.path()).expect(family);
        let sharded = Checkpoint::open(sharded.path()).expect(family);
        let gguf = open_gguf(&gguf_bytes(gguf_metadata(family), &weights(family))).expect(family);
        for checkpoint in [&single, &sharded, &gguf] {
            check_weights(checkpoint, &weights(family));
        }
        assert_eq!(single.config(), sharded.config());
        assert_eq!((single.files().len(), sharded.files().len(), gguf.files().len()), (1, 2, 1));

        let mut expected = single.config().clone();
        if family == "mistral" {
            expected.family = gguf.config().family; // such files say llama
        }
        if gguf.config().family.name == "llama" {
            expected.rope.layout = RopeLayout::Pairs;
        }
        assert_eq!(*gguf.config(), expected);
    }
}

#[test]
fn bard_opens() {
    let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
    let checkpoint = Checkpoint::open(&bard).expect("an asset of ours");
    assert_eq!(checkpoint.format(), CheckpointFormat::HuggingFace);
    assert!(matches!(checkpoint.vocabulary(), Vocabulary::HuggingFace { dir } if dir == bard));
    let config = checkpoint.config();
    assert_eq!((config.hidden_size, config.num_hidden_layers, config.vocab_size), (128, 6, 1024));
    assert_eq!(config.special_tokens.eos_token_ids, [1]);
    assert_eq!(checkpoint.tensors().len(), 2 + 6 * 9);
    let plan = checkpoint.memory_plan();
    assert_eq!(plan.per_dtype.len(), 1);
    assert_eq!(plan.per_dtype[0].dtype, TensorDtype::Supported(WeightDtype::Bf16));
    // A layer: q and o [128, 128], k and v [64, 128], three times [384, 128], two norms; in bf16.
    let layer_bytes = 2 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 384 * 128 + 2 * 128);
    assert_eq!(plan.layer_bytes, [layer_bytes; 6]);
    assert_eq!(plan.other_bytes, 2 * (1024 * 128 + 128));
    assert_eq!(plan.total_bytes(), 6 * layer_bytes + plan.other_bytes);
    let file = &checkpoint.files()[0];
    assert!(plan.total_bytes() < file.num_bytes && file.num_bytes < plan.total_bytes() + 10_000);
}

#[test]
fn tensors_are_asked_for_by_shape() {
    let gguf = open_gguf(&gguf_bytes(gguf_metadata("llama"), &weights("llama"))).expect("valid");
    let check = |name: &str, shape: &[usize], expected: &str| {
        let error = gguf.tensor(name, shape).expect_err("not there").to_string();
        assert!(error.ends_with(expected), "{error}");
    };
    check(
        "model.layers.0.self_attn.q_proj.weight",
        &[1, 64],
        "m.gguf: tensor \"model.layers.0.self_attn.q_proj.weight = blk.0.attn_q.weight\": \
         expected shape [1, 64], found [64, 64]",
    );
    check(
        "model.layers.9.mlp.up_proj.weight",
        &[96, 64],
        "m.gguf: tensor \"model.layers.9.mlp.up_proj.weight = blk.9.ffn_up.weight\" is missing",
    );
    assert!(gguf.optional_tensor("model.layers.0.self_attn.q_proj.bias", &[64]).expect("absent").is_none());
    let error = gguf.optional_tensor("model.norm.weight", &[63]).expect_err("another shape");
    assert!(matches!(error, ModelError::ShapeMismatch { .. }), "{error}");
}

#[test]
fn unsupported_formats_do_no_harm_until_asked_for() {
    let dir = temp_dir();
    support::write_single(dir.path(), "llama");
    let data = [0; 8];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1], &data).expect("sized");
    let extra = safetensors::serialize([("extra", view)], None).expect("valid");
    write(dir.path(), "model.safetensors", &extra);
    let checkpoint = Checkpoint::open(dir.path()).expect("nothing is wrong with it");
    assert_eq!(checkpoint.tensors().next().expect("listed").dtype.to_string(), "I64");
    let error = checkpoint.tensor("extra", &[1]).expect_err("unsupported").to_string();
    assert!(
        error.contains("tensor \"extra\": format I64 is not supported here; supported: F32, F16, "),
        "{error}"
    );
}

#[test]
fn rope_factors_of_gguf_divide_the_frequencies() {
    let with_factors = |factors: &[f32]| {
        let mut weights = weights("llama");
        weights.push(Weight {
            canonical: "rope_freqs.weight".to_owned(),
            gguf: "rope_freqs.weight".to_owned(),
            shape: vec![factors.len()],
            data: factors.iter().flat_map(|factor| factor.to_le_bytes()).collect(),
        });
        open_gguf(&gguf_bytes(gguf_metadata("llama"), &weights)).expect("valid").inverse_frequencies()
    };
    let plain = open_gguf(&gguf_bytes(gguf_metadata("llama"), &weights("llama"))).expect("valid");
    let plain = plain.inverse_frequencies().expect("valid");
    assert_eq!(plain.len(), 8);
    let factors = [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 32.0, 32.0];
    let expected: Vec<f32> =
        plain.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect();
    assert_eq!(with_factors(&factors).expect("valid"), expected);
    let error = with_factors(&[0.0; 8]).expect_err("division by zero").to_string();
    assert!(
        error.ends_with("field \"rope_freqs.weight\": expected finite positive factors, found 0"),
        "{error}"
    );
    assert!(matches!(with_factors(&[1.0; 7]).expect_err("short"), ModelError::ShapeMismatch { .. }));
}

#[test]
fn gguf_metadata_says_what_config_json_would() {
    let config = |family: &str, change: &dyn Fn(&mut _)| {
        let mut writer = gguf_metadata(family);
        change(&mut writer);
        open_gguf(&gguf_bytes(writer, &weights(family))).map(|checkpoint| checkpoint.config().clone())
    };
    let windowed =
        config("llama", &|writer| writer.set("llama.attention.sliding_window", 9u32)).expect("valid");
    assert_eq!(
        (0..NUM_LAYERS).map(|layer| windowed.window(layer)).collect::<Vec<_>>(),
        [Some(9); NUM_LAYERS]
    );
    let eos = config("llama", &|writer| {
        writer.set("tokenizer.ggml.eot_token_id", 7u32);
        writer.set("tokenizer.ggml.eom_token_id", 2u32);
    });
    assert_eq!(eos.expect("valid").special_tokens.eos_token_ids, [2, 7]);
    let linear = config("qwen2", &|writer| {
        writer.set("qwen2.rope.scaling.type", "linear");
        writer.set("qwen2.rope.scaling.factor", 2f32);
    });
    assert_eq!(linear.expect("valid").rope.scaling, RopeScaling::Linear { factor: 2.0 });
    assert_eq!(config("qwen2", &|_| {}).expect("valid").attention.bias, AttentionBias::Qkv);

    let check = |change: &dyn Fn(&mut _), expected: &str| {
        let error = config("llama", change).expect_err("refused").to_string();
        assert!(error.ends_with(expected), "{error}");
    };
    check(
        &|writer| writer.set("llama.rope.scaling.type", "yarn"),
        "m.gguf: llama.rope.scaling.type yarn is not supported; supported: \"none\", \"linear\"",
    );
    check(
        &|writer| writer.set("llama.expert_count", 8u32),
        "llama.expert_count 8 is not supported; supported: 0",
    );
    check(
        &|writer| writer.set("general.architecture", "gemma3"),
        "model family \"gemma3\" is not supported; supported: llama, mistral, qwen2, qwen3; encoders: BertModel",
    );
    check(
        &|writer| writer.set("llama.attention.head_count_kv", vec![1, 2]),
        "key \"llama.attention.head_count_kv\": expected an integer of 32 bits, not negative, \
         found an array of 2 x i32",
    );
    check(
        &|writer| writer.set("llama.rope.dimension_count", 8u32),
        "llama.rope.dimension_count 8 is not supported; supported: the whole head",
    );
    check(
        &|writer| writer.set("llama.attention.value_length", 8u32),
        "llama.attention.value_length 8 is not supported; supported: that of the keys",
    );
    check(
        &|writer| writer.set("split.count", 3u32),
        "split.count 3 is not supported; supported: one file; merge the parts",
    );
    check(
        &|writer| writer.set("llama.block_count", 0u32),
        "field \"num_hidden_layers\": expected 1 to 4096, found 0",
    );
    let empty = open_gguf(&gguf_bytes(gguf_metadata("llama"), &[])).expect_err("no weights").to_string();
    assert!(empty.ends_with("tensor \"token_embd.weight\" is missing"), "{empty}");
}

#[test]
fn biases_of_a_llama_in_gguf_are_seen_in_its_tensors() {
    let bias = |names: &[&str]| {
        let mut weights = weights("llama");
        weights.extend(names.iter().map(|name| Weight {
            canonical: String::new(),
            gguf: (*name).to_owned(),
            shape: vec![64],
            data: vec![0; 256],
        }));
        let checkpoint = open_gguf(&gguf_bytes(gguf_metadata("llama"), &weights)).expect("valid");
        checkpoint.config().attention.bias
    };
    assert_eq!(bias(&[]), AttentionBias::Absent);
    assert_eq!(bias(&["blk.0.attn_q.bias"]), AttentionBias::Qkv);
    assert_eq!(bias(&["blk.0.attn_q.bias", "blk.0.attn_output.bias"]), AttentionBias::QkvOutput);
}

#[test]
fn a_gguf_without_output_is_tied() {
    let mut weights = weights("qwen3");
    weights.retain(|weight| weight.gguf != "output.weight");
    let checkpoint = open_gguf(&gguf_bytes(gguf_metadata("qwen3"), &weights)).expect("valid");
    assert!(checkpoint.config().tie_word_embeddings);
    assert!(
        matches!(checkpoint.vocabulary(), Vocabulary::Gguf(metadata) if metadata.contains("general.architecture"))
    );
}

/// Opens `dir` and compares the error, in which `{dir}` stands for the directory.
fn check_open_error(dir: &Path, expected: &str) {
    let error = Checkpoint::open(dir).expect_err("no checkpoint").to_string();
    assert_eq!(error, expected.replace("{dir}", &dir.display().to_string()));
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let dir = temp_dir();
    check_open_error(
        dir.path(),
        "{dir}: no checkpoint here; expected a .gguf file, or a directory with one .gguf, with model.safetensors \
         or with model.safetensors.index.json (each of the latter beside a config.json)",
    );
    check_open_error(&dir.path().join("absent"), "{dir}: cannot be read");
    write(dir.path(), "a.gguf", b"");
    check_open_error(
        dir.path(),
        "{dir}/a.gguf: ends within the magic bytes: 4 bytes needed at offset 0, 0 left",
    );
    write(dir.path(), "b.gguf", b"GGUX");
    check_open_error(dir.path(), "{dir}: several .gguf files; open one of them: [\"a.gguf\", \"b.gguf\"]");
    check_open_error(
        &dir.path().join("b.gguf"),
        "{dir}: not a GGUF file: begins with [47, 47, 55, 58], expected \"GGUF\"",
    );
    write(dir.path(), "model.safetensors", b"");
    check_open_error(
        dir.path(),
        "{dir}/model.safetensors: ends within the header's length: 8 bytes needed at offset 0, 0 left",
    );
    write(dir.path(), "model.safetensors", &support::safetensors_bytes(&weights("llama")));
    check_open_error(dir.path(), "{dir}/config.json: cannot be read");
    write(dir.path(), "config.json", &vec![b' '; (1 << 20) + 1]);
    check_open_error(dir.path(), "{dir}/config.json: config.json of 1048577 bytes; at most 1048576 are read");
}

#[test]
fn shards_must_fit_their_index() {
    let dir = temp_dir();
    support::write_sharded(dir.path(), "llama");
    let index = |map: &str| {
        write(dir.path(), "model.safetensors.index.json", format!("{{\"weight_map\":{map}}}").as_bytes());
    };
    const INDEX: &str = "{dir}/model.safetensors.index.json";
    index(r#"{"a": "../1.safetensors"}"#);
    check_open_error(dir.path(), &format!("{INDEX}: shard \"../1.safetensors\" is not a plain file name"));
    index(r#"{"lm_head.weight": "1.safetensors", "a": "3.safetensors"}"#);
    check_open_error(dir.path(), &format!("{INDEX}: shard \"3.safetensors\" is missing"));
    index(r#"{"a": "1.safetensors"}"#);
    check_open_error(dir.path(), &format!("{INDEX}: tensor \"a\" is not in shard \"1.safetensors\""));
    index(r#"{"lm_head.weight": "1.safetensors", "model.norm.weight": "2.safetensors"}"#);
    write(dir.path(), "2.safetensors", &support::safetensors_bytes(&weights("llama")[..2]));
    check_open_error(
        dir.path(),
        "{dir}/2.safetensors: tensor \"model.embed_tokens.weight\" stands there twice, or in another shard too",
    );
}
