//! `mutants`: breaks the Metal kernels of llama.rs one way at a time, and sees that the property tests notice.
//!
//! A mutant is a change to a kernel's text that the emulator applies when it compiles the source, so nothing is
//! built again. `emulated-parity` must have been built; names of mutants as arguments choose some of them.

mod mutant;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, ensure};

use mutant::{MUTANTS, Mutant};

/// Seeds that are tried in turn.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

/// Cases of the property in each dtype.
const NUM_CASES: &str = "12";

/// What noticed a mutant.
struct Catch {
    seed: u64,
    by: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let parity = std::env::current_exe()?.with_file_name("emulated-parity");
    ensure!(parity.exists(), "build it first: cargo build -p emulated-parity");
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let is_chosen = |mutant: &&Mutant| chosen.is_empty() || chosen.iter().any(|name| name == mutant.name);
    println!("| mutant | kernel file | caught by | seed |\n|---|---|---|---|");
    let (mut num_caught, mut num_mutants) = (0, 0);
    for mutant in MUTANTS.iter().filter(is_chosen) {
        let catch = try_mutant(&parity, mutant).with_context(|| mutant.name)?;
        num_mutants += 1;
        num_caught += usize::from(catch.is_some());
        let (by, seed) = catch
            .map_or(("NOT CAUGHT".to_owned(), String::new()), |catch| (catch.by, catch.seed.to_string()));
        println!("| {} | {} | {by} | {seed} |", mutant.name, mutant.file);
    }
    println!("\n{num_caught} of {num_mutants} mutants caught");
    ensure!(num_mutants > 0, "no mutant has that name");
    Ok(if num_caught == num_mutants { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn try_mutant(parity: &Path, mutant: &Mutant) -> anyhow::Result<Option<Catch>> {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/llama-backend/src/ops");
    let source: PathBuf = kernels.join(mutant.file);
    let text = std::fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let count = text.matches(mutant.from).count();
    ensure!(count == 1, "its text stands {count} times in {}: change the mutant", mutant.file);
    let change = tempfile::NamedTempFile::new()?;
    std::fs::write(change.path(), format!("{}\n=======\n{}\n", mutant.from, mutant.to))?;
    for seed in SEEDS {
        let sound = run(parity, mutant, seed, None)?;
        ensure!(sound.status.success(), "without the mutant: {}", String::from_utf8_lossy(&sound.stderr));
        let broken = run(parity, mutant, seed, Some(change.path()))?;
        if !broken.status.success() {
            return Ok(Some(Catch { seed, by: reason(&broken) }));
        }
    }
    Ok(None)
}

fn run(parity: &Path, mutant: &Mutant, seed: u64, change: Option<&Path>) -> anyhow::Result<Output> {
    let mut command = Command::new(parity);
    command.args(["--device", "metal", "--only", mutant.property, "--seed", &seed.to_string()]);
    command.args(["--cases", NUM_CASES, "--shrinks", "0", "--timeout-s", "60"]);
    if let Some(change) = change {
        command.env("METAL_EMULATOR_SUBSTITUTION", change);
    }
    Ok(command.output()?)
}

/// What the device or the comparison said first.
fn reason(broken: &Output) -> String {
    let said =
        [&broken.stderr, &broken.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    let line = |words: &[&str]| said.lines().find(|line| words.iter().any(|word| line.contains(word)));
    let fault = line(&["metal-emulator:", "command buffer", "Command buffer"]);
    let found = fault.or_else(|| line(&["FAILED"])).unwrap_or("no line says why");
    found.trim().replace('|', "/").chars().take(160).collect()
}
