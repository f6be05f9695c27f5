//! [`StoreSettings`]: what a store was made with. Vectors of other settings cannot be compared with its own.

use llama_engine::EngineInfo;
use serde::{Deserialize, Serialize};

use crate::{Rescoring, SplitSettings, VectorSettings, VectorType, error::Result};

/// The layout of records.
const FORMAT: u32 = 1;

/// A setting as people read it.
type Show = fn(&StoreSettings) -> String;

/// What a store was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreSettings {
    format: u32,
    /// Name of the embedding model.
    pub(crate) model: String,
    /// Components of its vectors.
    pub(crate) embedding_len: usize,
    /// What the model is told before a document.
    pub(crate) document_prefix: String,
    pub(crate) split: SplitSettings,
    /// Components that are scanned.
    pub(crate) scanned_len: usize,
    pub(crate) kind: VectorType,
    pub(crate) rescoring: Rescoring,
}

impl StoreSettings {
    /// What a store of this model is made with, if that makes sense.
    pub(crate) fn new(info: &EngineInfo, split: SplitSettings, vectors: &VectorSettings) -> Result<Self> {
        Ok(Self {
            format: FORMAT,
            model: info.model.clone(),
            embedding_len: info.embedding.len,
            document_prefix: info.embedding.document_prefix.clone(),
            split,
            scanned_len: vectors.scanned(&info.embedding)?,
            kind: vectors.kind,
            rescoring: vectors.rescoring,
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers have a JSON form")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The first setting that differs, its value in `stored`, and its value here.
    pub(super) fn first_difference(&self, stored: &Self) -> Option<(&'static str, String, String)> {
        let kept = |settings: &Self| match settings.rescoring {
            Rescoring::Times(_) => "whole vectors".to_owned(),
            Rescoring::Off => format!("{} components of {:?}", settings.scanned_len, settings.kind),
        };
        let fields: [(&'static str, Show); 6] = [
            ("format", |settings| settings.format.to_string()),
            ("model", |settings| settings.model.clone()),
            ("dimensions", |settings| settings.embedding_len.to_string()),
            ("document prefix", |settings| format!("{:?}", settings.document_prefix)),
            ("chunk size", |settings| format!("{} tokens", settings.split.max_tokens)),
            ("chunk overlap", |settings| format!("{} tokens", settings.split.overlap_tokens)),
        ];
        let values = fields.map(|(field, value)| (field, value(stored), value(self)));
        let kept = ("stored vectors", kept(stored), kept(self));
        values.into_iter().chain([kept]).find(|(_, stored, wanted)| stored != wanted)
    }
}
