//! How a model was trained to embed, as sentence-transformers writes it down in files beside the weights.
//!
//! Whatever would change vectors is either honoured or refused with the name of its field; without these files a model is
//! taken to be pooled by the mean. That vectors are to be normalised needs no honouring: it is what a request does unless
//! it says otherwise.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use llama_engine::Pooling;
use serde_json::Value;

use crate::LoadError;

const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling";
const CONFIG: &str = "config.json";
const TRANSFORMER: &str = "sentence_bert_config.json";
const PROMPTS: &str = "config_sentence_transformers.json";

/// Settings of one model. Absent ones were not in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentenceSettings {
    pub(crate) pooling: Option<Pooling>,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) query_prefix: String,
    pub(crate) document_prefix: String,
}

impl SentenceSettings {
    /// Reads what is there in a directory in Hugging Face form.
    pub(crate) fn read(dir: &Path) -> Result<Self, LoadError> {
        let pooling_dir = Json::open(dir.join(MODULES))?.map(|modules| modules.pooling_dir()).transpose()?;
        let pooling = pooling_dir.unwrap_or_else(|| POOLING.to_owned());
        let pooling = Json::open(dir.join(pooling).join(CONFIG))?.map(|file| file.pooling()).transpose()?;
        let max_tokens = Json::open(dir.join(TRANSFORMER))?.map(|file| file.max_tokens()).transpose()?;
        let prompts = Json::open(dir.join(PROMPTS))?;
        let prompt = |names: [&str; 2]| {
            let prompts = prompts.as_ref().map(|file| &file.value["prompts"]);
            let found = names.iter().find_map(|name| prompts?[*name].as_str());
            found.unwrap_or_default().to_owned()
        };
        Ok(Self {
            pooling,
            max_tokens: max_tokens.flatten(),
            query_prefix: prompt(["query", "search_query"]),
            document_prefix: prompt(["document", "passage"]),
        })
    }
}

/// One parsed file.
struct Json {
    path: PathBuf,
    value: Value,
}

impl Json {
    /// `None` if there is no such file.
    fn open(path: PathBuf) -> Result<Option<Self>, LoadError> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LoadError::Io { path, source }),
        };
        match serde_json::from_str(&text) {
            Ok(value) => Ok(Some(Self { path, value })),
            Err(source) => Err(LoadError::Json { path, source }),
        }
    }

    /// Where the pooling module's configuration is. Modules that compute more than pooling and normalising are refused.
    fn pooling_dir(&self) -> Result<String, LoadError> {
        let mut dir = POOLING.to_owned();
        for module in self.value.as_array().into_iter().flatten() {
            let kind = module["type"].as_str().unwrap_or_default();
            match kind.rsplit('.').next() {
                Some("Transformer" | "Normalize") => {}
                Some("Pooling") => dir = module["path"].as_str().unwrap_or(POOLING).to_owned(),
                _ => return Err(self.unsupported("type", kind, "Transformer, Pooling, Normalize")),
            }
        }
        Ok(dir)
    }

    fn pooling(&self) -> Result<Pooling, LoadError> {
        const SUPPORTED: &str = "one of cls, mean, weightedmean, lasttoken";
        if self.value["include_prompt"] == false {
            return Err(self.unsupported("include_prompt", "false", "true"));
        }
        let flags = self.value.as_object().into_iter().flatten().filter(|(_, value)| **value == true);
        let mut modes: Vec<&str> = flags.filter_map(|(name, _)| name.strip_prefix("pooling_mode_")).collect();
        modes.extend(self.value["pooling_mode"].as_str());
        match modes.as_slice() {
            ["cls_token" | "cls"] => Ok(Pooling::First),
            ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
            ["weightedmean_tokens" | "weightedmean"] => Ok(Pooling::WeightedMean),
            ["lasttoken"] => Ok(Pooling::Last),
            _ => Err(self.unsupported("pooling_mode", &modes.join(" and "), SUPPORTED)),
        }
    }

    fn max_tokens(&self) -> Result<Option<usize>, LoadError> {
        if self.value["do_lower_case"] == true {
            return Err(self.unsupported("do_lower_case", "true", "false: the tokenizer does it"));
        }
        match &self.value["max_seq_length"] {
            Value::Null => Ok(None),
            length => match length.as_u64().and_then(|length| length.try_into().ok()) {
                Some(length) if length > 0 => Ok(Some(length)),
                _ => Err(self.unsupported("max_seq_length", &length.to_string(), "1 or more")),
            },
        }
    }

    fn unsupported(&self, field: &'static str, found: &str, supported: &'static str) -> LoadError {
        LoadError::Sentence { path: self.path.clone(), field, found: found.to_owned(), supported }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings of a directory with these files.
    fn read(files: &[(&str, &str)]) -> Result<SentenceSettings, LoadError> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        SentenceSettings::read(dir.path())
    }

    fn check_refused(name: &str, text: &str, expected: &str) {
        let error = read(&[(name, text)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn settings_are_those_of_the_files() {
        let modules = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "pool", "type": "sentence_transformers.models.Pooling"}]"#;
        let settings = read(&[
            (MODULES, modules),
            ("pool/config.json", r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#),
            (TRANSFORMER, r#"{"max_seq_length": 256, "do_lower_case": false}"#),
            (PROMPTS, r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#),
        ]);
        let expected = SentenceSettings {
            pooling: Some(Pooling::First),
            max_tokens: Some(256),
            query_prefix: "query: ".to_owned(),
            document_prefix: "passage: ".to_owned(),
        };
        assert_eq!(settings.unwrap(), expected);
        assert_eq!(read(&[]).unwrap(), SentenceSettings::default());
    }

    #[test]
    fn every_pooling_has_its_name() {
        for (name, pooling) in [
            ("pooling_mode_mean_tokens", Pooling::Mean),
            ("pooling_mode_weightedmean_tokens", Pooling::WeightedMean),
            ("pooling_mode_lasttoken", Pooling::Last),
        ] {
            let settings = read(&[("1_Pooling/config.json", &format!("{{\"{name}\": true}}"))]).unwrap();
            assert_eq!(settings.pooling, Some(pooling));
        }
        let settings = read(&[("1_Pooling/config.json", r#"{"pooling_mode": "mean"}"#)]).unwrap();
        assert_eq!(settings.pooling, Some(Pooling::Mean));
    }

    #[test]
    fn what_would_change_vectors_unseen_is_refused() {
        check_refused(MODULES, r#"[{"type": "sentence_transformers.models.Dense"}]"#, "Dense");
        check_refused("1_Pooling/config.json", r#"{"pooling_mode_max_tokens": true}"#, "max_tokens");
        let both = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#;
        check_refused("1_Pooling/config.json", both, "cls_token and mean_tokens");
        check_refused("1_Pooling/config.json", r#"{"include_prompt": false}"#, "include_prompt");
        check_refused(TRANSFORMER, r#"{"do_lower_case": true}"#, "do_lower_case");
        check_refused(TRANSFORMER, r#"{"max_seq_length": 0}"#, "max_seq_length");
        check_refused(TRANSFORMER, "{", TRANSFORMER);
    }
}
