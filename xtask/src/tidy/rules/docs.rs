//! Every file says what it owns, and every library shows how it is used.

use super::super::source::SourceFile;
use super::super::{Finding, workspace::Workspace};

/// Finds files that do not open with `//!`, and libraries without an example that runs.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &workspace.sources {
        if !source.lines.first().is_some_and(|line| line.starts_with("//!")) {
            let fix = "open with `//!`: what it owns, its invariant, what it does not do";
            findings.push(Finding::new(&source.path, 1, "the file has no module documentation", fix));
        }
        if source.path.ends_with("src/lib.rs") && !has_example(source) {
            let fix = "add one in a ``` block of the `//!` documentation, not marked ignore";
            findings.push(Finding::new(&source.path, 1, "the crate's documentation has no example", fix));
        }
    }
    findings
}

/// Whether the module documentation has a code block that the documentation tests run.
fn has_example(source: &SourceFile) -> bool {
    let mut is_open = false;
    for line in source.lines.iter().filter_map(|line| line.strip_prefix("//!")) {
        let Some(language) = line.trim().strip_prefix("```") else { continue };
        if !is_open && ["", "rust", "should_panic"].contains(&language) {
            return true;
        }
        is_open = !is_open;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{check_rule, workspace};
    use super::*;

    #[test]
    fn a_file_opens_with_its_documentation() {
        let files = [("crates/a/src/b.rs", "//! Owns b.\n"), ("examples/c.rs", "// no\nfn main() {}")];
        check_rule(check, &workspace(&files), &["examples/c.rs:1: the file has no module documentation"]);
        check_rule(check, &workspace(&[("tests/t.rs", "")]), &["tests/t.rs:1"]);
    }

    fn check_library(text: &str, expected: &[&str]) {
        check_rule(check, &workspace(&[("crates/a/src/lib.rs", text)]), expected);
    }

    #[test]
    fn a_library_shows_an_example_that_runs() {
        check_library("//! A.\n//!\n//! ```\n//! let x = 1;\n//! ```\n", &[]);
        check_library("//! A.\n", &["no example"]);
        check_library("//! ```ignore\n//! x\n//! ```\n", &["no example"]);
        check_library("//! ```text\n//! x\n//! ```\n//! ```rust\n//! let x = 1;\n//! ```\n", &[]);
        check_library("//! A.\n\n/// ```\n/// let x = 1;\n/// ```\nfn f() {}\n", &["no example"]);
    }
}
