//! `model.safetensors.index.json`: which shard holds which tensor.
//!
//! Invariant: every shard is a plain file name beside the index. Hostile indices cannot reach other directories.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use serde::Deserialize;

use crate::{ModelError, checkpoint::table::TensorTable, error::excerpt};

/// The parsed index.
#[derive(Debug)]
pub(crate) struct ShardIndex {
    shard_by_tensor: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawIndex {
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Parses the index at `path` from its bytes.
    pub(crate) fn parse(path: &Path, json: &[u8]) -> Result<Self, ModelError> {
        let raw: RawIndex = serde_json::from_slice(json)
            .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
        match raw.weight_map.values().find(|shard| !is_plain_file_name(shard)) {
            Some(shard) => Err(ModelError::ShardName { path: path.to_owned(), shard: excerpt(shard) }),
            None => Ok(Self { shard_by_tensor: raw.weight_map }),
        }
    }

    /// The shards' file names, each once, sorted.
    pub(crate) fn shards(&self) -> BTreeSet<&str> {
        self.shard_by_tensor.values().map(String::as_str).collect()
    }

    /// Checks that `shard` holds every tensor that the index promises in it.
    pub(crate) fn check_shard(
        &self,
        path: &Path,
        shard: &str,
        table: &TensorTable,
    ) -> Result<(), ModelError> {
        let promised = self.shard_by_tensor.iter().filter(|(_, of)| *of == shard);
        match promised.map(|(tensor, _)| tensor).find(|tensor| table.summary(tensor).is_none()) {
            Some(tensor) => Err(ModelError::ShardTensor {
                path: path.to_owned(),
                tensor: excerpt(tensor),
                shard: excerpt(shard),
            }),
            None => Ok(()),
        }
    }
}

fn is_plain_file_name(shard: &str) -> bool {
    let mut components = Path::new(shard).components();
    let plain = matches!(components.next(), Some(Component::Normal(name)) if name == shard);
    plain && components.next().is_none() && !shard.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<ShardIndex, ModelError> {
        ShardIndex::parse(Path::new("i.json"), json.as_bytes())
    }

    #[test]
    fn shards_are_listed_once_and_sorted() {
        let index = parse(
            r#"{"metadata":{},"weight_map":{"a":"2.safetensors","b":"1.safetensors","c":"1.safetensors"}}"#,
        )
        .expect("valid");
        assert_eq!(Vec::from_iter(index.shards()), ["1.safetensors", "2.safetensors"]);
    }

    #[test]
    fn shards_elsewhere_are_refused() {
        for shard in ["../x", "/etc/passwd", "a/b", "a\\\\b", "..", ".", "", "./a", "a/", "C:\\\\x"] {
            let error = parse(&format!(r#"{{"weight_map":{{"t":"{shard}"}}}}"#)).expect_err(shard);
            let shown = shard.replace("\\\\", "\\");
            assert_eq!(error.to_string(), format!("i.json: shard {shown:?} is not a plain file name"));
        }
    }

    #[test]
    fn an_index_without_a_map_is_refused() {
        let error = parse("{}").expect_err("damaged");
        let ModelError::Json { source, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(source.to_string(), "missing field `weight_map` at line 1 column 2");
    }
}
