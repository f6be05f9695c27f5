//! Tokenizer and chat template of a checkpoint.

use std::{fs, io, path::Path, sync::Arc};

use llama_models::{Checkpoint, ModelError, Vocabulary, checkpoint::gguf::GgufMetadata};
use llama_tokenizer::{ChatTemplate, GgufVocabulary, SpecialTokens, Tokenizer, TokenizerError};

use crate::LoadError;

/// How text becomes tokens for one model.
#[derive(Debug)]
pub(crate) struct TextSide {
    /// Shared with grammars, which ask it how forced text divides into tokens.
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// Absent for models that were not made for conversations.
    pub(crate) template: Option<ChatTemplate>,
}

impl TextSide {
    pub(crate) fn open<C>(checkpoint: &Checkpoint<C>) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Tokenizer { path: checkpoint.path().to_owned(), source };
        match checkpoint.vocabulary() {
            Vocabulary::HuggingFace { dir } => {
                let files = HuggingFaceFiles::read(dir)?;
                files.build().map_err(failed)
            }
            Vocabulary::Gguf(metadata) => {
                let vocabulary = gguf_vocabulary(metadata)?;
                let source = metadata.optional::<&str>("tokenizer.chat_template")?;
                from_gguf(&vocabulary, source).map_err(failed)
            }
        }
    }
}

/// The text files of a directory in Hugging Face form.
struct HuggingFaceFiles {
    tokenizer: Vec<u8>,
    config: Option<String>,
    jinja: Option<String>,
}

impl HuggingFaceFiles {
    fn read(dir: &Path) -> Result<Self, LoadError> {
        let path = dir.join("tokenizer.json");
        let tokenizer = fs::read(&path).map_err(|source| LoadError::Io { path, source })?;
        let config = read_optional(&dir.join("tokenizer_config.json"))?;
        let jinja = read_optional(&dir.join("chat_template.jinja"))?;
        Ok(Self { tokenizer, config, jinja })
    }

    fn build(&self) -> Result<TextSide, TokenizerError> {
        let mut tokenizer = Tokenizer::from_json(&self.tokenizer)?;
        let Some(config) = &self.config else {
            return Ok(TextSide { tokenizer: Arc::new(tokenizer), template: None });
        };
        tokenizer = tokenizer.with_special_tokens(&SpecialTokens::from_config(config)?)?;
        let has_template = self.jinja.is_some() || config.contains("\"chat_template\"");
        let template = match has_template {
            true => Some(ChatTemplate::from_config(config, self.jinja.as_deref())?),
            false => None,
        };
        Ok(TextSide { tokenizer: Arc::new(tokenizer), template })
    }
}

fn read_optional(path: &Path) -> Result<Option<String>, LoadError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Io { path: path.to_owned(), source }),
    }
}

fn gguf_vocabulary(metadata: &GgufMetadata) -> Result<GgufVocabulary, ModelError> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let strings = |name: &str| -> Result<Vec<String>, ModelError> {
        let texts = metadata.optional::<Vec<&str>>(&key(name))?.unwrap_or_default();
        Ok(texts.into_iter().map(str::to_owned).collect())
    };
    Ok(GgufVocabulary {
        model: metadata.required::<&str>(&key("model"))?.to_owned(),
        pre: metadata.optional::<&str>(&key("pre"))?.map(str::to_owned),
        tokens: strings("tokens")?,
        scores: metadata.optional(&key("scores"))?.unwrap_or_default(),
        token_types: metadata.optional(&key("token_type"))?.unwrap_or_default(),
        merges: strings("merges")?,
        bos: metadata.optional(&key("bos_token_id"))?,
        eos: metadata.optional(&key("eos_token_id"))?,
        unk: metadata.optional(&key("unknown_token_id"))?,
        add_bos: metadata.optional(&key("add_bos_token"))?,
        add_eos: metadata.optional(&key("add_eos_token"))?,
        add_space_prefix: metadata.optional(&key("add_space_prefix"))?,
    })
}

fn from_gguf(vocabulary: &GgufVocabulary, template: Option<&str>) -> Result<TextSide, TokenizerError> {
    let tokenizer = Tokenizer::from_gguf(vocabulary)?;
    let special = tokenizer.special_ids();
    let text = |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id));
    let special_tokens = SpecialTokens {
        bos: text(special.bos),
        eos: text(special.eos),
        unk: text(special.unk),
        ..SpecialTokens::default()
    };
    let template = template.map(|source| ChatTemplate::new(source, special_tokens)).transpose()?;
    Ok(TextSide { tokenizer: Arc::new(tokenizer), template })
}
