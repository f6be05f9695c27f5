//! A checkpoint's tokenizer as GGUF metadata, so that a directory in Hugging Face form can be written as a GGUF file.

use std::{fs, path::Path};

use llama_models::{Checkpoint, Vocabulary, checkpoint::gguf::GgufValue};
use llama_tokenizer::GgufVocabulary;

use crate::{LoadError, vocabulary::TextSide};

/// The keys `tokenizer.*` of a GGUF file with this checkpoint's tokenizer and chat template, for
/// [`Checkpoint::with_gguf_vocabulary`]. Empty for a checkpoint that is a GGUF file and has them.
///
/// # Errors
/// [`LoadError::Tokenizer`] if there is no tokenizer, or GGUF has no words for it.
pub fn gguf_vocabulary(checkpoint: &Checkpoint) -> Result<Vec<(String, GgufValue)>, LoadError> {
    match checkpoint.vocabulary() {
        Vocabulary::HuggingFace { dir } => from_hugging_face(checkpoint, dir),
        Vocabulary::Gguf(_) => Ok(Vec::new()),
    }
}

fn from_hugging_face(checkpoint: &Checkpoint, dir: &Path) -> Result<Vec<(String, GgufValue)>, LoadError> {
    let path = dir.join("tokenizer.json");
    let json = fs::read(&path).map_err(|source| LoadError::Io { path: path.clone(), source })?;
    let vocabulary =
        GgufVocabulary::from_tokenizer_json(&json).map_err(|source| LoadError::Tokenizer { path, source })?;
    let text = TextSide::open(checkpoint)?;
    let config = checkpoint.config();
    let (mut tokens, mut types) = (vocabulary.tokens, vocabulary.token_types);
    // The embedding may have more rows than there are tokens; files have a token for each.
    for id in tokens.len()..config.vocab_size {
        tokens.push(format!("[UNUSED{id}]"));
        types.push(5);
    }
    let mut entries: Vec<(String, GgufValue)> = Vec::new();
    let mut set = |key: &str, value: GgufValue| entries.push((format!("tokenizer.{key}"), value));
    set("ggml.model", vocabulary.model.into());
    if let Some(pre) = vocabulary.pre {
        set("ggml.pre", pre.into());
    }
    set("ggml.tokens", tokens.into());
    set("ggml.token_type", types.into());
    set("ggml.merges", vocabulary.merges.into());
    let special = text.tokenizer.special_ids();
    let eos = config.special_tokens.eos_token_ids.first().copied();
    let ids = [("bos", special.bos.or(config.special_tokens.bos_token_id)), ("eos", eos.or(special.eos))];
    for (role, id) in ids {
        if let Some(id) = id {
            set(&format!("ggml.{role}_token_id"), id.into());
        }
    }
    for (role, adds) in [("bos", vocabulary.add_bos), ("eos", vocabulary.add_eos)] {
        if let Some(adds) = adds {
            set(&format!("ggml.add_{role}_token"), adds.into());
        }
    }
    if let Some(template) = text.template {
        set("chat_template", template.source().into());
    }
    Ok(entries)
}
