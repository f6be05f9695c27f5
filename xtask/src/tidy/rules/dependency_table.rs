//! Dependencies point down only: each package depends on what its row in ARCHITECTURE.md names.
//!
//! The table stands under `## Dependencies`, with one row per crate: its name, and what it may depend
//! on. Only what is built counts there; tests, examples and benchmarks may use any crate of ours.

use std::collections::BTreeMap;

use super::super::Finding;
use super::super::workspace::{DependencyKind, Package, Workspace};

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Foreign crates that only some of ours may name.
const RESERVED: &[Reserved] = &[
    Reserved {
        prefix: "candle-",
        owners: &[
            "llama-runtime",
            "llama-models",
            "llama-kv",
            "llama-sampling",
            "llama-backend",
            "llama-parity",
        ],
    },
    Reserved { prefix: "tokio", owners: &["llama-server", "llama-remote"] },
    Reserved { prefix: "axum", owners: &["llama-server"] },
];

/// The package whose tests, examples and benchmarks may use everything.
const FACADE: &str = "llama-rs";

struct Reserved {
    prefix: &'static str,
    owners: &'static [&'static str],
}

/// A row of the table: its line, and the crates that may be depended on.
struct Row {
    line: usize,
    allowed: Vec<String>,
}

/// Compares the manifests with the table, and foreign crates with their owners.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let Some(table) = workspace.text(ARCHITECTURE).map(parse) else {
        return vec![Finding::new(
            ARCHITECTURE,
            1,
            "there is no such file",
            "write it, with a table under `## Dependencies`",
        )];
    };
    let mut findings = Vec::new();
    for package in &workspace.packages {
        findings.extend(check_ours(package, &table, &workspace.packages));
        findings.extend(check_foreign(package));
    }
    findings
}

fn check_ours(package: &Package, table: &BTreeMap<String, Row>, all: &[Package]) -> Vec<Finding> {
    let Some(row) = table.get(&package.name) else {
        let what = format!("`{}` has no row in the table under `## Dependencies`", package.name);
        return vec![Finding::new(ARCHITECTURE, 1, what, "add one: | `crate` | what it may depend on |")];
    };
    let built = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    let ours = built.filter(|dependency| all.iter().any(|other| other.name == dependency.name));
    let refused = ours.filter(|dependency| !row.allowed.contains(&dependency.name)).map(|dependency| {
        let what =
            format!("`{}` depends on `{}`, which its row does not name", package.name, dependency.name);
        let fix = format!("drop it, or change the design first ({ARCHITECTURE}:{})", row.line);
        Finding::new(&package.manifest, 1, what, fix)
    });
    refused.collect()
}

fn check_foreign(package: &Package) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let reserved = RESERVED.iter().find(|reserved| dependency.name.starts_with(reserved.prefix));
        let Some(reserved) = reserved else { continue };
        let is_owner = reserved.owners.contains(&package.name.as_str());
        let is_facade_test = package.name == FACADE && dependency.kind == DependencyKind::Dev;
        if !is_owner && !is_facade_test {
            let what = format!("`{}` depends on `{}`", package.name, dependency.name);
            let fix = format!("only these may: {}", reserved.owners.join(", "));
            findings.push(Finding::new(&package.manifest, 1, what, fix));
        }
    }
    findings
}

/// The rows of the table under `## Dependencies`, by crate.
fn parse(text: &str) -> BTreeMap<String, Row> {
    let lines = text.lines().enumerate();
    let section = lines.skip_while(|(_, line)| line.trim() != "## Dependencies").skip(1);
    let section = section.take_while(|(_, line)| !line.starts_with("## "));
    let mut rows = BTreeMap::new();
    for (i, line) in section {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').collect();
        if let [name, allowed, ..] = cells.as_slice()
            && let [name] = quoted(name).as_slice()
        {
            rows.insert(name.clone(), Row { line: i + 1, allowed: quoted(allowed) });
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::workspace::Dependency;
    use super::super::test_support::{check_rule, with_packages};
    use super::*;

    const TABLE: &str = "# A\n\n## Dependencies\n\n| crate | may depend on |\n|---|---|\n| `llama-kv` | `llama-backend` |\n| `llama-backend` | nothing |\n| `llama-rs` | `llama-kv` |\n\n## Next\n\n| `llama-x` | |\n";

    fn package(name: &str, dependencies: &[(&str, DependencyKind)]) -> Package {
        let dependencies =
            dependencies.iter().map(|(name, kind)| Dependency { name: name.to_string(), kind: *kind });
        Package {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            dependencies: dependencies.collect(),
        }
    }

    fn check_packages(packages: Vec<Package>, expected: &[&str]) {
        check_rule(check, &with_packages(&[(ARCHITECTURE, TABLE)], packages), expected);
    }

    #[test]
    fn a_dependency_must_be_in_the_row() {
        use DependencyKind::{Dev, Normal};
        let backend = || package("llama-backend", &[]);
        check_packages(vec![package("llama-kv", &[("llama-backend", Normal)]), backend()], &[]);
        let upward = package("llama-backend", &[("llama-kv", Normal)]);
        check_packages(vec![upward, package("llama-kv", &[])], &["`llama-backend` depends on `llama-kv`"]);
        check_packages(vec![package("llama-backend", &[("llama-kv", Dev)]), package("llama-kv", &[])], &[]);
    }

    #[test]
    fn a_crate_must_have_a_row_in_that_section() {
        check_packages(vec![package("llama-x", &[])], &["ARCHITECTURE.md:1: `llama-x` has no row"]);
    }

    #[test]
    fn foreign_crates_have_owners() {
        use DependencyKind::{Dev, Normal};
        check_packages(vec![package("llama-backend", &[("candle-core", Normal)])], &[]);
        check_packages(
            vec![package("llama-rs", &[("candle-core", Normal)])],
            &["`llama-rs` depends on `candle-core`"],
        );
        check_packages(vec![package("llama-rs", &[("candle-core", Dev), ("tokio", Dev)])], &[]);
        check_packages(
            vec![package("llama-kv", &[("tokio-util", Dev)])],
            &["`llama-kv` depends on `tokio-util`"],
        );
    }
}
