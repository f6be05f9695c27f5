//! [`Workspace`]: the checkout as the rules see it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::source::SourceFile;
use crate::cargo;

/// Where Rust sources of ours live.
const SOURCE_FOLDERS: &[&str] = &["crates/", "src/", "xtask/", "examples/", "benches/", "tests/"];

/// The checkout as the rules see it. Paths are relative to the root, with `/`.
#[derive(Default)]
pub(crate) struct Workspace {
    /// Every Rust file of ours.
    pub(crate) sources: Vec<SourceFile>,
    /// Every text file, as path and content.
    pub(crate) texts: Vec<(String, String)>,
    /// The packages of the workspace.
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its manifest, relative to the root.
    pub(crate) manifest: String,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency of a package.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package depended on.
    pub(crate) name: String,
    /// What needs it.
    pub(crate) kind: DependencyKind,
}

/// What needs a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    /// The package itself, or its build script.
    Normal,
    /// Its tests, examples and benchmarks.
    Dev,
}

impl Workspace {
    /// Reads every file that git tracks or would track.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Workspace> {
        let mut files = Vec::new();
        for path in list_files(root)? {
            // Binary files are no business of ours.
            if let Ok(text) = std::fs::read_to_string(root.join(&path)) {
                files.push((path, text));
            }
        }
        let packages = cargo::packages(root)?.iter().map(|value| package(root, value)).collect();
        Workspace::of(files, packages)
    }

    /// The workspace of these files.
    pub(crate) fn of(texts: Vec<(String, String)>, packages: Vec<Package>) -> anyhow::Result<Workspace> {
        let mut sources = Vec::new();
        for (path, text) in &texts {
            if path.ends_with(".rs") && SOURCE_FOLDERS.iter().any(|folder| path.starts_with(folder)) {
                sources.push(SourceFile::parse(path, text)?);
            }
        }
        let test_files: BTreeSet<String> = sources.iter().flat_map(SourceFile::test_module_files).collect();
        for source in &mut sources {
            let below =
                |file: &String| source.path.starts_with(&format!("{}/", file.trim_end_matches(".rs")));
            if test_files.contains(&source.path) || test_files.iter().any(below) {
                source.mark_as_test();
            }
        }
        Ok(Workspace { sources, texts, packages })
    }

    /// The content of one text file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let found = self.texts.iter().find(|(found, _)| found == path);
        found.map(|(_, text)| text.as_str())
    }
}

fn list_files(root: &Path) -> anyhow::Result<Vec<String>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z"];
    let listed = Command::new("git").args(arguments).current_dir(root).output();
    let listed = listed.context("tidy needs git to list the files")?;
    ensure!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

fn package(root: &Path, value: &serde_json::Value) -> Package {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let manifest = text(&value["manifest_path"]);
    let relative = Path::new(&manifest).strip_prefix(root).unwrap_or(Path::new(&manifest));
    let dependencies = value["dependencies"].as_array().into_iter().flatten().map(|dependency| {
        let kind = if dependency["kind"] == "dev" { DependencyKind::Dev } else { DependencyKind::Normal };
        Dependency { name: text(&dependency["name"]), kind }
    });
    Package {
        name: text(&value["name"]),
        manifest: relative.to_string_lossy().replace('\\', "/"),
        dependencies: dependencies.collect(),
    }
}
