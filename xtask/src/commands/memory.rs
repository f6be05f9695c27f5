//! `cargo xtask memory`: shows that loading is lazy and that processes share a checkpoint.
//!
//! Runs the example `memory_probe` twice on each model, the second while the first still lives, and prints what the
//! kernel says of the first as a Markdown table. Linux only: elsewhere nothing tells private pages from shared ones.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context, ensure};
use llama_hub::{DEFAULT_MODEL, TerminalProgress, resolve};
use serde_json::Value;

use super::Task;
use crate::cargo;

/// Measure the memory of loading and answering, alone and beside a second process
#[derive(clap::Parser)]
#[command(name = "memory")]
pub(crate) struct Memory {
    /// Names of known models, GGUF files or directories
    #[arg(default_value = DEFAULT_MODEL)]
    models: Vec<String>,
}

const BEGIN: &str = "<!-- begin: cargo xtask memory -->";
const END: &str = "<!-- end: cargo xtask memory -->";

/// A row of the table: a stage that the probe reports, and what is told of it.
struct Row {
    label: &'static str,
    stage: &'static str,
    field: &'static str,
}

/// In the order in which the probe reports.
const ROWS: [Row; 5] = [
    Row { label: "headers read", stage: "opened", field: "resident" },
    Row { label: "tokenizer built", stage: "tokenizer built", field: "resident" },
    Row { label: "after `load`", stage: "loaded", field: "resident" },
    Row { label: "after the first token", stage: "first token", field: "resident" },
    Row { label: "private part, beside a second process", stage: SHARED, field: "private" },
];
/// The stage that the probe reports when it is told to.
const SHARED: &str = "shared";

/// One model: its heading, and kilobytes for each of [`ROWS`].
struct Column {
    heading: String,
    kilobytes: Vec<u64>,
}

impl Task for Memory {
    fn run(self) -> anyhow::Result<()> {
        ensure!(cfg!(target_os = "linux"), "needs Linux: no other system says which pages are private");
        cargo::run(cargo::cargo(["build", "--release", "--example", "memory_probe"]))?;
        let columns = self.models.iter().map(|model| measure(model));
        print!("{}", table(&columns.collect::<anyhow::Result<Vec<_>>>()?));
        Ok(())
    }
}

fn measure(model: &str) -> anyhow::Result<Column> {
    let path = fs::canonicalize(resolve(model, &TerminalProgress::new())?)?;
    let mut first = Probe::start(&path)?;
    let mut second = None;
    let mut kilobytes = Vec::new();
    for Row { stage, field, .. } in ROWS {
        if stage == SHARED {
            let second = second.insert(Probe::start(&path)?);
            second.report("first token")?;
            first.go_on()?;
        }
        let report = first.report(stage)?;
        kilobytes.push(report[field].as_u64().with_context(|| format!("no {field} in {report}"))?);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let heading = format!("{name} ({} MB)", megabytes(file_bytes(&path)? / 1024));
    Ok(Column { heading, kilobytes })
}

/// A running `memory_probe`. Dropped, it finds its input closed, and ends.
struct Probe {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Probe {
    fn start(path: &Path) -> anyhow::Result<Probe> {
        let mut command = cargo::cargo(["run", "--release", "--quiet", "--example", "memory_probe", "--"]);
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the probe")?;
        let output = BufReader::new(child.stdout.take().expect("piped above"));
        Ok(Probe { child, output })
    }

    /// Waits for the report of `stage`, passing over those before it.
    fn report(&mut self, stage: &str) -> anyhow::Result<Value> {
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "the probe ended before the stage {stage:?}");
            let report: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line:?}"))?;
            if report["stage"] == stage {
                return Ok(report);
            }
        }
    }

    fn go_on(&mut self) -> anyhow::Result<()> {
        let mut input = self.child.stdin.take().context("the probe was told to go on before")?;
        Ok(input.write_all(b"\n")?)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has said what it had to say: how it ends is of no interest.
        let _ = self.child.wait();
    }
}

/// Bytes of a file, or of the files in a directory.
fn file_bytes(path: &Path) -> anyhow::Result<u64> {
    if path.is_file() {
        return Ok(path.metadata()?.len());
    }
    fs::read_dir(path)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

fn megabytes(kilobytes: u64) -> u64 {
    (kilobytes * 1024 + 500_000) / 1_000_000
}

fn table(columns: &[Column]) -> String {
    let mut lines = vec![BEGIN.to_owned()];
    let line = |label: &str, cells: Vec<&str>| format!("| {label} | {} |", cells.join(" | "));
    lines.push(line("memory of one process, MB", columns.iter().map(|column| &*column.heading).collect()));
    lines.push(format!("|---|{}", "---:|".repeat(columns.len())));
    for (i, row) in ROWS.iter().enumerate() {
        let cells: Vec<String> =
            columns.iter().map(|column| megabytes(column.kilobytes[i]).to_string()).collect();
        lines.push(line(row.label, cells.iter().map(String::as_str).collect()));
    }
    lines.push(END.to_owned());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_stage_and_a_column_for_each_model() {
        let column = |heading: &str, kilobytes: [u64; 5]| Column {
            heading: heading.to_owned(),
            kilobytes: kilobytes.to_vec(),
        };
        let columns = [column("a (9 MB)", [976, 977, 10_000, 20_000, 0]), column("b (1 MB)", [5; 5])];
        let expected = "\
<!-- begin: cargo xtask memory -->
| memory of one process, MB | a (9 MB) | b (1 MB) |
|---|---:|---:|
| headers read | 1 | 0 |
| tokenizer built | 1 | 0 |
| after `load` | 10 | 0 |
| after the first token | 20 | 0 |
| private part, beside a second process | 0 | 0 |
<!-- end: cargo xtask memory -->
";
        assert_eq!(table(&columns), expected);
    }
}
