//! Vocabularies and goldens for the tests; data/make.py says where they come from.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use llama_tokenizer::{GgufVocabulary, Tokenizer};
use serde::Deserialize;

pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One of the packed vocabularies, by name.
pub(crate) fn vocabulary(name: &str) -> GgufVocabulary {
    let packed = std::fs::read(data(&format!("{name}.json.gz"))).expect("the vocabulary is committed");
    let mut json = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut json).expect("it is gzip");
    serde_json::from_str::<Packed>(&json).expect("make.py wrote it").unpack()
}

/// The tokenizer over [`vocabulary`], built once.
pub(crate) fn tokenizer(name: &str) -> &'static Tokenizer {
    static ALL: [OnceLock<Tokenizer>; 5] = [const { OnceLock::new() }; 5];
    let idx = VOCABULARIES.iter().position(|known| *known == name).expect("a committed vocabulary");
    ALL[idx].get_or_init(|| Tokenizer::from_gguf(&vocabulary(name)).expect("a valid vocabulary"))
}

pub(crate) const VOCABULARIES: [&str; 5] = ["gpt-2", "llama-bpe", "qwen2", "smollm", "llama-spm"];

/// The tokenizer.json that the project's own model came with.
pub(crate) fn bard() -> &'static Tokenizer {
    static BARD: OnceLock<Tokenizer> = OnceLock::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard/tokenizer.json");
    BARD.get_or_init(|| Tokenizer::from_file(path).expect("bard is committed"))
}

#[derive(Deserialize)]
struct Packed {
    model: String,
    pre: Option<String>,
    bos: Option<u32>,
    eos: Option<u32>,
    unk: Option<u32>,
    add_bos: Option<bool>,
    add_eos: Option<bool>,
    add_space_prefix: Option<bool>,
    #[serde(default)]
    tokens: Vec<(String, f32, i32)>,
    #[serde(default)]
    base: Vec<(u32, String, i32)>,
    #[serde(default)]
    merges: Vec<String>,
}

impl Packed {
    fn unpack(self) -> GgufVocabulary {
        let mut vocabulary = GgufVocabulary {
            model: self.model,
            pre: self.pre,
            bos: self.bos,
            eos: self.eos,
            unk: self.unk,
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            add_space_prefix: self.add_space_prefix,
            ..GgufVocabulary::default()
        };
        for (text, score, kind) in self.tokens {
            vocabulary.tokens.push(text);
            vocabulary.scores.push(score);
            vocabulary.token_types.push(kind);
        }
        let mut base: BTreeMap<u32, (String, i32)> =
            self.base.into_iter().map(|(id, text, kind)| (id, (text, kind))).collect();
        let mut seen = HashSet::new();
        let mut produced =
            self.merges.iter().map(|merge| merge.replace(' ', "")).filter(|text| seen.insert(text.clone()));
        while vocabulary.scores.is_empty() {
            let id = u32::try_from(vocabulary.tokens.len()).expect("few tokens");
            let Some((text, kind)) = base.remove(&id).or_else(|| Some((produced.next()?, 1))) else { break };
            vocabulary.tokens.push(text);
            vocabulary.token_types.push(kind);
        }
        drop(produced);
        vocabulary.merges = self.merges;
        vocabulary
    }
}
