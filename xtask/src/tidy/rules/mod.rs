//! The list of rules.

mod bool_parameters;
mod dependency_comments;
mod dependency_table;
mod docs;
mod leftovers;
mod machine_paths;
mod sizes;
mod unsafe_code;
mod whitespace;

use super::Finding;
use super::workspace::Workspace;

/// Looks at the whole workspace, and says what breaks it.
pub(crate) type Rule = fn(&Workspace) -> Vec<Finding>;

/// Every rule.
pub(crate) const RULES: &[Rule] = &[
    bool_parameters::check,
    dependency_comments::check,
    dependency_table::check,
    docs::check,
    leftovers::check,
    machine_paths::check,
    sizes::check,
    unsafe_code::check,
    whitespace::check,
];

#[cfg(test)]
mod test_support {
    //! Workspaces of a few lines.

    use super::super::workspace::{Package, Workspace};
    use super::Rule;

    /// The workspace of these files.
    pub(super) fn workspace(files: &[(&str, &str)]) -> Workspace {
        with_packages(files, Vec::new())
    }

    /// The workspace of these files and packages.
    pub(super) fn with_packages(files: &[(&str, &str)], packages: Vec<Package>) -> Workspace {
        let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string()));
        Workspace::of(files.collect(), packages).expect("the snippets are Rust")
    }

    /// Asserts that the rule finds exactly `expected`, each as a part of what is printed.
    pub(super) fn check_rule(rule: Rule, workspace: &Workspace, expected: &[&str]) {
        let mut found: Vec<_> = rule(workspace).iter().map(ToString::to_string).collect();
        found.sort();
        assert_eq!(found.len(), expected.len(), "{found:#?} should be {expected:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found:?} should say {expected:?}");
        }
    }
}
