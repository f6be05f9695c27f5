//! What is shown of a server that works, rests, restarts, or is not there.

use std::time::{Duration, Instant};

use super::{Poll, Recent};

const METRICS: &str = include_str!("metrics.txt");

fn metrics(num: u32) -> String {
    METRICS.replace("ALL", &num.to_string()).replace("QUARTER", &(num / 4).to_string())
}

/// The view after looks a second apart; a look without text fails.
fn seen(texts: &[&str]) -> Recent {
    let (mut recent, start) = (Recent::new(&"http://s:1".parse().expect("an address")), Instant::now());
    for (time, text) in (0..).map(|i| start + Duration::from_secs(i)).zip(texts) {
        let scrape = (!text.is_empty()).then(|| text.parse().expect("metrics")).ok_or("gone");
        recent.push(Poll { time, outcome: scrape.map_err(anyhow::Error::msg) });
    }
    recent
}

fn check(texts: &[&str], expected: &[&str]) {
    let text = seen(texts).to_text(80, 20);
    expected.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in:\n{text}"));
}

#[test]
fn a_window_becomes_figures() {
    let texts = [100, 120, 140].map(metrics);
    let check = |parts: &[&str]| check(&[&texts[0], &texts[1], &texts[2]], parts);
    check(&["m at http://s:1, the last 2 s", "50 ms median, 95 ms at 95 %", "tokens/s      20 generated\n"]);
    check(&["power         31.2 W, 0.00100 J for each", "cache hits    25 % of the"]);
    check(&["blocks  3 held, 8 in all\n", "sequences     2 running\n", "drafts        unavailable\n"]);
}

#[test]
fn nothing_is_not_zero() {
    check(&[&metrics(9), &metrics(9)], &["– ms median", "tokens/s      0 generated", "cache hits    – %"]);
    check(&["llama_power_watts NaN"], &["power         unavailable\n", "tokens/s      unavailable\n"]);
}

#[test]
fn a_server_may_go_and_another_come() {
    check(&[], &["http://s:1\n"]);
    check(&[&metrics(9), ""], &["no answer, trying again: gone"]);
    check(&[&metrics(100), "", &metrics(140)], &["the last 2 s", "20 generated"]);
    check(&[&metrics(100), &metrics(140), &metrics(10), &metrics(15)], &["the last 1 s", "5 generated"]);
    assert_eq!(seen(&[&metrics(8), "", &metrics(9)]).courses[1], [Some(0.5), None, None]);
}

#[test]
fn every_size_is_drawn() {
    let recent = seen(&[metrics(100).as_str(); 40]);
    for (width, height) in (0..90).step_by(3).flat_map(|width| (0..30).map(move |height| (width, height))) {
        let num_lines = if width == 0 { 0 } else { usize::from(height) };
        assert_eq!(recent.to_text(width, height).lines().count(), num_lines, "{width} x {height}");
    }
    assert!(recent.to_text(60, 9).contains("generated\npower         31.2 W"), "a line each");
}
