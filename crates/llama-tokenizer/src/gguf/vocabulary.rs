//! The plain data of a GGUF vocabulary.
//!
//! Owns [`GgufVocabulary`], whose fields are the file's metadata keys, unchecked. Checking and building
//! happen in [`Tokenizer::from_gguf`](crate::Tokenizer::from_gguf), the way back in `export.rs`.

/// What the `tokenizer.ggml.*` keys of a GGUF file say. Ids are positions in `tokens`; `None` and empty lists mean that the key is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `tokenizer.ggml.model`: `gpt2` for byte-level BPE, `llama` for SPM.
    pub model: String,
    /// `tokenizer.ggml.pre`: how BPE splits text into words. Absent means `gpt2`.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`: needed by SPM, ignored by BPE.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Absent means all normal.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.merges`: needed by BPE, ignored by SPM.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`. Absent means yes for SPM and Llama 3, no otherwise.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`. Absent means no.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`. Absent means yes for SPM; BPE ignores it.
    pub add_space_prefix: Option<bool>,
}
