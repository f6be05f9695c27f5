//! The results as a Markdown table and as JSON.

use serde_json::{Value, json};

use super::cpu_time::Interference;
use super::machine::Machine;
use super::peer::LlamaCpp;
use super::statistics::Comparison;
use super::workload::{Measure, Model, Run, Sample, Threads};

/// Everything that is known after the last run.
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) peer: LlamaCpp,
    pub(super) cells: Vec<Cell>,
    pub(super) rounds: usize,
    pub(super) interference: Interference,
}

/// One workload on one file.
pub(super) struct Cell {
    pub(super) file: String,
    pub(super) workload: String,
    pub(super) model: Model,
    pub(super) pairs: Vec<(f64, f64)>,
    pub(super) compared: Comparison,
    /// Bytes and operations that one token takes of the machine.
    per_token: (f64, f64),
}

impl Cell {
    pub(super) fn new(
        file: &str,
        model: &Model,
        (run, measure): (&Run, Measure),
        pairs: &[(Sample, Sample)],
    ) -> Self {
        let pairs = pairs.iter().map(|(ours, peers)| (ours.of(measure), peers.of(measure)));
        let pairs: Vec<(f64, f64)> = pairs.collect();
        Self {
            file: file.to_owned(),
            workload: run.name_of(measure),
            model: model.clone(),
            compared: Comparison::of(&pairs),
            pairs,
            per_token: (model.bytes_s((run, measure), 1.0), model.ops_s((run, measure), 1.0)),
        }
    }

    /// Shares of bandwidth and of peak arithmetic at a speed.
    fn shares(&self, machine: &Machine, tok_s: f64) -> (f64, f64) {
        let (_, peak) = machine.limits.peak(&self.model);
        (self.per_token.0 * tok_s / machine.limits.read_bytes, self.per_token.1 * tok_s / peak)
    }

    fn row(&self, machine: &Machine) -> String {
        let Comparison { ours, peers, ratio, spread } = self.compared;
        let (our_bandwidth, our_peak) = self.shares(machine, ours);
        let (peers_bandwidth, peers_peak) = self.shares(machine, peers);
        let (file, workload, peak) = (&self.file, &self.workload, machine.limits.peak(&self.model).0);
        format!(
            "| {file} | {workload} | {ours:.1} / {peers:.1} | {ratio:.2} ({:.2}, {:.2}) | {} / {} | {} / {} of {peak} |\n",
            spread.0,
            spread.1,
            percent(our_bandwidth),
            percent(peers_bandwidth),
            percent(our_peak),
            percent(peers_peak),
        )
    }

    fn json(&self, machine: &Machine) -> Value {
        let Comparison { ours, peers, ratio, spread } = self.compared;
        let (our_bandwidth, our_peak) = self.shares(machine, ours);
        let (peers_bandwidth, peers_peak) = self.shares(machine, peers);
        json!({
            "file": self.file, "format": self.model.format, "workload": self.workload,
            "ours_tok_s": ours, "peer_tok_s": peers,
            "ratio": ratio, "ratio_lowest": spread.0, "ratio_highest": spread.1,
            "peak": machine.limits.peak(&self.model).0,
            "ours_bandwidth_share": our_bandwidth, "peer_bandwidth_share": peers_bandwidth,
            "ours_peak_share": our_peak, "peer_peak_share": peers_peak,
            "pairs_tok_s": self.pairs,
            "peer_extra_buffers": !self.model.is_quantised(),
        })
    }
}

impl Report {
    /// What belongs to the figures, then a row a cell.
    pub(super) fn table(&self) -> String {
        let Machine { cpu, num_cores, threads: Threads { num, cores }, isa, commit, limits } = &self.machine;
        let mut text = format!(
            "{cpu}, {num_cores} cores, {num} threads on processors: {cores}, {isa}. Limits: {}.\n\
             Ours: commit {commit}. Peer: llama.cpp of llama-cpp-python {}, cache in f16; quantised files without extra \
             buffer types (use_extra_bufts = false).\n\
             Medians of {} alternating runs; ratios above 1 are ours, with the lowest and highest pair. Interference: {}.\n\
             Shares count the weights alone: bytes that a step reads, and a product and a sum for each.\n\n",
            limits.describe(),
            self.peer.version,
            self.rounds,
            self.interference.describe(),
        );
        text += "| file | workload | tokens/s: ours / peer | ratio | of bandwidth: ours / peer | of peak: ours / peer |\n";
        text += "|---|---|---:|---:|---:|---:|\n";
        text.extend(self.cells.iter().map(|cell| cell.row(&self.machine)));
        text + "\n"
    }

    pub(super) fn json(&self) -> Value {
        let interference = match self.interference {
            Interference::Unknown => Value::Null,
            Interference::Counted { num_runs, num_disturbed, num_kept } => {
                json!({"runs": num_runs, "disturbed": num_disturbed, "disturbed_and_kept": num_kept})
            }
        };
        json!({
            "machine": self.machine.json(),
            "ours": {"commit": self.machine.commit},
            "peer": {"name": "llama.cpp", "package": "llama-cpp-python", "version": self.peer.version},
            "rounds": self.rounds,
            "interference": interference,
            "cells": self.cells.iter().map(|cell| cell.json(&self.machine)).collect::<Vec<_>>(),
        })
    }
}

/// Small shares with a decimal.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::machine::Limits;
    use super::super::workload::RUNS;
    use super::*;

    fn machine() -> Machine {
        let limits = Limits { read_bytes: 1e10, f32_ops: 1e12, i8_ops: Some(4e12), bf16_ops: None };
        Machine {
            cpu: "A CPU".to_owned(),
            num_cores: 4,
            threads: Threads { num: 2, cores: "any".to_owned() },
            isa: "avx512".to_owned(),
            commit: "abc1234".to_owned(),
            limits,
        }
    }

    /// A model of 1e8 weights in 1e8 bytes, 1e7 of them in the head.
    pub(crate) fn cell(run: &Run, measure: Measure, speeds: &[(f64, f64)]) -> Cell {
        let model =
            Model { format: "Q8_0".to_owned(), weight_bytes: 1e8, layer_weights: 9e7, head_weights: 1e7 };
        let sample = |speed| Sample { prefill_tok_s: speed, decode_tok_s: speed };
        let pairs: Vec<_> = speeds.iter().map(|(ours, peers)| (sample(*ours), sample(*peers))).collect();
        Cell::new("m.gguf", &model, (run, measure), &pairs)
    }

    fn report(cells: Vec<Cell>) -> Report {
        Report {
            machine: machine(),
            peer: LlamaCpp::named("python3", "0.3.36"),
            cells,
            rounds: 3,
            interference: Interference::Counted { num_runs: 7, num_disturbed: 1, num_kept: 0 },
        }
    }

    #[test]
    fn a_row_has_medians_ratios_and_shares() {
        let speeds = [(50.0, 40.0), (60.0, 40.0), (40.0, 40.0)];
        let decode = cell(&RUNS[0], Measure::Decode, &speeds).row(&machine());
        // 50 tokens/s of 1e8 bytes in 1e10; 2e8 operations a token in 4e12.
        let expected = "| m.gguf | decode at depth 128 | 50.0 / 40.0 | 1.25 (1.00, 1.50) | 50 % / 40 % | \
                        0.2 % / 0.2 % of int8 |\n";
        assert_eq!(decode, expected);
        let batched = cell(&RUNS[2], Measure::Decode, &[(400.0, 800.0)]).row(&machine());
        let expected = "| m.gguf | 8 sequences at depth 128 | 400.0 / 800.0 | 0.50 (0.50, 0.50) | 50 % / 100 % | \
                        2.0 % / 4.0 % of int8 |\n";
        assert_eq!(batched, expected);
    }

    #[test]
    fn the_table_says_what_belongs_to_it() {
        let table = report(vec![cell(&RUNS[0], Measure::Prefill, &[(500.0, 250.0)])]).table();
        for expected in [
            "A CPU, 4 cores, 2 threads on processors: any, avx512. Limits: 10.0 GB/s read;",
            "commit abc1234",
            "llama-cpp-python 0.3.36",
            "use_extra_bufts = false",
            "1 of 7 runs were disturbed",
            "| m.gguf | prefill of 512 | 500.0 / 250.0 | 2.00 (2.00, 2.00) | 1.0 % / 0.5 % | 2.3 % / 1.1 % of int8 |\n",
        ] {
            assert!(table.contains(expected), "{expected:?} is not in\n{table}");
        }
    }

    #[test]
    fn json_keeps_every_pair() {
        let report = report(vec![cell(&RUNS[0], Measure::Decode, &[(50.0, 40.0), (60.0, 40.0)])]).json();
        let cell = &report["cells"][0];
        assert_eq!(cell["pairs_tok_s"], json!([[50.0, 40.0], [60.0, 40.0]]));
        assert_eq!((&cell["ratio"], &cell["peer_extra_buffers"]), (&json!(1.375), &json!(false)));
        assert_eq!(report["interference"]["disturbed"], 1);
        assert_eq!(report["machine"]["bf16_ops_s"], Value::Null);
    }
}
