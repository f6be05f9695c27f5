//! [`Hazards`]: what commands without a barrier between them did with the same buffers.

use std::collections::HashMap;

use crate::access::{Access, Kind};

/// What commands since the last barrier did.
#[derive(Default)]
pub(crate) struct Hazards {
    /// By buffer: the strongest access, and whose it was.
    seen: HashMap<usize, (Kind, String)>,
}

impl Hazards {
    /// Notes what a command did.
    ///
    /// # Errors
    ///
    /// When it touches what another has written, or writes what another has touched: on a device they may
    /// run at the same time, in any order.
    pub(crate) fn note(&mut self, command: &str, accesses: &[Access]) -> Result<(), String> {
        for access in accesses {
            if let Some((kind, other)) = self.seen.get(&access.buffer)
                && (*kind == Kind::Write || access.kind == Kind::Write)
            {
                return Err(format!(
                    "{command} {} buffer {} that {other} {}, without a barrier between them: was an output bound as an input?",
                    verb(access.kind),
                    access.buffer,
                    verb(*kind)
                ));
            }
        }
        for access in accesses {
            let entry = self.seen.entry(access.buffer).or_insert((access.kind, command.to_owned()));
            if access.kind > entry.0 {
                *entry = (access.kind, command.to_owned());
            }
        }
        Ok(())
    }

    /// Forgets: what follows comes after all of it.
    pub(crate) fn barrier(&mut self) {
        self.seen.clear();
    }
}

fn verb(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "reads",
        Kind::Write => "writes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: Kind, second: Kind, is_hazard: bool) {
        let mut hazards = Hazards::default();
        hazards.note("a", &[Access { buffer: 1, kind: first }]).expect("nothing came before");
        let second = [Access { buffer: 1, kind: second }];
        assert_eq!(hazards.note("b", &second).is_err(), is_hazard);
        hazards.barrier();
        hazards.note("c", &second).expect("a barrier came before");
    }

    #[test]
    fn readers_may_meet_and_writers_may_not() {
        check(Kind::Read, Kind::Read, false);
        check(Kind::Read, Kind::Write, true);
        check(Kind::Write, Kind::Read, true);
        check(Kind::Write, Kind::Write, true);
    }
}
