//! tokenizer_config.json, as far as we need it.
//!
//! Owns [`SpecialTokens`] and the choice among several templates. It deliberately ignores everything else in the file: how text becomes
//! tokens stands in tokenizer.json.

use serde::Deserialize;

use crate::TokenizerError;

/// The texts of the tokens with a role, where the model names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begin of sequence.
    pub bos: Option<String>,
    /// End of sequence.
    pub eos: Option<String>,
    /// Stands for what the vocabulary cannot express.
    pub unk: Option<String>,
    /// Fills up batches.
    pub pad: Option<String>,
}

impl SpecialTokens {
    /// Reads them from the text of a tokenizer_config.json, where each is a string or an object with `content`.
    ///
    /// # Errors
    ///
    /// [`TokenizerError::Config`] when the text is not such a file.
    pub fn from_config(config: &str) -> Result<Self, TokenizerError> {
        TokenizerConfig::from_json(config).map(|config| config.special_tokens())
    }

    /// The variables that templates read; an absent token is an undefined variable.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("unk_token", &self.unk),
            ("pad_token", &self.pad),
        ];
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}

/// The file itself.
#[derive(Deserialize)]
pub(super) struct TokenizerConfig {
    bos_token: Option<TokenField>,
    eos_token: Option<TokenField>,
    unk_token: Option<TokenField>,
    pad_token: Option<TokenField>,
    chat_template: Option<TemplateField>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenField {
    Text(String),
    Object { content: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TemplateField {
    Source(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl TokenizerConfig {
    pub(super) fn from_json(config: &str) -> Result<Self, TokenizerError> {
        serde_json::from_str(config).map_err(|source| TokenizerError::Config { source })
    }

    pub(super) fn special_tokens(&self) -> SpecialTokens {
        let text = |field: &Option<TokenField>| match field {
            Some(TokenField::Text(text) | TokenField::Object { content: text }) => Some(text.clone()),
            None => None,
        };
        SpecialTokens {
            bos: text(&self.bos_token),
            eos: text(&self.eos_token),
            unk: text(&self.unk_token),
            pad: text(&self.pad_token),
        }
    }

    pub(super) fn default_template(self) -> Result<String, TokenizerError> {
        let named = match self.chat_template {
            Some(TemplateField::Source(source)) => return Ok(source),
            Some(TemplateField::Named(named)) => named,
            None => Vec::new(),
        };
        let names = named.iter().map(|template| template.name.clone()).collect();
        let default = named.into_iter().find(|template| template.name == "default");
        default.map(|template| template.template).ok_or(TokenizerError::NoTemplate { names })
    }
}
