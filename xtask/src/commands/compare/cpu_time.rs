//! How much CPU time other processes took during a run, as the kernel counts it, and repeating disturbed runs.
//!
//! Counts are in clock ticks; only their ratios are used. Linux only: elsewhere nothing is observed, and the report
//! says so.

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, ensure};
use serde_json::Value;

/// A run is disturbed if others took more than this share of all CPU time.
const MAX_FOREIGN: f64 = 0.03;
/// A run starts after a moment without others, or when that many moments have passed.
const MOMENT: Duration = Duration::from_millis(500);
const MAX_MOMENTS: usize = 40;

/// What happened to the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interference {
    /// The system does not say.
    Unknown,
    /// It was watched.
    Counted {
        /// All runs, repeated ones included.
        num_runs: usize,
        /// Those during which others computed.
        num_disturbed: usize,
        /// Disturbed ones that count all the same, because the repetitions were used up.
        num_kept: usize,
    },
}

impl Interference {
    /// A sentence about it.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Unknown => "not observed: this system does not tell (it needs /proc)".to_owned(),
            Self::Counted { num_runs, num_disturbed, num_kept } => format!(
                "{num_disturbed} of {num_runs} runs were disturbed by other processes (more than {:.0} % of the CPU \
                 time) and repeated, {num_kept} of them in vain",
                100.0 * MAX_FOREIGN
            ),
        }
    }
}

/// Runs programs, and repeats those that were disturbed.
#[derive(Debug)]
pub(super) struct Undisturbed {
    max_repeats: usize,
    interference: Interference,
}

impl Undisturbed {
    pub(super) fn new(max_repeats: usize) -> Self {
        let interference = match CpuTime::now() {
            Some(_) => Interference::Counted { num_runs: 0, num_disturbed: 0, num_kept: 0 },
            None => Interference::Unknown,
        };
        Self { max_repeats, interference }
    }

    pub(super) fn interference(&self) -> Interference {
        self.interference
    }

    /// The last line that the program prints, as JSON.
    pub(super) fn run(&mut self, command: &mut Command) -> anyhow::Result<Value> {
        self.repeat(|| {
            wait_for_quiet();
            let before = CpuTime::now();
            let report = last_line(command)?;
            let foreign = before.zip(CpuTime::now()).map(|(before, after)| before.foreign_until(after));
            Ok((report, foreign))
        })
    }

    /// Calls `measure`, which says what share others took, until that is small or the repetitions are used up.
    fn repeat<T>(
        &mut self,
        mut measure: impl FnMut() -> anyhow::Result<(T, Option<f64>)>,
    ) -> anyhow::Result<T> {
        let mut num_repeats = 0;
        loop {
            let (report, foreign) = measure()?;
            let is_disturbed = foreign.is_some_and(|foreign| foreign > MAX_FOREIGN);
            let is_last = num_repeats == self.max_repeats;
            if let Interference::Counted { num_runs, num_disturbed, num_kept } = &mut self.interference {
                *num_runs += 1;
                *num_disturbed += usize::from(is_disturbed);
                *num_kept += usize::from(is_disturbed && is_last);
            }
            if !is_disturbed || is_last {
                return Ok(report);
            }
            num_repeats += 1;
        }
    }
}

fn last_line(command: &mut Command) -> anyhow::Result<Value> {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let ended = spawned.with_context(|| format!("cannot start {program}"))?;
    let errors = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{program} failed ({}): {}", ended.status, errors.trim());
    let printed = String::from_utf8_lossy(&ended.stdout);
    let line = printed.lines().last().with_context(|| format!("{program} printed nothing"))?;
    serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}"))
}

fn wait_for_quiet() {
    for _ in 0..MAX_MOMENTS {
        let before = CpuTime::now();
        if before.is_none() {
            return;
        }
        thread::sleep(MOMENT);
        let foreign = before.zip(CpuTime::now()).map(|(before, after)| before.foreign_until(after));
        if foreign.is_none_or(|foreign| foreign <= MAX_FOREIGN) {
            return;
        }
    }
}

/// Clock ticks since the system started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CpuTime {
    /// Of all CPUs, idle or not.
    total: u64,
    /// Of all CPUs, not idle, or taken by the machine's host.
    busy: u64,
    /// Of this process and its children that have ended.
    ours: u64,
}

impl CpuTime {
    fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// From the contents of `/proc/stat` and `/proc/self/stat` (`man 5 proc`).
    fn parse(system: &str, process: &str) -> Option<Self> {
        let line = system.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
        let &[user, nice, kernel, idle, io, interrupt, soft_interrupt, stolen, ..] = &*ticks else {
            return None;
        };
        // The program's name stands in parentheses and may hold anything.
        let (_, fields) = process.rsplit_once(')')?;
        let own = fields.split_whitespace().skip(11).take(4).map(|field| field.parse::<u64>().ok());
        let busy = user + nice + kernel + interrupt + soft_interrupt + stolen;
        Some(Self { total: busy + idle + io, busy, ours: own.sum::<Option<u64>>()? })
    }

    /// The share of all CPU time that others took.
    fn foreign_until(self, later: Self) -> f64 {
        let total = later.total.saturating_sub(self.total).max(1);
        let ours = later.ours.saturating_sub(self.ours);
        let foreign = later.busy.saturating_sub(self.busy).saturating_sub(ours);
        foreign as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "cpu  100 1 20 1000 5 2 3 4 50 0\ncpu0 1 2 3\n";

    fn process(own: [u64; 4]) -> String {
        let [a, b, c, d] = own;
        format!("42 (a) name) S 1 2 3 4 5 6 7 8 9 10 {a} {b} {c} {d} 20 0 1")
    }

    #[test]
    fn ticks_are_read() {
        let time = CpuTime::parse(SYSTEM, &process([1, 2, 30, 4])).unwrap();
        assert_eq!(time, CpuTime { total: 1135, busy: 130, ours: 37 });
        assert_eq!(CpuTime::parse("cpu  1 2 3\n", &process([0; 4])), None);
        assert_eq!(CpuTime::parse(SYSTEM, "42 no parenthesis"), None);
    }

    #[test]
    fn what_is_not_ours_is_foreign() {
        let before = CpuTime { total: 1000, busy: 500, ours: 100 };
        let after = CpuTime { total: 1200, busy: 690, ours: 280 };
        assert_eq!(before.foreign_until(after), 0.05);
        assert_eq!(before.foreign_until(before), 0.0);
        // Ticks of children are counted when they end, so ours may seem more than all.
        assert_eq!(before.foreign_until(CpuTime { ours: 999, ..after }), 0.0);
    }

    fn check_repeats(shares: &[f64], max_repeats: usize, expected: (f64, usize, usize, usize)) {
        let interference = Interference::Counted { num_runs: 0, num_disturbed: 0, num_kept: 0 };
        let mut quiet = Undisturbed { max_repeats, interference };
        let mut shares = shares.iter();
        let found = quiet.repeat(|| {
            let share = *shares.next().expect("no more runs than these");
            Ok((share, Some(share)))
        });
        let Interference::Counted { num_runs, num_disturbed, num_kept } = quiet.interference() else {
            unreachable!("it was watched");
        };
        assert_eq!((found.unwrap(), num_runs, num_disturbed, num_kept), expected);
    }

    #[test]
    fn disturbed_runs_are_repeated_and_counted() {
        check_repeats(&[0.01], 5, (0.01, 1, 0, 0));
        check_repeats(&[0.5, 0.2, 0.0], 5, (0.0, 3, 2, 0));
        check_repeats(&[0.5, 0.2, 0.1], 2, (0.1, 3, 3, 1));
        check_repeats(&[0.5], 0, (0.5, 1, 1, 1));
    }

    #[test]
    fn without_a_system_that_tells_nothing_is_repeated() {
        let mut quiet = Undisturbed { max_repeats: 3, interference: Interference::Unknown };
        assert_eq!(quiet.repeat(|| Ok((7, None))).unwrap(), 7);
        assert_eq!(quiet.interference(), Interference::Unknown);
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut absent = Command::new("no-such-program-anywhere");
        let error = last_line(&mut absent).unwrap_err();
        assert_eq!(error.to_string(), "cannot start no-such-program-anywhere");
    }
}
