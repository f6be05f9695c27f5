//! Every dependency says what it is for, directly above its line in the root manifest.

use super::super::{Finding, workspace::Workspace};

const MANIFEST: &str = "Cargo.toml";

/// Finds entries of `[workspace.dependencies]` without a comment. Our own crates explain themselves.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let Some(manifest) = workspace.text(MANIFEST) else {
        return vec![Finding::new(MANIFEST, 1, "there is no manifest", "restore it")];
    };
    let mut findings = Vec::new();
    let mut in_section = false;
    let mut above = "";
    for (i, line) in manifest.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            in_section = line == "[workspace.dependencies]";
        } else if in_section
            && let Some((name, value)) = line.split_once('=')
            && !line.starts_with('#')
            && !value.contains("path =")
            && !above.starts_with('#')
        {
            let what = format!("dependency `{}` has no comment above it", name.trim());
            findings.push(Finding::new(MANIFEST, i + 1, what, "say in one sentence what it is for"));
        }
        above = line;
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{check_rule, workspace};
    use super::*;

    fn check_manifest(manifest: &str, expected: &[&str]) {
        check_rule(check, &workspace(&[(MANIFEST, manifest)]), expected);
    }

    #[test]
    fn each_dependency_needs_its_own_comment() {
        let manifest =
            "[workspace.dependencies]\n# Reads JSON.\nserde_json = \"1\"\nserde = { version = \"1\" }\n";
        check_manifest(manifest, &["Cargo.toml:4: dependency `serde`"]);
    }

    #[test]
    fn our_crates_and_other_sections_need_none() {
        let manifest = "[package]\nname = \"x\"\n[workspace.dependencies]\nours = { path = \"crates/ours\" }\n# Why.\na = \"1\"\n[features]\nf = []\n";
        check_manifest(manifest, &[]);
    }
}
