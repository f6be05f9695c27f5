//! The ratchet: sizes over the limit that are tolerated, and may only shrink.
//!
//! One line of `xtask/tidy-ratchet.txt` is `rule path item value`. The value must be exactly what is
//! measured: larger code is refused, and code that became smaller must say so here.

use super::Finding;

/// Where the ratchet stands.
pub(crate) const PATH: &str = "xtask/tidy-ratchet.txt";

/// A size with its limit.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    /// The rule's name in the ratchet.
    pub(crate) rule: &'static str,
    /// Relative to the root.
    pub(crate) path: String,
    /// What was measured: a function, a type, or `-` for the file.
    pub(crate) item: String,
    /// Where it starts.
    pub(crate) line: usize,
    /// Its size.
    pub(crate) value: usize,
    /// The largest size allowed.
    pub(crate) limit: usize,
    /// What to do about it.
    pub(crate) fix: &'static str,
}

struct Entry<'a> {
    line: usize,
    rule: &'a str,
    path: &'a str,
    item: &'a str,
    value: usize,
}

/// What is over its limit without an entry, and which entries are no longer right.
pub(crate) fn check(measures: &[Measure], ratchet: &str) -> Vec<Finding> {
    let (entries, mut findings) = parse(ratchet);
    let over: Vec<&Measure> = measures.iter().filter(|measure| measure.value > measure.limit).collect();
    for measure in &over {
        if !entries.iter().any(|entry| entry.names(measure)) {
            let what = format!(
                "{} of `{}` is {}, limit {}",
                measure.rule, measure.item, measure.value, measure.limit
            );
            findings.push(Finding::new(&measure.path, measure.line, what, measure.fix));
        }
    }
    for entry in &entries {
        let mut named = over.iter().filter(|measure| entry.names(measure));
        // Methods of one name in several impls of one type share an entry: the largest counts.
        let largest =
            named.next().map(|first| named.fold(first.value, |largest, next| largest.max(next.value)));
        findings.extend(entry.judge(largest));
    }
    findings
}

impl Entry<'_> {
    fn names(&self, measure: &Measure) -> bool {
        self.rule == measure.rule && self.path == measure.path && self.item == measure.item
    }

    fn judge(&self, measured: Option<usize>) -> Option<Finding> {
        let subject = format!("{} of `{}` in {}", self.rule, self.item, self.path);
        let finding = |what: String, fix: &str| Some(Finding::new(PATH, self.line, what, fix));
        match measured {
            None => finding(format!("{subject} is within its limit"), "remove this entry"),
            Some(value) if value < self.value => {
                finding(format!("{subject} shrank from {} to {value}", self.value), "tighten this entry")
            }
            Some(value) if value > self.value => {
                finding(format!("{subject} grew from {} to {value}", self.value), "make it smaller again")
            }
            Some(_) => None,
        }
    }
}

fn parse(ratchet: &str) -> (Vec<Entry<'_>>, Vec<Finding>) {
    let mut entries = Vec::new();
    let mut findings = Vec::new();
    for (i, text) in ratchet.lines().enumerate() {
        let line = i + 1;
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        match (words.as_slice(), words.last().and_then(|value| value.parse().ok())) {
            ([rule, path, item, _], Some(value)) => entries.push(Entry { line, rule, path, item, value }),
            _ => findings.push(Finding::new(PATH, line, "not an entry", "write `rule path item value`")),
        }
    }
    (entries, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(value: usize, ratchet: &str, expected: &str) {
        let measure = Measure {
            rule: "function-lines",
            path: "src/a.rs".to_owned(),
            item: "f".to_owned(),
            line: 3,
            value,
            limit: 70,
            fix: "split it",
        };
        let found: Vec<String> = check(&[measure], ratchet).iter().map(Finding::to_string).collect();
        assert!(found.join("\n").contains(expected), "{found:?} should say {expected:?}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{found:?}");
    }

    #[test]
    fn within_the_limit_nothing_is_needed() {
        check_one(70, "", "");
    }

    #[test]
    fn over_the_limit_an_entry_tolerates_exactly_its_value() {
        check_one(71, "", "src/a.rs:3: function-lines of `f` is 71, limit 70: split it");
        check_one(71, "# why\nfunction-lines src/a.rs f 71\n", "");
        check_one(72, "function-lines src/a.rs f 71", "grew from 71 to 72");
    }

    #[test]
    fn an_entry_must_shrink_with_the_code() {
        check_one(75, "function-lines src/a.rs f 80", "shrank from 80 to 75: tighten");
        check_one(60, "function-lines src/a.rs f 80", "within its limit: remove");
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_refused() {
        check_one(70, "function-lines src/a.rs f", "not an entry");
    }
}
