//! Which processors the threads of a pool run on.
//!
//! It changes no result. Pinning steadies a measurement; on a machine that does other things too, it costs speed, so
//! the default leaves threads to the operating system.

use std::{fmt, str::FromStr};

use core_affinity::CoreId;

use crate::BackendError;

/// Processors for the threads of a pool, in turn: the caller's thread takes the first. None: any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity(Vec<CoreId>);

impl Affinity {
    /// Pins the current thread to the processor of thread `thread_idx` of a pool. Whether the operating system did it.
    pub(super) fn pin(&self, thread_idx: usize) -> bool {
        let core = self.0.get(thread_idx % self.0.len().max(1));
        core.is_none_or(|core| core_affinity::set_for_current(*core))
    }
}

impl FromStr for Affinity {
    type Err = BackendError;

    /// Reads `any`, or numbers of processors as in `0,2,3`.
    fn from_str(text: &str) -> Result<Self, BackendError> {
        let wrong = |reason| BackendError::Argument { op: "affinity", reason };
        if text == "any" {
            return Ok(Self::default());
        }
        let available = core_affinity::get_core_ids().unwrap_or_default();
        let cores = text.split(',').map(|number| {
            let id: usize = number.trim().parse().map_err(|_| {
                wrong(format!(
                    "{number:?} is no number of a processor; expected `any`, or numbers as in `0,2,3`"
                ))
            })?;
            available.iter().find(|core| core.id == id).copied().ok_or_else(|| {
                let numbers: Vec<usize> = available.iter().map(|core| core.id).collect();
                wrong(format!("processor {id} cannot be had, of {numbers:?}"))
            })
        });
        Ok(Self(cores.collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any");
        }
        let numbers: Vec<String> = self.0.iter().map(|core| core.id.to_string()).collect();
        f.write_str(&numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        let first = core_affinity::get_core_ids().expect("the machine has processors")[0].id.to_string();
        for text in ["any", &first] {
            assert_eq!(text.parse::<Affinity>().unwrap().to_string(), text);
        }
    }

    fn check_refused(text: &str, expected: &str) {
        let error = text.parse::<Affinity>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn what_is_no_processor_is_refused() {
        check_refused("", r#"affinity: "" is no number"#);
        check_refused("0,x", r#"affinity: "x" is no number"#);
        check_refused("99999", "affinity: processor 99999 cannot be had, of [");
    }

    #[test]
    fn a_pinned_thread_stays() {
        let core = core_affinity::get_core_ids().expect("the machine has processors")[0];
        let pinned =
            std::thread::spawn(move || Affinity(vec![core]).pin(3).then(core_affinity::get_core_ids));
        // Pinned, a thread sees just its own processor.
        assert_eq!(pinned.join().unwrap(), Some(Some(vec![core])));
    }
}
