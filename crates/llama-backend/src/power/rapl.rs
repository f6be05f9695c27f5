//! Running average power limit: the energy counters of Intel's and AMD's processors, as Linux shows them in its powercap
//! tree (Linux documentation, "Power Capping Framework").
//!
//! Counted are the packages, each once: their cores, caches and memory controllers, and no memory. Since Linux 5.10 only
//! root may read the counters, because their fine steps betray secrets (CVE-2020-8694); whoever wants them changes the
//! files' mode. Virtual machines rarely have them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{PowerSensor, PowerSource, unavailable};
use crate::BackendError;

/// The packages of this machine.
#[derive(Debug)]
pub struct Rapl {
    domains: Vec<Domain>,
    total_uj: u64,
}

/// A counter in microjoules that starts again from zero after `range_uj`.
#[derive(Debug)]
struct Domain {
    counter: PathBuf,
    range_uj: u64,
    last_uj: u64,
}

impl Rapl {
    /// Where Linux shows the counters.
    pub const ROOT: &str = "/sys/class/powercap";

    /// Opens every package below `root`.
    ///
    /// # Errors
    /// [`BackendError::PowerUnavailable`] if there is none, or one whose files cannot be read or are no numbers: a sum
    /// with a part missing would be wrong.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, BackendError> {
        let root = root.as_ref();
        let entries =
            fs::read_dir(root).map_err(|error| unavailable(format!("{}: {error}", root.display())))?;
        let mut zones: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        zones.sort();
        // The same package may be there twice, by its registers and by its memory (`intel-rapl-mmio`). The former sort
        // last, and stay.
        let packages: BTreeMap<String, PathBuf> = zones
            .into_iter()
            .filter_map(|zone| Some((fs::read_to_string(zone.join("name")).ok()?.trim().to_owned(), zone)))
            .filter(|(name, _)| name.starts_with("package"))
            .collect();
        let domains = packages.values().map(|zone| Domain::open(zone)).collect::<Result<Vec<_>, _>>()?;
        if domains.is_empty() {
            return Err(unavailable(format!("{} has no package that counts energy", root.display())));
        }
        Ok(Self { domains, total_uj: 0 })
    }
}

impl PowerSensor for Rapl {
    fn source(&self) -> PowerSource {
        PowerSource::Rapl
    }

    fn joules(&mut self) -> Result<f64, BackendError> {
        for domain in &mut self.domains {
            self.total_uj += domain.advance()?;
        }
        Ok(self.total_uj as f64 / 1e6)
    }
}

impl Domain {
    fn open(zone: &Path) -> Result<Self, BackendError> {
        let counter = zone.join("energy_uj");
        let (range_uj, last_uj) = (read(&zone.join("max_energy_range_uj"))?, read(&counter)?);
        Ok(Self { counter, range_uj, last_uj })
    }

    /// What has been used since the last look. A counter that falls has passed its range; if that lacked more than half of
    /// the range, it was reset, as by a sleep of the machine, and shows what was used since.
    fn advance(&mut self) -> Result<u64, BackendError> {
        let now_uj = read(&self.counter)?;
        let left_uj = self.range_uj.saturating_sub(self.last_uj);
        let used_uj = match now_uj.checked_sub(self.last_uj) {
            Some(used_uj) => used_uj,
            None if left_uj <= self.range_uj / 2 => left_uj + now_uj,
            None => now_uj,
        };
        self.last_uj = now_uj;
        Ok(used_uj)
    }
}

fn read(path: &Path) -> Result<u64, BackendError> {
    let text =
        fs::read_to_string(path).map_err(|error| unavailable(format!("{}: {error}", path.display())))?;
    let value = text.trim();
    value.parse().map_err(|_| unavailable(format!("{}: {value:?} is no number", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A powercap tree with a zone for each name, all with a range of a joule.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(zones: &[(&str, &str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (zone, name, energy_uj) in zones {
                fs::create_dir(tree.0.path().join(zone)).unwrap();
                tree.write(zone, "name", name);
                tree.write(zone, "energy_uj", energy_uj);
                tree.write(zone, "max_energy_range_uj", "1000000");
            }
            tree
        }

        fn write(&self, zone: &str, file: &str, text: &str) {
            fs::write(self.0.path().join(zone).join(file), format!("{text}\n")).unwrap();
        }

        fn open(&self) -> Result<Rapl, BackendError> {
            Rapl::open(self.0.path())
        }
    }

    fn reason<T>(outcome: Result<T, BackendError>) -> String {
        outcome.map(|_| ()).unwrap_err().to_string()
    }

    fn check(steps: &[(&str, f64)]) {
        let tree = Tree::new(&[("intel-rapl:0", "package-0", "900000")]);
        let mut sensor = tree.open().unwrap();
        assert_eq!(sensor.source(), PowerSource::Rapl);
        for (energy_uj, joules) in steps {
            tree.write("intel-rapl:0", "energy_uj", energy_uj);
            assert_eq!(sensor.joules().unwrap(), *joules, "after {energy_uj}");
        }
    }

    #[test]
    fn joules_count_from_opening() {
        check(&[("900000", 0.0), ("950000", 0.05), ("1000000", 0.1)]);
    }

    #[test]
    fn a_counter_that_has_passed_its_range_goes_on() {
        check(&[("950000", 0.05), ("20000", 0.12), ("500000", 0.6), ("990000", 1.09), ("10000", 1.11)]);
    }

    #[test]
    fn a_counter_that_was_reset_shows_what_was_used_since() {
        check(&[("400", 0.1004), ("300000", 0.4), ("70000", 0.47)]);
    }

    #[test]
    fn packages_count_once_and_their_parts_do_not() {
        let tree = Tree::new(&[
            ("intel-rapl:0", "package-0", "0"),
            ("intel-rapl:0:0", "core", "0"),
            ("intel-rapl:1", "package-1", "0"),
            ("intel-rapl:2", "psys", "0"),
            ("intel-rapl-mmio:0", "package-0", "0"),
        ]);
        fs::create_dir(tree.0.path().join("intel-rapl")).unwrap();
        let mut sensor = tree.open().unwrap();
        let zones = ["intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:2", "intel-rapl-mmio:0"];
        for (zone, energy_uj) in zones.iter().zip(["1", "20", "300", "4000", "50000"]) {
            tree.write(zone, "energy_uj", energy_uj);
        }
        assert_eq!(sensor.joules().unwrap(), 301e-6);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let missing = reason(Rapl::open("/no/such/folder"));
        assert!(missing.contains("no power sensor: /no/such/folder: "), "{missing}");
        let empty = reason(Tree::new(&[("intel-rapl:0:0", "core", "0")]).open());
        assert!(empty.contains("no package"), "{empty}");
        let tree = Tree::new(&[("intel-rapl:0", "package-0", "0"), ("intel-rapl:1", "package-1", "-5")]);
        let garbage = reason(tree.open());
        assert!(garbage.contains("intel-rapl:1/energy_uj: \"-5\" is no number"), "{garbage}");
        fs::remove_file(tree.0.path().join("intel-rapl:1/energy_uj")).unwrap();
        let absent = reason(tree.open());
        assert!(absent.contains("intel-rapl:1/energy_uj: "), "{absent}");
        fs::remove_file(tree.0.path().join("intel-rapl:1/max_energy_range_uj")).unwrap();
        let unbounded = reason(tree.open());
        assert!(unbounded.contains("max_energy_range_uj: "), "{unbounded}");
    }

    #[test]
    fn a_counter_that_breaks_is_an_error_and_no_zero() {
        let tree = Tree::new(&[("intel-rapl:0", "package-0", "0")]);
        let mut sensor = tree.open().unwrap();
        tree.write("intel-rapl:0", "energy_uj", "");
        assert!(reason(sensor.joules()).contains("is no number"));
        fs::remove_file(tree.0.path().join("intel-rapl:0/energy_uj")).unwrap();
        assert!(reason(sensor.joules()).contains("energy_uj: "));
    }
}
