//! `cargo xtask compare`: our speed beside a peer's on the same files, and beside what the machine could do.
//!
//! Both sides take turns, a process for each run, so that a slow minute hits both. Figures are medians; the ratios are
//! what counts. The peer is a Python package, because its own benchmark cannot start behind a filled cache.

mod chart;
mod cpu_time;
mod machine;
mod peer;
mod programs;
mod report;
mod statistics;
mod workload;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use anyhow::{Context, ensure};
use serde_json::Value;

use self::cpu_time::Undisturbed;
use self::machine::Machine;
use self::peer::LlamaCpp;
use self::programs::Programs;
use self::report::{Cell, Report};
use self::workload::{Model, Run, Sample, Threads};
use super::Task;

/// Compare speed with llama.cpp on GGUF files, and both with what the machine could do
#[derive(clap::Parser)]
#[command(name = "compare")]
pub(crate) struct Compare {
    /// GGUF files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What to compare with
    #[arg(long, default_value = "llama.cpp", value_parser = ["llama.cpp"])]
    peer: String,
    /// A Python interpreter with the package llama-cpp-python
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// How often each side runs
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads of each side; as many as the machine has, if absent
    #[arg(long)]
    threads: Option<usize>,
    /// Processors that each side stays on, as in `0,2`, or `any`
    #[arg(long, default_value = "any")]
    cores: String,
    /// How often a run is repeated that other processes disturbed
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Folder for `compare.json` and `compare.svg`
    #[arg(long, default_value = "target/compare")]
    out: PathBuf,
}

impl Task for Compare {
    fn run(self) -> anyhow::Result<()> {
        ensure!(self.rounds > 0, "--rounds is 0: there is nothing to take a median of");
        for file in &self.files {
            ensure!(file.is_file(), "{}: no such file; the peer reads GGUF files", file.display());
        }
        let num = self.threads.map_or_else(|| thread::available_parallelism().map(usize::from), Ok)?;
        let threads = Threads { num, cores: self.cores.clone() };
        let peer = LlamaCpp::find(&self.python)?;
        let programs = Programs::build()?;
        let machine = Machine::measure(&programs, threads.clone())?;
        let mut sides = Sides { programs, peer, threads, quiet: Undisturbed::new(self.repeats) };
        let mut cells = Vec::new();
        for file in &self.files {
            cells.extend(sides.compare(file, self.rounds)?);
        }
        let Sides { peer, quiet, .. } = sides;
        let report = Report { machine, peer, cells, rounds: self.rounds, interference: quiet.interference() };
        print!("{}", report.table());
        write(&self.out, &report)
    }
}

/// Both sides, ready to run.
struct Sides {
    programs: Programs,
    peer: LlamaCpp,
    threads: Threads,
    quiet: Undisturbed,
}

impl Sides {
    /// All workloads on one file, in turns.
    fn compare(&mut self, file: &Path, rounds: usize) -> anyhow::Result<Vec<Cell>> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut cells = Vec::new();
        for run in &workload::RUNS {
            let mut pairs = Vec::new();
            let mut model = None;
            for round in 1..=rounds {
                eprintln!("{name}: {}, round {round} of {rounds}", run.name());
                let (ours, peers) = self.pair(file, run, &mut model)?;
                eprintln!("  ours {ours:?}\n  peer {peers:?}");
                pairs.push((ours, peers));
            }
            let model = model.context("every round measures")?;
            cells
                .extend(run.measures.iter().map(|measure| Cell::new(&name, &model, (run, *measure), &pairs)));
        }
        Ok(cells)
    }

    /// Ours, then the peer.
    fn pair(
        &mut self,
        file: &Path,
        run: &Run,
        model: &mut Option<Model>,
    ) -> anyhow::Result<(Sample, Sample)> {
        let arguments = run.arguments(&self.threads);
        let mut ours = Command::new(&self.programs.bench);
        let ours = self.quiet.run(ours.arg(file).args(&arguments))?;
        let found = Model::parse(&ours)?;
        let mut theirs = self.peer.command(file, found.is_quantised());
        let theirs = self.quiet.run(theirs.args(&arguments))?;
        *model = Some(found);
        Ok((Sample::parse(&ours)?, Sample::parse(&theirs)?))
    }
}

fn write(folder: &Path, report: &Report) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let json: Value = report.json();
    for (name, content) in
        [("compare.json", format!("{json:#}\n")), ("compare.svg", chart::svg(&report.cells))]
    {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}
