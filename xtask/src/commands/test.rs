//! `cargo xtask test`: fetches the models that the golden tests need, then runs every test.
//!
//! A test that lacks its model cannot run, and must not read as a pass: what could not be fetched is
//! said loudly here, and is a failure in CI. The last line printed is the sum over all runners.

use std::process::Command;

use anyhow::bail;
use llama_hub::{Cache, HubError, KnownModel, TerminalProgress, resolve};

use super::Task;
use crate::cargo;

/// The models that golden tests need, each with the part of the test name that tells them.
const GOLDENS: &[(&str, &str)] =
    &[("smollm2", "smollm2"), ("minilm", "minilm"), ("qwen2.5-coder-0.5b", "qwen2_5_coder")];
/// What is fetched everywhere; CI fetches all of them. The rest is half a gigabyte.
const FETCHED: &[&str] = &["smollm2", "minilm"];

/// Fetch the test models, then run all tests
#[derive(clap::Parser)]
#[command(name = "test")]
pub(crate) struct Test {
    /// Fetch this model too (may be repeated)
    #[arg(long = "with", value_name = "MODEL")]
    with: Vec<String>,
    /// Arguments for the test runner: a filter, for example
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// How many tests did what, over all runners.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Task for Test {
    fn run(self) -> anyhow::Result<()> {
        let in_ci = in_ci();
        let asked =
            |name: &&str| in_ci || FETCHED.contains(name) || self.with.iter().any(|with| with == name);
        let models: Vec<&str> = GOLDENS.iter().map(|(name, _)| *name).filter(asked).collect();
        let extra = self.with.iter().map(String::as_str).filter(|name| !models.contains(name));
        let missing = fetch(&models.iter().copied().chain(extra).collect::<Vec<_>>());
        if in_ci && !missing.is_empty() {
            bail!("cannot run the tests of {} without it, and CI must run them all", missing.join(", "));
        }
        let absent: Vec<_> = GOLDENS.iter().filter(|(name, _)| !is_cached(name)).collect();
        let (counts, failed) = run_all(&without(&self.rest, absent.iter().map(|(_, test)| *test)))?;
        for (model, _) in &absent {
            println!("NOT RUN: the golden tests of {model}; to run them: cargo xtask test --with {model}");
        }
        // The last line, so that whoever reads only that knows how it went.
        println!("tests: {} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
        if failed || counts.failed > 0 {
            bail!("some tests failed");
        }
        Ok(())
    }
}

/// Whether this runs in CI.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false")
}

/// Fetches what is not there yet, and returns the names of what cannot be had.
fn fetch<'a>(models: &[&'a str]) -> Vec<&'a str> {
    let progress = TerminalProgress::new();
    let fetched = |name: &&str| -> Result<(), HubError> {
        let path = resolve(name, &progress)?;
        eprintln!("{name}: {}", path.display());
        Ok(())
    };
    let mut missing = Vec::new();
    for name in models {
        if let Err(error) = fetched(name) {
            eprintln!("WARNING: the golden tests of {name} WILL NOT RUN: {error}");
            missing.push(*name);
        }
    }
    missing
}

/// Whether a model is there, without a download.
fn is_cached(name: &str) -> bool {
    let cache = Cache::from_env().ok();
    KnownModel::find(name).zip(cache).is_some_and(|(model, cache)| cache.find(model).is_some())
}

/// The runner's arguments, with the tests of this name left out.
fn without<'a>(rest: &[String], tests: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut args = rest.to_vec();
    for test in tests {
        if !args.iter().any(|arg| arg == "--") {
            args.push("--".to_owned());
        }
        args.extend(["--skip".to_owned(), test.to_owned()]);
    }
    args
}

/// Runs the documentation tests, then all others. Both run even if the first fail.
fn run_all(rest: &[String]) -> anyhow::Result<(Counts, bool)> {
    let mut counts = Counts::default();
    let mut failed = false;
    for command in runners(rest) {
        let (status, printed) = cargo::run_captured(command)?;
        counts = counts.plus(count(&printed));
        failed |= !status.success();
    }
    Ok((counts, failed))
}

fn runners(rest: &[String]) -> Vec<Command> {
    let mut commands = Vec::new();
    // Arguments select among the other tests: documentation tests take no nextest flags.
    if rest.first().is_none_or(|arg| arg == "--") {
        commands.push(cargo::cargo(["test", "--workspace", cargo::ADAPTERS, "--doc"]));
    }
    let mut main = if cargo::has_subcommand("nextest") {
        cargo::cargo(["nextest", "run", "--workspace", cargo::ADAPTERS, "--no-fail-fast"])
    } else {
        let kinds = ["--lib", "--bins", "--tests", "--examples", "--no-fail-fast"];
        cargo::cargo(["test", "--workspace", cargo::ADAPTERS].into_iter().chain(kinds))
    };
    main.args(rest);
    commands.push(main);
    commands
}

/// Adds up the closing lines of cargo test and nextest.
fn count(printed: &str) -> Counts {
    let mut counts = Counts::default();
    for line in printed.lines() {
        let line = without_colour(line);
        if line.starts_with("test result:") || line.trim_start().starts_with("Summary [") {
            counts = counts.plus(Counts {
                passed: number_before(&line, " passed"),
                failed: number_before(&line, " failed"),
                skipped: number_before(&line, " skipped") + number_before(&line, " ignored"),
            });
        }
    }
    counts
}

/// The number that stands directly before `word`, or 0.
fn number_before(line: &str, word: &str) -> usize {
    let Some((before, _)) = line.split_once(word) else { return 0 };
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().unwrap_or(0)
}

/// The line without terminal escape sequences.
fn without_colour(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_count(printed: &str, passed: usize, failed: usize, skipped: usize) {
        assert_eq!(count(printed), Counts { passed, failed, skipped }, "{printed}");
    }

    #[test]
    fn tests_without_their_model_are_left_out_by_name() {
        let rest = vec!["-p".to_owned(), "llama-rs".to_owned()];
        let args = without(&rest, ["smollm2", "qwen2_5_coder"].into_iter());
        assert_eq!(args, ["-p", "llama-rs", "--", "--skip", "smollm2", "--skip", "qwen2_5_coder"]);
        assert_eq!(without(&rest, [].into_iter()), rest);
    }

    #[test]
    fn closing_lines_are_added_up() {
        check_count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out", 3, 0, 1);
        check_count("     Summary [   1.710s] 33 tests run: 33 passed, 0 skipped", 33, 0, 0);
        check_count("     Summary [ 0.1s] 12 tests run: 10 passed (1 slow), 2 failed, 4 skipped", 10, 2, 4);
        check_count(
            "test result: ok. 1 passed; 0 failed\nnoise 7 passed\ntest result: FAILED. 2 passed; 5 failed",
            3,
            5,
            0,
        );
        check_count("error: could not compile", 0, 0, 0);
    }

    #[test]
    fn colours_do_not_hide_numbers() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m5\u{1b}[0m tests run: \u{1b}[1m5\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped";
        check_count(line, 5, 0, 0);
    }
}
