//! The engine with an encoder: a small random BERT with bard's tokenizer.

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use futures::executor::block_on;
use llama_backend::ops::Kernels;
use llama_engine::{
    EmbedInput, EmbedRequest, EngineError, GenerateRequest, LlamaEngine, ModelKind, Normalization, Pooling,
    Prompt, contract,
};
use llama_models::{DecoderOptions, Quantization};
use llama_runtime::{CandleEngine, EngineOptions, LoadError, SessionError};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use support::{Random, bard_dir, check_idle};

const TEXTS: [&str; 4] =
    ["the king", "a horse, a horse", "", "my kingdom for a horse, said Richard the Third"];

fn config() -> Value {
    json!({
        "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": 64,
        "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1024,
        "type_vocab_size": 2, "max_position_embeddings": 40, "layer_norm_eps": 1e-12,
    })
}

/// Names and shapes of the weights.
fn shapes() -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::from([
        ("embeddings.word_embeddings.weight".to_owned(), vec![1024, 64]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![40, 64]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, 64]),
    ]);
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..2 {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for (part, n, k) in [
            ("attention.self.query", 64, 64),
            ("attention.self.key", 64, 64),
            ("attention.self.value", 64, 64),
            ("attention.output.dense", 64, 64),
            ("intermediate.dense", 96, 64),
            ("output.dense", 64, 96),
        ] {
            shapes.insert(name(&format!("{part}.weight")), vec![n, k]);
            shapes.insert(name(&format!("{part}.bias")), vec![n]);
        }
        norms.extend(["attention.output.LayerNorm", "output.LayerNorm"].map(name));
    }
    for norm in norms {
        shapes.extend(["weight", "bias"].map(|part| (format!("{norm}.{part}"), vec![64])));
    }
    shapes
}

/// Writes a checkpoint with these weights.
fn write(dir: &Path, config: &Value, shapes: &BTreeMap<String, Vec<usize>>) {
    let mut random = Random(5);
    let mut values = |len: usize| -> Vec<u8> {
        let value = |_| (random.below(2001) as f32 / 1000.0 - 1.0) * 0.3;
        (0..len).map(value).flat_map(f32::to_le_bytes).collect()
    };
    let tensors: Vec<_> =
        shapes.iter().map(|(name, shape)| (name, shape, values(shape.iter().product()))).collect();
    let views = tensors.iter().map(|(name, shape, data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), data).expect("sized by its shape"))
    });
    let weights = safetensors::serialize(views, None).expect("valid tensors");
    fs::write(dir.join("model.safetensors"), weights).expect("a temporary directory");
    fs::write(dir.join("config.json"), config.to_string()).expect("a temporary directory");
    fs::copy(bard_dir().join("tokenizer.json"), dir.join("tokenizer.json")).expect("bard is here");
}

fn load(options: EngineOptions) -> CandleEngine {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(dir.path(), &config(), &shapes());
    block_on(CandleEngine::load(dir.path(), options)).expect("a whole checkpoint")
}

fn vectors(engine: &CandleEngine) -> Vec<Vec<f32>> {
    block_on(engine.embed(EmbedRequest::new(TEXTS))).expect("they fit").vectors
}

/// Largest difference of a component.
fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |worst, x| if x > worst || x.is_nan() { x } else { worst })
}

#[test]
fn the_clauses_on_embeddings_are_kept() {
    for max_step_tokens in [512, 7] {
        let engine = load(EngineOptions { max_step_tokens, ..EngineOptions::default() });
        block_on(async {
            contract::embeddings_are_as_alone(&engine).await;
            contract::embedding_options_apply(&engine).await;
            contract::overlong_texts_are_cut_if_asked(&engine).await;
            contract::empty_texts_are_the_tokens_around_them(&engine).await;
        });
        check_idle(&engine);
    }
}

#[test]
fn our_kernels_compute_the_reference() {
    let kernels = |kernels| EngineOptions {
        decoder: DecoderOptions { kernels, ..DecoderOptions::default() },
        ..EngineOptions::default()
    };
    let (native, reference) = (vectors(&load(kernels(Kernels::Native))), load(kernels(Kernels::Reference)));
    let worst = distance(&native, &vectors(&reference));
    assert!(worst < 2e-6, "{worst}");
}

#[test]
fn quantised_matrices_change_little() {
    let quantized = EngineOptions { quantize: Some(Quantization::Q8_0), ..EngineOptions::default() };
    let worst = distance(&vectors(&load(EngineOptions::default())), &vectors(&load(quantized)));
    assert!(worst > 0.0 && worst < 0.02, "{worst}");
}

#[test]
fn what_spells_a_special_token_is_text() {
    let engine = load(EngineOptions::default());
    let num_tokens = |text| {
        let embedded = block_on(engine.embed(EmbedRequest::new([text]))).expect("it fits");
        embedded.usage.prompt_tokens
    };
    // Bard's tokenizer begins every text with <s>.
    assert_eq!(num_tokens(""), 1);
    assert!(num_tokens("</s>") > 2, "{} tokens", num_tokens("</s>"));
}

#[test]
fn what_only_decoders_do_is_refused() {
    let engine = load(EngineOptions::default());
    assert_eq!(engine.info().kind, ModelKind::Encoder);
    let refused = block_on(engine.generate(GenerateRequest::new("The king"))).map(|_| ());
    let Err(EngineError::Unsupported { what }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(what, "to generate: the model is an encoder, which only embeds");
    let refused = block_on(engine.pin(Prompt::from("The king")));
    assert!(matches!(refused, Err(EngineError::Unsupported { .. })), "{refused:?}");
    let refused = block_on(engine.restore_context("nowhere"));
    assert!(matches!(refused, Err(SessionError::Engine(EngineError::Unsupported { .. }))), "{refused:?}");
    check_idle(&engine);
}

#[test]
fn settings_of_sentence_transformers_are_honoured() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(dir.path(), &config(), &shapes());
    fs::create_dir(dir.path().join("1_Pooling")).expect("a temporary directory");
    for (name, json) in [
        ("1_Pooling/config.json", json!({"pooling_mode_cls_token": true})),
        ("sentence_bert_config.json", json!({"max_seq_length": 20})),
        ("config_sentence_transformers.json", json!({"prompts": {"query": "what? "}})),
    ] {
        fs::write(dir.path().join(name), json.to_string()).expect("a temporary directory");
    }
    let engine =
        block_on(CandleEngine::load(dir.path(), EngineOptions::default())).expect("a whole checkpoint");
    let info = &engine.info().embedding;
    assert_eq!((info.pooling, info.max_tokens, info.len), (Pooling::First, 20, 64));
    let request =
        |input, text| EmbedRequest { input, normalization: Normalization::None, ..EmbedRequest::new([text]) };
    let ask = |request| block_on(engine.embed(request)).expect("it fits").vectors;
    let query = ask(request(EmbedInput::Query, "a horse"));
    assert_eq!(query, ask(request(EmbedInput::Plain, "what? a horse")));
    assert_ne!(query, ask(request(EmbedInput::Document, "a horse")));
    let mean = EmbedRequest { pooling: Some(Pooling::Mean), ..request(EmbedInput::Query, "a horse") };
    assert_ne!(query, ask(mean), "not what the files say, because it was asked for");
}

#[test]
fn incomplete_and_other_checkpoints_are_refused_by_name() {
    let refusal = |config: &Value, shapes: &BTreeMap<String, Vec<usize>>| -> LoadError {
        let dir = tempfile::tempdir().expect("a temporary directory");
        write(dir.path(), config, shapes);
        block_on(CandleEngine::load(dir.path(), EngineOptions::default())).expect_err("it is refused")
    };
    let name = "encoder.layer.1.attention.output.LayerNorm.bias";
    let mut shapes = shapes();
    shapes.insert(name.to_owned(), vec![63]);
    let message = refusal(&config(), &shapes).to_string();
    assert!(message.contains(name) && message.contains("[63]"), "{message}");
    shapes.remove(name);
    let message = refusal(&config(), &shapes).to_string();
    assert!(message.contains(name) && message.contains("missing"), "{message}");
    let mut other = config();
    other["architectures"] = json!(["RobertaModel"]);
    let message = refusal(&other, &shapes).to_string();
    assert!(message.contains("RobertaModel") && message.contains("encoders: BertModel"), "{message}");
}

#[test]
fn a_request_that_nobody_waits_for_gives_its_work_up() {
    let engine = load(EngineOptions { max_step_tokens: 1, ..EngineOptions::default() });
    let many = EmbedRequest::new(vec![TEXTS[3]; 2000]);
    let mut given_up = Box::pin(engine.embed(many));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(given_up.as_mut().poll(&mut context).is_pending());
    drop(given_up);
    let before = std::time::Instant::now();
    check_idle(&engine);
    assert!(before.elapsed().as_secs() < 5, "it computed what nobody waited for");
    assert_eq!(vectors(&engine).len(), TEXTS.len());
}
