//! [`SourceFile`]: one Rust file, parsed, and knowing which of its lines are test code.

use anyhow::{Context, anyhow};

use super::syntax::Syntax;
use super::tokens::Tokens;

/// One Rust file.
pub(crate) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// Its lines, without line ends.
    pub(crate) lines: Vec<String>,
    /// Its items.
    pub(crate) syntax: Syntax,
    /// What stands in it word by word, macros included.
    pub(crate) tokens: Tokens,
    whole_file_is_test: bool,
}

impl SourceFile {
    /// Parses a file.
    pub(crate) fn parse(path: &str, text: &str) -> anyhow::Result<SourceFile> {
        let file = syn::parse_file(text).with_context(|| format!("{path} is not Rust"))?;
        Ok(SourceFile {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            syntax: Syntax::of(&file),
            tokens: Tokens::of(text).map_err(|error| anyhow!("{path} is not Rust: {error}"))?,
            whole_file_is_test: path.starts_with("tests/") || path.contains("/tests/"),
        })
    }

    /// Whether the line, counted from 1, is compiled for tests only.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.whole_file_is_test || self.syntax.test_lines.iter().any(|range| range.contains(&line))
    }

    /// Treats the whole file as test code.
    pub(crate) fn mark_as_test(&mut self) {
        self.whole_file_is_test = true;
    }

    /// The number of lines outside `#[cfg(test)]` modules.
    pub(crate) fn num_lines(&self) -> usize {
        let in_modules = self.syntax.test_modules.iter().map(|range| range.clone().count());
        self.lines.len() - in_modules.sum::<usize>()
    }

    /// The files of `#[cfg(test)] mod name;` declarations, in both places where they may be.
    pub(crate) fn test_module_files(&self) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let folder = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            other => format!("{folder}/{}", other.trim_end_matches(".rs")),
        };
        let names = self.syntax.test_module_names.iter();
        names.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]).collect()
    }
}
