//! `cargo xtask ci`: everything that must hold before a change lands, here and in CI alike.
//!
//! Steps run in order of cost, and the first failure ends the run. The tests come last, and so does
//! their summary.

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Parser;

use super::{Task, check_apple, clients, parity, test, tidy};
use crate::cargo;

/// More packages than this in the tree of the facade, and a cold build takes too long.
const PACKAGE_LIMIT: usize = 300;

/// Run every check that a change must pass: fmt, clippy, tidy, docs, packages, types for other devices, parity, clients, tests
#[derive(clap::Parser)]
#[command(name = "ci")]
pub(crate) struct Ci {}

struct Step {
    name: &'static str,
    run: fn() -> anyhow::Result<()>,
}

/// Every check before the tests.
const STEPS: &[Step] = &[
    Step { name: "fmt", run: || cargo::run(cargo::cargo(["fmt", "--all", "--check"])) },
    Step { name: "tidy", run: || tidy::Tidy {}.run() },
    Step { name: "packages", run: packages },
    Step { name: "clippy", run: clippy },
    Step { name: "docs", run: docs },
    Step { name: "Apple types", run: || check_apple::CheckApple {}.run() },
    Step { name: "CPU parity", run: || parity(&["--", "--cases", "300"]) },
    Step { name: "emulator", run: emulator },
    // Thirty rows: every operation and whole decoders, in three dtypes; each case in an order of its own.
    Step {
        name: "emulated Metal parity",
        run: || parity(&["--device", "metal-emulated", "--", "--cases", "70"]),
    },
    // With the program that the step before has built.
    Step { name: "mutants", run: || in_emulator(&["run", "--package", "mutants"]) },
    Step { name: "clients", run: || clients::Clients::try_parse_from(["clients"])?.run() },
    Step { name: "test", run: || test::Test::try_parse_from(["test"])?.run() },
];

impl Task for Ci {
    fn run(self) -> anyhow::Result<()> {
        let last = STEPS.len() - 1;
        for (i, step) in STEPS.iter().enumerate() {
            println!("== {} ({} of {})", step.name, i + 1, STEPS.len());
            let start = Instant::now();
            let ended = (step.run)();
            let seconds = start.elapsed().as_secs_f64();
            if let Err(error) = ended {
                bail!("step `{}` failed after {seconds:.1} s: {error:#}", step.name);
            }
            // Nothing follows the summary of the tests.
            if i < last {
                println!("== {}: ok in {seconds:.1} s", step.name);
            }
        }
        Ok(())
    }
}

fn clippy() -> anyhow::Result<()> {
    cargo::run(cargo::cargo([
        "clippy",
        "--workspace",
        cargo::ADAPTERS,
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Compares a device with the reference.
fn parity(arguments: &[&str]) -> anyhow::Result<()> {
    parity::Parity::try_parse_from(["parity"].iter().chain(arguments))?.run()
}

/// Lints and tests the emulated Metal device, a workspace of its own.
fn emulator() -> anyhow::Result<()> {
    in_emulator(&["clippy", "--all-targets", "--", "-D", "warnings"])?;
    in_emulator(&["test"])
}

fn in_emulator(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = cargo::cargo(arguments);
    command.current_dir(parity::emulator_folder());
    cargo::run(command)
}

fn docs() -> anyhow::Result<()> {
    let mut command = cargo::cargo(["doc", "--workspace", cargo::ADAPTERS, "--no-deps", "--quiet"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    cargo::run(command)
}

/// Counts what a build of the facade with its downloads compiles on this platform.
fn packages() -> anyhow::Result<()> {
    let arguments =
        ["tree", "--package=llama-rs", "--features=hub", "--edges=normal", "--prefix=none", "--format={p}"];
    let ended = cargo::cargo(arguments).output().context("cannot start `cargo tree`")?;
    let message = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "`cargo tree` failed: {message}");
    let num_packages = count_packages(&String::from_utf8_lossy(&ended.stdout));
    println!("{num_packages} packages in the normal tree of llama-rs with downloads, of {PACKAGE_LIMIT}");
    ensure!(num_packages <= PACKAGE_LIMIT, "too many packages: drop a dependency or put it behind a feature");
    Ok(())
}

/// The number of distinct packages in the output of `cargo tree`.
fn count_packages(tree: &str) -> usize {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)").trim());
    let names: std::collections::BTreeSet<&str> = lines.filter(|line| !line.is_empty()).collect();
    names.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_packages_count_once_and_versions_apart() {
        let tree = "llama-rs v0.1.0 (/x)\nsyn v2.0.1\nsyn v3.0.0\nsyn v2.0.1 (*)\n\nlibc v0.2.1\n";
        assert_eq!(count_packages(tree), 4);
    }

    #[test]
    fn the_tests_come_last() {
        assert_eq!(STEPS.last().map(|step| step.name), Some("test"));
    }
}
