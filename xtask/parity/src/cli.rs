//! The command line: which device, how many cases, where the report goes.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use llama_backend::{Backend, Device};

use crate::{
    campaign::{self, Finding, Plan, Trial},
    evaluator::{Evaluator, Job, dtype_named, serve},
    properties::{PROPERTIES, Property},
    report::{self, Header},
    subject::Subject,
};

/// What a device of another make needs to be told.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// What the device is called in reports, if not by its own name.
    pub label: Option<&'static str>,
    /// Called before each case with the seed of the order of unordered work.
    pub seed_order: fn(u64),
}

impl Default for Hooks {
    fn default() -> Self {
        Self { label: None, seed_order: |_| {} }
    }
}

/// Compare a device with the reference, case by random case
#[derive(Parser)]
#[command(name = "parity")]
struct Arguments {
    /// cpu, metal, metal:N, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Cases of each property in each dtype
    #[arg(long, default_value_t = 100)]
    cases: usize,
    /// Seed of the cases
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Properties to run; all if none is named
    #[arg(long)]
    only: Vec<String>,
    /// Folder for report.json and report.html
    #[arg(long)]
    report: Option<PathBuf>,
    /// Run one case again: the JSON that a failure printed
    #[arg(long)]
    replay: Option<String>,
    /// Evaluating processes at a time
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Attempts to make a failing case smaller
    #[arg(long, default_value_t = 400)]
    shrinks: usize,
    /// Seconds that a case may take
    #[arg(long, default_value_t = 120)]
    timeout_s: u64,
    #[arg(long, hide = true)]
    serve: bool,
}

/// Parses the command line and does it. Ends in failure if a case failed, or none ran.
pub fn main(hooks: &Hooks) -> ExitCode {
    match run(&Arguments::parse(), hooks) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parity: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, hooks: &Hooks) -> anyhow::Result<bool> {
    let backend = arguments.device.parse::<Device>()?.backend()?;
    if arguments.serve {
        serve(&Subject::new(backend), hooks.seed_order)?;
        return Ok(true);
    }
    let subject = Subject::new(backend.clone());
    if let Some(job) = &arguments.replay {
        return replay(arguments, &subject, job);
    }
    let trials = trials(&arguments.only, &subject)?;
    let plan = Plan {
        device: arguments.device.clone(),
        num_cases: arguments.cases,
        seed: arguments.seed,
        num_workers: arguments.workers,
        num_shrinks: arguments.shrinks,
        timeout: Duration::from_secs(arguments.timeout_s),
    };
    ensure!(plan.num_cases > 0, "no cases to run");
    let findings = campaign::run(&plan, &trials, |finding| eprintln!("{}", progress(finding)))?;
    let header = header(arguments, hooks, &*backend);
    print!("{}", report::table(&header, &findings));
    if let Some(folder) = &arguments.report {
        report::write(folder, &header, &findings)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    Ok(findings.iter().all(|finding| finding.failure.is_none()))
}

fn header(arguments: &Arguments, hooks: &Hooks, backend: &dyn Backend) -> Header {
    let device = hooks.label.map_or_else(|| backend.name(), str::to_owned);
    Header { device, seed: arguments.seed, num_cases: arguments.cases }
}

/// Every property in every dtype of the device, or those that were named.
fn trials(only: &[String], subject: &Subject) -> anyhow::Result<Vec<Trial>> {
    if let Some(unknown) = only.iter().find(|name| Property::named(name).is_none()) {
        let known: Vec<&str> = PROPERTIES.iter().map(|property| property.name).collect();
        bail!("no property {unknown:?}; there are {}", known.join(", "));
    }
    let wanted =
        PROPERTIES.iter().filter(|property| only.is_empty() || only.iter().any(|name| name == property.name));
    let dtypes = subject.backend().compute_dtypes();
    let trials = wanted.flat_map(|property| {
        let proof = property.op.map(|op| (op, subject.expected_path(op)));
        dtypes.iter().map(move |dtype| Trial { property, dtype: dtype.as_str(), proof })
    });
    Ok(trials.collect())
}

fn replay(arguments: &Arguments, subject: &Subject, job: &str) -> anyhow::Result<bool> {
    let job: Job = serde_json::from_str(job).context("not a case that a failure printed")?;
    dtype_named(&job.dtype)?;
    let property = Property::named(&job.property).with_context(|| format!("no property {}", job.property))?;
    let proof = property.op.map(|op| (op, subject.expected_path(op)));
    let mut evaluator = Evaluator::new(&arguments.device, Duration::from_secs(arguments.timeout_s));
    let outcome = evaluator.evaluate(&job)?;
    let failure = outcome.failure(proof.as_ref());
    println!("{outcome:#?}\n{}", failure.as_deref().unwrap_or("passes"));
    Ok(failure.is_none())
}

fn progress(finding: &Finding) -> String {
    let ended = if finding.failure.is_some() { "FAILED" } else { "ok" };
    let Finding { property, dtype, num_cases, .. } = finding;
    format!("{property} {dtype}: {num_cases} cases, {ended}")
}
