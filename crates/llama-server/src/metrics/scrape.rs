//! Reads back what `/metrics` shows: [`Scrape`] at one time, [`Window`] between two, for programs and tests that watch
//! a server, this one or another that has Prometheus' names.
//!
//! A metric that is not shown is `None`. What nothing has happened for, such as the median of no answers, is NaN, as it is for
//! Prometheus. Series of one name are taken together, whatever other labels tell them apart.

use std::{collections::BTreeMap, error, fmt, str::FromStr, time::Duration};

/// What a server showed at one time. Parse it from the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    series: BTreeMap<Series, f64>,
}

/// A name and its labels, sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    name: String,
    labels: Vec<(String, String)>,
}

impl Scrape {
    /// The sum of the series with this name and these labels; none if there is no number among them.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |series: &Series| labels.iter().all(|(label, value)| series.label(label) == Some(*value));
        let values = self.named(name).filter(|(series, value)| has(series) && !value.is_nan());
        values.map(|(_, value)| value).reduce(|sum, value| sum + value)
    }

    /// A label's value, in the first series that has the label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.series.keys().find_map(|series| series.label(name))
    }

    /// Whether what only rises has fallen or gone since an earlier scrape: another process answers now.
    pub fn restarted_since(&self, earlier: &Self) -> bool {
        let only_rises = |name: &str| ["_total", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
        let mut counters = earlier.series.iter().filter(|(series, _)| only_rises(&series.name));
        counters.any(|(series, before)| self.series.get(series).is_none_or(|now| now < before))
    }

    /// All series with this name.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = (&Series, f64)> {
        let from = Series { name: name.to_owned(), labels: Vec::new() };
        let rest = self.series.range(from..);
        rest.take_while(move |(series, _)| series.name == name).map(|(series, value)| (series, *value))
    }

    /// How many observations of a histogram lie below each bound, and the bounds in order.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (series, count) in self.named(&format!("{name}_bucket")) {
            let Some(bound) = series.label("le").and_then(|bound| bound.parse::<f64>().ok()) else {
                continue;
            };
            match buckets.iter_mut().find(|(other, _)| *other == bound) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }
}

/// What happened between two scrapes of one process: see [`Scrape::restarted_since`].
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Where it begins.
    pub earlier: &'a Scrape,
    /// Where it ends.
    pub later: &'a Scrape,
    /// The time between them.
    pub elapsed: Duration,
}

impl Window<'_> {
    /// By how much a counter rose. One that was not yet shown began at zero.
    pub fn increase(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(self.later.sum(name, labels)? - self.earlier.sum(name, labels).unwrap_or(0.0))
    }

    /// The same per second; NaN if no time has passed.
    pub fn rate(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(self.increase(name, labels)? / self.elapsed.as_secs_f64())
    }

    /// What this share of a histogram's new observations stays below, as Prometheus' `histogram_quantile` estimates it: linear
    /// within a bucket, the first of which begins at zero, and the last finite bound for what lies above it.
    ///
    /// # Panics
    /// If the share is not above 0 and at most 1.
    pub fn quantile(&self, name: &str, share: f64) -> Option<f64> {
        assert!(share > 0.0 && share <= 1.0, "{share} is no share");
        let (earlier, mut buckets) = (self.earlier.buckets(name), self.later.buckets(name));
        for (bound, count) in &mut buckets {
            *count -= earlier.iter().find(|(other, _)| other == bound).map_or(0.0, |(_, before)| *before);
        }
        let rank = share * buckets.last()?.1;
        let place = buckets.iter().position(|(_, count)| *count >= rank)?;
        let (lower, before) = if place > 0 { buckets[place - 1] } else { (0.0, 0.0) };
        let (upper, count) = buckets[place];
        // Nothing new is 0 of 0.
        let estimate = lower + (upper - lower) * (rank - before) / (count - before);
        Some(if upper.is_infinite() && count > before { lower } else { estimate })
    }
}

/// A text that is not Prometheus'. Most likely something else answers at this address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotMetrics {
    /// The first line that cannot be read, from 1.
    pub line: usize,
}

impl fmt::Display for NotMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no metric as Prometheus writes them", self.line)
    }
}

impl error::Error for NotMetrics {}

impl FromStr for Scrape {
    type Err = NotMetrics;

    /// Reads the text form of Prometheus, version 0.0.4. Comments and times are left out.
    fn from_str(text: &str) -> Result<Self, NotMetrics> {
        let lines = text.lines().map(str::trim).zip(1..);
        let lines = lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#'));
        let series = lines.map(|(text, line)| read_line(text).ok_or(NotMetrics { line }));
        Ok(Self { series: series.collect::<Result<_, _>>()? })
    }
}

impl Series {
    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

fn read_line(line: &str) -> Option<(Series, f64)> {
    let (name, rest) = line.split_at(line.find(|c: char| c == '{' || c.is_whitespace())?);
    let (mut labels, rest) = rest.strip_prefix('{').map_or(Some((Vec::new(), rest)), read_labels)?;
    labels.sort();
    let value = rest.split_whitespace().next()?.parse().ok()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
    is_name.then(|| (Series { name: name.to_owned(), labels }, value))
}

/// The labels up to the closing brace, and what follows it.
fn read_labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = read_quoted(quoted)?;
        labels.push((name.trim().to_owned(), value));
        rest = after;
    }
}

/// The text up to the closing quote, and what follows it.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str = r#"
# HELP wait_seconds How long.
# TYPE wait_seconds histogram
wait_seconds_bucket{engine="0",le="0.1"} 4
wait_seconds_bucket{engine="0",le="1"} 6
wait_seconds_bucket{engine="0",le="+Inf"} 6
wait_seconds_sum{engine="0"} 1.5
wait_seconds_count{engine="0"} 6
tokens_total{engine="0"} 100
"#;
    const LATER: &str = r#"
wait_seconds_bucket{engine="0",le="0.1"} 5
wait_seconds_bucket{engine="0",le="1"} 15
wait_seconds_bucket{engine="0",le="+Inf"} 16
wait_seconds_sum{engine="0"} 9
wait_seconds_count{engine="0"} 16
tokens_total{engine="0"} 160
tokens_total{engine="1"} 20 1700000000000
watts NaN
"#;

    fn scrape(text: &str) -> Scrape {
        text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What `check` sees in ten seconds between two texts.
    fn between(earlier: &str, later: &str, check: impl FnOnce(&Window<'_>)) {
        let (earlier, later) = (scrape(earlier), scrape(later));
        check(&Window { earlier: &earlier, later: &later, elapsed: Duration::from_secs(10) });
    }

    #[track_caller]
    fn assert_near(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-12), "{found:?}, not {expected}");
    }

    #[test]
    fn counters_become_rates_over_all_their_series() {
        between(EARLIER, LATER, |window| {
            assert_eq!(window.increase("tokens_total", &[]), Some(80.0));
            assert_eq!(window.rate("tokens_total", &[]), Some(8.0));
            assert_eq!(window.increase("tokens_total", &[("engine", "1")]), Some(20.0), "began at zero");
            assert_eq!(window.increase("tokens", &[]), None, "another metric, whose name begins this one's");
            assert_eq!(window.increase("tokens_total", &[("engine", "2")]), None);
        });
    }

    #[test]
    fn quantiles_are_those_of_the_window() {
        between(EARLIER, LATER, |window| {
            // Ten new observations: one below 0.1, eight more below 1, one above.
            assert_near(window.quantile("wait_seconds", 0.05), 0.05);
            assert_near(window.quantile("wait_seconds", 0.5), 0.1 + 0.9 * 4.0 / 8.0);
            assert_near(window.quantile("wait_seconds", 0.9), 1.0);
            assert_near(window.quantile("wait_seconds", 0.95), 1.0);
            assert_eq!(window.quantile("other_seconds", 0.5), None);
        });
        between("", LATER, |window| assert_near(window.quantile("wait_seconds", 0.25), 0.1 * 4.0 / 5.0));
        between(LATER, LATER, |window| {
            assert!(window.quantile("wait_seconds", 0.5).is_some_and(f64::is_nan));
            assert_eq!(window.rate("tokens_total", &[]), Some(0.0));
        });
    }

    #[test]
    fn what_is_no_number_is_missing() {
        assert_eq!(scrape(LATER).sum("watts", &[]), None);
        assert_eq!(scrape("watts NaN\nwatts{source=\"b\"} 2").sum("watts", &[]), Some(2.0));
    }

    #[test]
    fn a_restart_is_seen_by_counters_alone() {
        let restarted = |earlier: &str, later: &str| scrape(later).restarted_since(&scrape(earlier));
        assert!(!restarted(EARLIER, LATER));
        assert!(!restarted(LATER, LATER));
        assert!(restarted(LATER, EARLIER));
        assert!(restarted("a_total 3\nb_total 1", "a_total 3"), "a new process shows it later");
        assert!(restarted("a_total 3", "a_total 2"));
        assert!(!restarted("running 3", "running 2"));
    }

    #[test]
    fn labels_are_read_with_their_escapes() {
        let odd = scrape("a{b=\"x\\\"y},{\\\\\\n z\", c=\"\",} 1e3\na{} +Inf\n\n  # b{ \n");
        assert_eq!(odd.label("b"), Some("x\"y},{\\\n z"));
        assert_eq!(odd.sum("a", &[("c", "")]), Some(1000.0));
        assert_eq!(odd.sum("a", &[]), Some(f64::INFINITY));
        assert_eq!(odd.label("d"), None);
    }

    #[test]
    fn other_texts_are_refused_with_their_line() {
        let refused =
            |text: &str, line| assert_eq!(text.parse::<Scrape>(), Err(NotMetrics { line }), "{text}");
        refused("<!doctype html>", 1);
        refused("a 1\n{\"error\": {\"code\": 404}}", 2);
        refused("a", 1);
        refused("a one", 1);
        refused("a-b 1", 1);
        refused("a{b=\"c} 1", 1);
        refused("a{b=\"c\\", 1);
        refused("a{b 1", 1);
        assert_eq!("".parse(), Ok(Scrape::default()));
    }
}
