//! Cases in a process of their own: what crashes or hangs there fails one case, not the campaign.
//!
//! Both ends speak JSON, one line a message.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use candle_core::DType;
use llama_backend::ops::{Op, Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{measure::Worst, properties::Property, subject::Subject};

/// Lines of a dead process's standard error that are worth showing.
const LAST_LINES: usize = 12;

/// One case, as it travels and as `--replay` takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) property: String,
    pub(crate) dtype: String,
    /// Seed of the order in which an emulated device runs what is unordered.
    pub(crate) order_seed: u64,
    pub(crate) case: Value,
}

/// What became of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It was computed.
    Compared {
        worst: Worst,
        num_values: usize,
        /// Dispatches by `operation/path`.
        dispatches: BTreeMap<String, u64>,
    },
    /// It was not: an error, a panic, a crash or a timeout.
    Failed(String),
}

impl Outcome {
    /// Why it is a failure, if it is one. `proof` is the dispatch that must have happened.
    pub(crate) fn failure(&self, proof: Option<&(Op, Path)>) -> Option<String> {
        match self {
            Self::Failed(reason) => Some(reason.clone()),
            Self::Compared { worst, .. } if worst.ratio > 1.0 || worst.ratio.is_nan() => Some(format!(
                "value {}: expected {:e}, found {:e}: {:.3} times the bound of {:e}",
                worst.value_idx,
                worst.expected,
                worst.found.value(),
                worst.ratio,
                worst.bound
            )),
            Self::Compared { dispatches, .. } => {
                let (op, path) = proof?;
                let proven = format!("{op}/{path}");
                let other =
                    dispatches.keys().find(|key| key.starts_with(&format!("{op}/")) && **key != proven);
                match other {
                    Some(other) => Some(format!("{other} ran where {proven} was to be tested")),
                    None if dispatches.contains_key(&proven) => None,
                    None => Some(format!("{proven} did not run")),
                }
            }
        }
    }
}

/// Computes jobs from standard input until it ends.
pub(crate) fn serve(subject: &Subject, seed_order: fn(u64)) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        seed_order(job.order_seed);
        writeln!(out, "{}", serde_json::to_string(&evaluate(&job, subject))?)?;
        out.flush()?;
    }
    Ok(())
}

fn evaluate(job: &Job, subject: &Subject) -> Outcome {
    let compared = catch_unwind(AssertUnwindSafe(|| {
        let property =
            Property::named(&job.property).with_context(|| format!("no property {}", job.property))?;
        let dtype = dtype_named(&job.dtype)?;
        (property.compare)(&job.case, subject, dtype)
    }));
    let dispatches = subject.take_dispatches();
    match compared {
        Ok(Ok(comparison)) => {
            Outcome::Compared { worst: comparison.worst(), num_values: comparison.found.len(), dispatches }
        }
        Ok(Err(error)) => Outcome::Failed(format!("error: {error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Outcome::Failed(format!(
                "panic: {}",
                text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")
            ))
        }
    }
}

/// The dtype of a name in a report.
pub(crate) fn dtype_named(name: &str) -> anyhow::Result<DType> {
    name.parse().map_err(|_| anyhow!("no dtype {name}"))
}

/// A process that computes cases, started anew when it dies.
pub(crate) struct Evaluator {
    device: String,
    timeout: Duration,
    process: Option<Process>,
}

struct Process {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    errors: Arc<Mutex<VecDeque<String>>>,
}

impl Evaluator {
    pub(crate) fn new(device: &str, timeout: Duration) -> Self {
        Self { device: device.to_owned(), timeout, process: None }
    }

    /// Computes one case.
    ///
    /// # Errors
    /// If no process can be started; what happens inside is an [`Outcome`].
    pub(crate) fn evaluate(&mut self, job: &Job) -> anyhow::Result<Outcome> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Process::start(&self.device)?),
        };
        let sent =
            writeln!(process.input, "{}", serde_json::to_string(job)?).and_then(|()| process.input.flush());
        let failed = match (sent, process.answers.recv_timeout(self.timeout)) {
            (_, Ok(answer)) => return Ok(serde_json::from_str(&answer)?),
            (_, Err(RecvTimeoutError::Timeout)) => format!("no answer within {} s", self.timeout.as_secs()),
            (_, Err(RecvTimeoutError::Disconnected)) => "the process died".to_owned(),
        };
        let process = self.process.take().expect("it was just used");
        Ok(Outcome::Failed(format!("{failed}: {}", process.end()?)))
    }
}

impl Process {
    fn start(device: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--device", device, "--serve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the evaluating process")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let errors = BufReader::new(child.stderr.take().context("no standard error")?);
        let (send, answers) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let last_lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = last_lines.clone();
        thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push_back(line);
                if lines.len() > LAST_LINES {
                    lines.pop_front();
                }
            }
        });
        Ok(Self { child, input, answers, errors: last_lines })
    }

    /// Kills it, and says how it ended.
    fn end(mut self) -> anyhow::Result<String> {
        // It may be dead already.
        thread::sleep(Duration::from_millis(50));
        if self.child.try_wait()?.is_none() {
            self.child.kill()?;
        }
        let status = self.child.wait()?;
        let lines = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        Ok(format!("{status}\n{}", lines.join("\n")))
    }
}
