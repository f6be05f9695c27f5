//! The rules of style that a machine can check.
//!
//! [`check`] reads the checkout once into a [`Workspace`] and shows it to every rule of
//! [`rules::RULES`]. A rule is one file and one entry in that list. Rules look at what is written,
//! not at what it means: what needs types is left to clippy.

mod finding;
mod ratchet;
mod rules;
mod source;
mod syntax;
mod tokens;
mod workspace;

use std::path::Path;

pub(crate) use finding::Finding;
use workspace::Workspace;

/// Everything that breaks a rule, sorted by place.
///
/// # Errors
///
/// When the checkout cannot be read, or a source file is not Rust.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    Ok(findings(&Workspace::read(root)?))
}

fn findings(workspace: &Workspace) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rules::RULES.iter().flat_map(|rule| rule(workspace)).collect();
    findings.sort();
    findings
}
