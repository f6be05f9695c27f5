//! No tabs and no trailing spaces in anything that we write by hand.

use super::super::{Finding, workspace::Workspace};

/// Kinds of files that we write by hand. Test data of others stays as it is.
const EXTENSIONS: [&str; 10] =
    [".rs", ".md", ".toml", ".metal", ".cu", ".cuh", ".sh", ".yml", ".py", ".ci/run"];

/// Finds tabs and trailing spaces.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = |path: &str| EXTENSIONS.iter().any(|extension| path.ends_with(extension));
    for (path, text) in workspace.texts.iter().filter(|(path, _)| ours(path)) {
        for (i, line) in text.lines().enumerate() {
            if line.contains('\t') {
                findings.push(Finding::new(path, i + 1, "a tab", "indent with spaces"));
            }
            if line.ends_with([' ', '\t']) {
                findings.push(Finding::new(path, i + 1, "trailing whitespace", "delete it"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{check_rule, workspace};
    use super::*;

    #[test]
    fn tabs_and_trailing_spaces_are_found() {
        check_rule(check, &workspace(&[("a.md", "x\n\ty\n")]), &["a.md:2: a tab"]);
        check_rule(check, &workspace(&[("src/a.rs", "fn f() {} \n")]), &["src/a.rs:1: trailing whitespace"]);
    }

    #[test]
    fn clean_files_and_foreign_data_are_fine() {
        check_rule(check, &workspace(&[("a.md", "x y\n\n"), ("tests/data/vectors.txt", "\tx \n")]), &[]);
    }
}
