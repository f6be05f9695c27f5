//! A thread that computes masks while the model computes logits.

use std::{
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use llama_sampling::Constraint;

use super::guide::Masked;
use crate::scheduler::SequenceId;

/// Names a sample of a sequence.
pub(super) type SampleId = (SequenceId, usize);

/// The helper. Its thread starts with the first constraint and ends with the worker.
#[derive(Default)]
pub(super) struct Masks {
    helper: Option<Helper>,
    num_lent: usize,
}

struct Helper {
    jobs: Sender<(SampleId, Constraint)>,
    results: Receiver<(SampleId, Masked)>,
}

impl Helper {
    /// `None` if the operating system gives no thread.
    fn start() -> Option<Self> {
        let (jobs, inbox) = mpsc::channel::<(SampleId, Constraint)>();
        let (outbox, results) = mpsc::channel();
        let work = move || {
            for (id, constraint) in inbox {
                if outbox.send((id, Masked::new(constraint))).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("llama-masks".to_owned()).spawn(work).ok()?;
        Some(Self { jobs, results })
    }
}

impl Masks {
    /// Starts on the mask of a constraint. It comes back from [`Masks::collect`], or at once where there is no helper.
    pub(super) fn lend(&mut self, id: SampleId, constraint: Constraint) -> Option<Masked> {
        if self.helper.is_none() {
            self.helper = Helper::start();
        }
        let Some(helper) = &self.helper else {
            return Some(Masked::new(constraint));
        };
        match helper.jobs.send((id, constraint)) {
            Ok(()) => {
                self.num_lent += 1;
                None
            }
            Err(mpsc::SendError((_, constraint))) => Some(Masked::new(constraint)),
        }
    }

    /// Waits for all that was lent.
    pub(super) fn collect(&mut self) -> Vec<(SampleId, Masked)> {
        let num_lent = std::mem::take(&mut self.num_lent);
        let results = self.helper.iter().flat_map(|helper| helper.results.iter());
        results.take(num_lent).collect()
    }
}
