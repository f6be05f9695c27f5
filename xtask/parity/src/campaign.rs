//! Runs the cases of all properties and shrinks the first that fails of each.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context;
use llama_backend::ops::{Op, Path};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    evaluator::{Evaluator, Job, Outcome, dtype_named},
    measure::Worst,
    properties::Property,
};

/// What to run.
pub(crate) struct Plan {
    pub(crate) device: String,
    pub(crate) num_cases: usize,
    pub(crate) seed: u64,
    pub(crate) num_workers: usize,
    /// Attempts to make a failing case smaller.
    pub(crate) num_shrinks: usize,
    pub(crate) timeout: Duration,
}

/// A property in a dtype, and the dispatch that proves it.
pub(crate) struct Trial {
    pub(crate) property: &'static Property,
    pub(crate) dtype: &'static str,
    pub(crate) proof: Option<(Op, Path)>,
}

/// What a trial found: one row of the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) property: &'static str,
    pub(crate) dtype: &'static str,
    pub(crate) tolerance: &'static str,
    pub(crate) num_cases: usize,
    pub(crate) num_values: usize,
    /// The worst value of all cases that were compared, and of the median case.
    pub(crate) worst: Worst,
    pub(crate) median_ratio: f64,
    /// Dispatches by `operation/path`.
    pub(crate) dispatches: BTreeMap<String, u64>,
    pub(crate) proof: Option<String>,
    pub(crate) failure: Option<Failure>,
}

/// A failing case, shrunk.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) case_idx: usize,
    pub(crate) reason: String,
    pub(crate) job: Value,
}

/// Runs every trial; `done` is called as each ends.
pub(crate) fn run(
    plan: &Plan,
    trials: &[Trial],
    done: impl Fn(&Finding) + Sync,
) -> anyhow::Result<Vec<Finding>> {
    let next = AtomicUsize::new(0);
    let findings = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        let mut evaluator = Evaluator::new(&plan.device, plan.timeout);
        loop {
            let trial_idx = next.fetch_add(1, Ordering::Relaxed);
            let Some(trial) = trials.get(trial_idx) else { return Ok(()) };
            let finding = trial.run(plan, &mut evaluator)?;
            done(&finding);
            findings.lock().unwrap_or_else(PoisonError::into_inner).push((trial_idx, finding));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.num_workers.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("workers do not panic"))
    })?;
    let mut findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    findings.sort_by_key(|(trial_idx, _)| *trial_idx);
    Ok(findings.into_iter().map(|(_, finding)| finding).collect())
}

impl Trial {
    fn run(&self, plan: &Plan, evaluator: &mut Evaluator) -> anyhow::Result<Finding> {
        let mut runner = self.runner(plan.seed);
        let strategy = (self.property.cases)(dtype_named(self.dtype)?);
        let mut finding = self.empty_finding();
        let mut ratios = Vec::new();
        for case_idx in 0..plan.num_cases {
            let tree =
                strategy.new_tree(&mut runner).map_err(anyhow::Error::msg).context("cannot make a case")?;
            let job = self.job(case_idx, tree.current());
            let outcome = evaluator.evaluate(&job)?;
            finding.num_cases += 1;
            if let Outcome::Compared { worst, num_values, dispatches } = &outcome {
                finding.num_values += num_values;
                ratios.push(worst.ratio);
                if worst.ratio > finding.worst.ratio {
                    finding.worst = *worst;
                }
                for (dispatch, count) in dispatches {
                    *finding.dispatches.entry(dispatch.clone()).or_default() += count;
                }
            }
            if let Some(reason) = outcome.failure(self.proof.as_ref()) {
                finding.failure = Some(self.shrunk(plan, (case_idx, reason), tree, evaluator)?);
                break;
            }
        }
        ratios.sort_by(f64::total_cmp);
        finding.median_ratio = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
        Ok(finding)
    }

    /// Follows the tree to a smaller case that still fails.
    fn shrunk(
        &self,
        plan: &Plan,
        (case_idx, reason): (usize, String),
        mut tree: Box<dyn ValueTree<Value = Value>>,
        evaluator: &mut Evaluator,
    ) -> anyhow::Result<Failure> {
        let mut smallest =
            Failure { case_idx, reason, job: serde_json::to_value(self.job(case_idx, tree.current()))? };
        let mut moved = tree.simplify();
        for _ in 0..plan.num_shrinks {
            if !moved {
                break;
            }
            let job = self.job(case_idx, tree.current());
            moved = match evaluator.evaluate(&job)?.failure(self.proof.as_ref()) {
                Some(reason) => {
                    smallest = Failure { case_idx, reason, job: serde_json::to_value(job)? };
                    tree.simplify()
                }
                None => tree.complicate(),
            };
        }
        Ok(smallest)
    }

    fn job(&self, case_idx: usize, case: Value) -> Job {
        let (property, dtype) = (self.property.name.to_owned(), self.dtype.to_owned());
        Job { property, dtype, order_seed: case_idx as u64, case }
    }

    /// A generator of its own for each trial, so that a filter changes no case.
    fn runner(&self, seed: u64) -> TestRunner {
        let mut bytes = [0u8; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let name = self.property.name.bytes().chain(self.dtype.bytes());
        for (byte, letter) in bytes[8..].iter_mut().zip(name) {
            *byte = letter;
        }
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    fn empty_finding(&self) -> Finding {
        Finding {
            property: self.property.name,
            dtype: self.dtype,
            tolerance: self.property.tolerance,
            num_cases: 0,
            num_values: 0,
            worst: Worst::default(),
            median_ratio: 0.0,
            dispatches: BTreeMap::new(),
            proof: self.proof.map(|(op, path)| format!("{op}/{path}")),
            failure: None,
        }
    }
}
