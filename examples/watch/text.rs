//! Figures in words. What a server does not show is left out; where nothing is left, it is unavailable, and never zero.

use super::{Figures, Recent};

/// Who is watched.
pub(crate) fn head(recent: &Recent, figures: Option<&Figures>) -> String {
    match figures {
        Some(now) => format!("{} at {}, the last {:.0} s", now.model, recent.url, now.elapsed_s),
        None => recent.url.clone(),
    }
}

/// What stands above each course.
pub(crate) fn titles(now: &Figures) -> [String; 3] {
    let [median, most] = now.first_token_s.map(|seconds| seconds.map(|seconds| seconds * 1e3));
    [
        line("first token", &[(median, " ms median"), (most, " ms at 95 %")]),
        line("tokens/s", &[(now.tokens_per_s, " generated"), (now.prompt_tokens_per_s, " of prompts")]),
        line("power", &[(now.watts, " W"), (now.joules_per_token, " J for each token generated")]),
    ]
}

/// What stands below them.
pub(crate) fn lines(now: &Figures) -> [String; 4] {
    let percent = |share: Option<f64>| share.map(|share| share * 100.0);
    let ([held, all], [running, waiting]) = (now.blocks, now.sequences);
    [
        line("cache hits", &[(percent(now.hit_rate), " % of the tokens looked up")]),
        line("cache blocks", &[(held, " held"), (all, " in all"), (percent(now.block_share), " % held")]),
        line("sequences", &[(running, " running"), (waiting, " waiting")]),
        line("drafts", &[(percent(now.accepted), " % of their tokens accepted")]),
    ]
}

fn line(name: &str, parts: &[(Option<f64>, &str)]) -> String {
    let known = parts.iter().filter_map(|(value, unit)| value.map(|value| number(value) + unit));
    let known: Vec<String> = known.collect();
    let text = if known.is_empty() { "unavailable".to_owned() } else { known.join(", ") };
    format!("{name:<14}{text}")
}

/// Three digits that count; a dash for what there was nothing of.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let decimals = (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.decimals$}") }
}
