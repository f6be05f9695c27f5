//! What the figures belong to: the machine, what it could do, and our version.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::programs::Programs;
use super::workload::{Model, Threads};
use crate::cargo;

/// The machine and our version.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// The processor's name.
    pub(super) cpu: String,
    pub(super) num_cores: usize,
    pub(super) threads: Threads,
    /// What our kernels use.
    pub(super) isa: String,
    /// Ours.
    pub(super) commit: String,
    pub(super) limits: Limits,
}

/// A second's worth of bytes and operations, all threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    pub(super) read_bytes: f64,
    pub(super) f32_ops: f64,
    pub(super) i8_ops: Option<f64>,
    pub(super) bf16_ops: Option<f64>,
}

impl Machine {
    pub(super) fn measure(programs: &Programs, threads: Threads) -> anyhow::Result<Self> {
        let mut command = Command::new(&programs.roofline);
        let ended = command.args(threads.arguments()).output();
        let ended = ended.context("cannot start the measurement of the machine's limits")?;
        ensure!(ended.status.success(), "the machine's limits cannot be measured ({})", ended.status);
        let report: Value = serde_json::from_slice(&ended.stdout).context("the limits are not JSON")?;
        Ok(Self {
            cpu: cpu_name(),
            num_cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
            isa: report["isa"].as_str().unwrap_or("unknown").to_owned(),
            commit: commit(),
            limits: Limits::parse(&report)?,
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu, "cores": self.num_cores, "threads": self.threads.num, "processors": self.threads.cores,
            "isa": self.isa,
            "read_bytes_s": self.limits.read_bytes, "f32_ops_s": self.limits.f32_ops,
            "i8_ops_s": self.limits.i8_ops, "bf16_ops_s": self.limits.bf16_ops,
        })
    }
}

impl Limits {
    fn parse(report: &Value) -> anyhow::Result<Self> {
        let rate = |name: &str| report[name].as_f64().filter(|rate| *rate > 0.0);
        let required = |name: &str| rate(name).with_context(|| format!("no positive {name} in {report}"));
        Ok(Self {
            read_bytes: required("read_bytes_s")?,
            f32_ops: required("f32_ops_s")?,
            i8_ops: rate("i8_ops_s"),
            bf16_ops: rate("bf16_ops_s"),
        })
    }

    /// The fastest arithmetic that a model's format allows: its name, and operations a second.
    pub(super) fn peak(&self, model: &Model) -> (&'static str, f64) {
        let wide = ("f32", self.f32_ops);
        let narrow = match &*model.format {
            "F32" | "F16" => None,
            "BF16" => self.bf16_ops.map(|ops| ("bf16", ops)),
            _ => self.i8_ops.map(|ops| ("int8", ops)),
        };
        narrow.filter(|narrow| narrow.1 > wide.1).unwrap_or(wide)
    }

    /// Everything, in words.
    pub(super) fn describe(&self) -> String {
        let giga = |rate: f64| format!("{:.0} G", rate / 1e9);
        let optional = |rate: Option<f64>| rate.map_or_else(|| "no ".to_owned(), giga);
        format!(
            "{:.1} GB/s read; {}FLOP/s f32, {}OP/s int8 dot products, {}FLOP/s bf16 dot products",
            self.read_bytes / 1e9,
            giga(self.f32_ops),
            optional(self.i8_ops),
            optional(self.bf16_ops)
        )
    }
}

fn cpu_name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = model_name(&info).or_else(|| printed("sysctl", &["-n", "machdep.cpu.brand_string"]));
    name.unwrap_or_else(|| format!("unknown {}", std::env::consts::ARCH))
}

fn model_name(info: &str) -> Option<String> {
    let fields = info.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(name, _)| name.trim() == "model name").map(|(_, value)| value.trim().to_owned()).next()
}

/// Our commit, with a mark if the working tree differs from it.
fn commit() -> String {
    let root = cargo::workspace_root();
    let git = |arguments: &[&str]| {
        let mut all = vec!["-C", root.to_str()?];
        all.extend(arguments);
        printed("git", &all)
    };
    let dirty = git(&["status", "--porcelain"]).map_or("", |_| ", changed");
    git(&["rev-parse", "--short", "HEAD"]).map_or_else(|| "unknown".to_owned(), |commit| commit + dirty)
}

/// What a program prints, if it runs and prints anything.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let ended = Command::new(program).args(arguments).output().ok().filter(|ended| ended.status.success())?;
    let text = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { read_bytes: 3e10, f32_ops: 4e11, i8_ops: Some(1.8e12), bf16_ops: Some(2e11) };

    fn check_peak(format: &str, limits: Limits, expected: (&str, f64)) {
        let model =
            Model { format: format.to_owned(), weight_bytes: 1.0, layer_weights: 1.0, head_weights: 1.0 };
        assert_eq!(limits.peak(&model), expected, "{format}");
    }

    #[test]
    fn the_peak_is_that_of_the_fastest_arithmetic() {
        check_peak("F32", LIMITS, ("f32", 4e11));
        check_peak("Q4_0", LIMITS, ("int8", 1.8e12));
        check_peak("Q4_0", Limits { i8_ops: None, ..LIMITS }, ("f32", 4e11));
        check_peak("BF16", LIMITS, ("f32", 4e11));
        check_peak("BF16", Limits { bf16_ops: Some(8e11), ..LIMITS }, ("bf16", 8e11));
    }

    #[test]
    fn limits_are_read() {
        let report = json!({"read_bytes_s": 3e10, "f32_ops_s": 4e11, "i8_ops_s": 1.8e12, "bf16_ops_s": null});
        let limits = Limits::parse(&report).unwrap();
        assert_eq!(limits, Limits { bf16_ops: None, ..LIMITS });
        let expected =
            "30.0 GB/s read; 400 GFLOP/s f32, 1800 GOP/s int8 dot products, no FLOP/s bf16 dot products";
        assert_eq!(limits.describe(), expected);
        assert!(Limits::parse(&json!({"read_bytes_s": 0.0, "f32_ops_s": 1.0})).is_err());
    }

    #[test]
    fn the_processor_is_named_once() {
        let info = "processor\t: 0\nmodel name\t: A CPU: fast\n\nprocessor\t: 1\nmodel name\t: B\n";
        assert_eq!(model_name(info), Some("A CPU: fast".to_owned()));
        assert_eq!(model_name(""), None);
    }
}
