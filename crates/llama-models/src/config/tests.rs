//! What either source of a configuration may say, and what is refused, field by field.

use std::path::Path;

use llama_backend::ops::rope::RopeLayout;
use serde_json::{Value, json};

use super::{AttentionBias, DecoderConfig, QkNorm, RopeScaling};
use crate::ModelError;

/// A small valid Llama, with `changes` put over it; null removes a field.
fn config(changes: Value) -> Value {
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
        "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": false, "rope_theta": 20000.0,
    });
    for (field, value) in changes.as_object().expect("an object") {
        match value {
            Value::String(text) if text == "REMOVE" => {
                config.as_object_mut().expect("an object").remove(field)
            }
            value => config.as_object_mut().expect("an object").insert(field.clone(), value.clone()),
        };
    }
    config
}

fn parse(changes: Value) -> Result<DecoderConfig, ModelError> {
    DecoderConfig::from_json(Path::new("d/config.json"), config(changes).to_string().as_bytes(), None)
}

fn check_error(changes: Value, expected: &str) {
    let error = parse(changes).expect_err("impossible");
    assert_eq!(error.to_string(), format!("d/config.json: {expected}"));
}

fn windows(changes: Value) -> Vec<Option<usize>> {
    let config = parse(changes).expect("valid");
    (0..config.num_hidden_layers).map(|layer_idx| config.window(layer_idx)).collect()
}

#[test]
fn a_llama_is_read() {
    let config = parse(json!({})).expect("valid");
    assert_eq!(config.family.name, "llama");
    assert_eq!((config.hidden_size, config.intermediate_size, config.num_hidden_layers), (64, 96, 3));
    assert_eq!((config.vocab_size, config.max_position_embeddings), (100, 512));
    assert_eq!(config.rms_norm_eps, 1e-5);
    assert!(!config.tie_word_embeddings);
    let attention = &config.attention;
    assert_eq!(
        (attention.num_attention_heads, attention.num_key_value_heads, attention.head_dim),
        (4, 2, 16)
    );
    assert_eq!((attention.bias, attention.qk_norm), (AttentionBias::Absent, QkNorm::Absent));
    assert_eq!((config.rope.rope_theta, config.rope.layout), (20_000.0, RopeLayout::Halves));
    assert_eq!(config.rope.scaling, RopeScaling::Unscaled);
    assert_eq!(config.special_tokens.bos_token_id, Some(1));
    assert_eq!(config.special_tokens.eos_token_ids, [2]);
}

#[test]
fn absent_fields_have_the_family_s_defaults() {
    let absent = json!({"num_key_value_heads": "REMOVE", "rms_norm_eps": "REMOVE", "rope_theta": "REMOVE",
        "tie_word_embeddings": "REMOVE", "hidden_act": "REMOVE", "eos_token_id": null, "bos_token_id": "REMOVE"});
    let config = parse(absent).expect("valid");
    assert_eq!(config.attention.num_key_value_heads, 4);
    assert_eq!((config.rms_norm_eps, config.rope.rope_theta), (1e-6, 10_000.0));
    assert!(!config.tie_word_embeddings);
    assert_eq!((config.special_tokens.bos_token_id, config.special_tokens.eos_token_ids.len()), (None, 0));
    let qwen3 = parse(json!({"architectures": ["Qwen3ForCausalLM"]})).expect("valid");
    assert_eq!(qwen3.attention.head_dim, 128, "independent of the hidden size");
    check_error(json!({"hidden_size": "REMOVE"}), "field \"hidden_size\" is missing");
    check_error(json!({"vocab_size": null}), "field \"vocab_size\" is missing");
}

#[test]
fn families_are_found_by_architecture_or_model_type() {
    let family = |changes| parse(changes).expect("valid").family.name;
    assert_eq!(family(json!({"architectures": ["MistralForCausalLM"]})), "mistral");
    assert_eq!(family(json!({"architectures": "REMOVE", "model_type": "qwen2"})), "qwen2");
    check_error(
        json!({"architectures": ["MixtralForCausalLM"]}),
        "model family \"MixtralForCausalLM\" is not supported; supported: llama, mistral, qwen2, qwen3; encoders: BertModel",
    );
    check_error(
        json!({"architectures": "REMOVE", "model_type": "gemma"}),
        "model family \"gemma\" is not supported; supported: llama, mistral, qwen2, qwen3; encoders: BertModel",
    );
    check_error(
        json!({"architectures": "REMOVE", "model_type": "REMOVE"}),
        "field \"architectures\" is missing",
    );
}

#[test]
fn biases_and_norms_follow_the_family() {
    let attention = |changes| {
        let config = parse(changes).expect("valid");
        (config.attention.bias, config.attention.qk_norm)
    };
    let with_bias = json!({"attention_bias": true});
    assert_eq!(attention(with_bias), (AttentionBias::QkvOutput, QkNorm::Absent));
    let qwen2 = json!({"architectures": ["Qwen2ForCausalLM"]});
    assert_eq!(attention(qwen2), (AttentionBias::Qkv, QkNorm::Absent));
    let qwen3 = json!({"architectures": ["Qwen3ForCausalLM"], "attention_bias": false});
    assert_eq!(attention(qwen3), (AttentionBias::Absent, QkNorm::PerHead));
}

#[test]
fn windows_are_per_layer() {
    let mistral = |window: Value| json!({"architectures": ["MistralForCausalLM"], "sliding_window": window});
    assert_eq!(windows(mistral(json!(8))), [Some(8); 3]);
    assert_eq!(windows(mistral(json!(null))), [None; 3]);
    assert_eq!(windows(mistral(json!("REMOVE"))), [Some(4096); 3], "transformers' default");
    assert_eq!(windows(json!({"sliding_window": 8})), [None; 3], "Llama has none");
    let qwen2 = |more: Value| {
        let mut fields = json!({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 8});
        fields.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        fields
    };
    assert_eq!(windows(qwen2(json!({"use_sliding_window": false, "max_window_layers": 0}))), [None; 3]);
    assert_eq!(windows(qwen2(json!({"max_window_layers": 0}))), [None; 3]);
    let gated = json!({"use_sliding_window": true, "max_window_layers": 1});
    assert_eq!(windows(qwen2(gated)), [None, Some(8), Some(8)]);
    assert_eq!(windows(qwen2(json!({"use_sliding_window": true}))), [None; 3], "28 layers are below");
    let listed = json!({"use_sliding_window": true, "max_window_layers": 0,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]});
    assert_eq!(windows(qwen2(listed)), [Some(8), None, Some(8)]);
    check_error(
        qwen2(json!({"use_sliding_window": true, "layer_types": ["full_attention"]})),
        "field \"layer_types\": expected num_hidden_layers, 3, entries, found 1",
    );
    check_error(
        qwen2(json!({"use_sliding_window": true, "layer_types": ["chunked_attention"]})),
        "layer_types \"chunked_attention\" is not supported; supported: \"sliding_attention\", \"full_attention\"",
    );
}

const LLAMA3: RopeScaling = RopeScaling::Llama3 {
    factor: 32.0,
    low_freq_factor: 1.0,
    high_freq_factor: 4.0,
    original_max_position_embeddings: 256,
};

#[test]
fn rope_is_read_in_the_form_of_transformers_4() {
    let scaling = |scaling: Value| parse(json!({"rope_scaling": scaling})).expect("valid").rope.scaling;
    assert_eq!(scaling(json!(null)), RopeScaling::Unscaled);
    assert_eq!(scaling(json!({"rope_type": "default"})), RopeScaling::Unscaled);
    assert_eq!(scaling(json!({"type": "linear", "factor": 2})), RopeScaling::Linear { factor: 2.0 });
    let llama3 = json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256});
    assert_eq!(scaling(llama3), LLAMA3);
}

#[test]
fn rope_is_read_in_the_form_of_transformers_5() {
    let rope = |parameters: Value| {
        parse(json!({"rope_theta": "REMOVE", "dtype": "bfloat16", "rope_parameters": parameters}))
            .expect("valid")
            .rope
    };
    let plain = rope(json!({"rope_type": "default", "rope_theta": 5e5}));
    assert_eq!((plain.rope_theta, plain.scaling), (5e5, RopeScaling::Unscaled));
    let llama3 = rope(json!({"rope_type": "llama3", "rope_theta": 5e5, "factor": 32, "low_freq_factor": 1,
        "high_freq_factor": 4, "original_max_position_embeddings": 256}));
    assert_eq!((llama3.rope_theta, llama3.scaling), (5e5, LLAMA3));
}

#[test]
fn other_rope_scalings_are_refused() {
    for rope_type in ["yarn", "longrope", "dynamic", "su"] {
        let expected = format!(
            "rope_scaling.rope_type \"{rope_type}\" is not supported; supported: \"default\", \"linear\", \"llama3\""
        );
        check_error(json!({"rope_scaling": {"type": rope_type, "factor": 2.0}}), &expected);
    }
    check_error(json!({"rope_scaling": {"type": "linear"}}), "field \"rope_scaling.factor\" is missing");
    check_error(
        json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
        "rope_parameters.full_attention \"per layer type\" is not supported; supported: one set for all layers",
    );
    check_error(
        json!({"partial_rotary_factor": 0.5}),
        "partial_rotary_factor \"0.5\" is not supported; supported: 1.0",
    );
    check_error(
        json!({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}}),
        "field \"high_freq_factor\": expected more than low_freq_factor, 4, found 4",
    );
}

#[test]
fn generation_config_has_precedence_for_special_tokens() {
    let parse = |generation: &str| {
        let config = config(json!({}));
        DecoderConfig::from_json(
            Path::new("d/config.json"),
            config.to_string().as_bytes(),
            Some(generation.as_bytes()),
        )
    };
    let tokens = parse(r#"{"eos_token_id": [7, 8], "bos_token_id": 5}"#).expect("valid").special_tokens;
    assert_eq!((tokens.bos_token_id, tokens.eos_token_ids), (Some(5), vec![7, 8]));
    assert_eq!(parse("{}").expect("valid").special_tokens.eos_token_ids, [2]);
    assert_eq!(
        parse(r#"{"eos_token_id": "x"}"#).expect_err("impossible").to_string(),
        "d/generation_config.json: field \"eos_token_id\": expected a token id or a list of them, found \"x\""
    );
}

#[test]
fn impossible_values_are_refused() {
    let check = |field: &str, value: Value, expected: &str| {
        let text = format!("field \"{field}\": expected {expected}, found {value}");
        check_error(json!({field: value}), &text);
    };
    check("hidden_size", json!(0), "1 to 1048576");
    check("hidden_size", json!(-1), "an integer, not negative");
    check("hidden_size", json!(1.5), "an integer, not negative");
    check("hidden_size", json!("64"), "an integer, not negative");
    check("intermediate_size", json!(u64::MAX), "1 to 4194304");
    check("num_hidden_layers", json!(1 << 20), "1 to 4096");
    check("num_attention_heads", json!(0), "1 to 4096");
    check("num_key_value_heads", json!(3), "a divisor of num_attention_heads, 4");
    check("head_dim", json!(15), "an even number, for rotary pairs");
    check("head_dim", json!(8192), "1 to 4096");
    check("vocab_size", json!(1u64 << 40), "1 to 16777216");
    check("max_position_embeddings", json!(0), "1 to 268435456");
    check("rms_norm_eps", json!(0), "a finite positive number");
    check("rope_theta", json!(-1), "a finite positive number");
    check("rope_theta", json!("x"), "a number");
    check("tie_word_embeddings", json!(1), "true or false");
    check("architectures", json!("LlamaForCausalLM"), "a list of strings");
    check("eos_token_id", json!(100), "less than vocab_size, 100");
    check("bos_token_id", json!(-1), "a token id or a list of them");
    check("rope_scaling", json!([]), "an object");
    let infinite = config(json!({})).to_string().replace("0.00001", "1e39").replace("1e-5", "1e39");
    let error = DecoderConfig::from_json(Path::new("c"), infinite.as_bytes(), None).expect_err("infinite");
    assert_eq!(error.to_string(), "c: field \"rms_norm_eps\": expected a finite positive number, found inf");
}

#[test]
fn features_that_are_not_computed_are_refused() {
    check_error(json!({"hidden_act": "gelu"}), "hidden_act \"gelu\" is not supported; supported: \"silu\"");
    check_error(json!({"mlp_bias": true}), "mlp_bias \"true\" is not supported; supported: false");
    check_error(
        json!({"quantization_config": {"bits": 4}}),
        "quantization_config \"present\" is not supported; supported: dense weights, or GGUF",
    );
}

#[test]
fn text_that_is_no_config_is_refused() {
    let check = |json: &[u8], expected: &str| {
        let error = DecoderConfig::from_json(Path::new("c"), json, None).expect_err("no config");
        let ModelError::Json { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.to_string(), expected);
    };
    check(b"", "EOF while parsing a value at line 1 column 0");
    check(b"[]", "invalid type: sequence, expected a map at line 1 column 0");
    check(b"{\"a\": NaN}", "expected value at line 1 column 7");
    check(b"{\"\xff\": 1}", "invalid unicode code point at line 1 column 3");
    check("[".repeat(10_000).as_bytes(), "invalid type: sequence, expected a map at line 1 column 0");
    let deep = format!("{{\"a\":{}", "[".repeat(10_000));
    check(deep.as_bytes(), "recursion limit exceeded at line 1 column 132");
}
