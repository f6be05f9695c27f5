//! The page: a plot of the worst error of each operation against its tolerance, and the table.

use super::{Header, proof, ratio};
use crate::campaign::Finding;

/// Decades of the plot: from 10^-5 to 10^1 times the tolerance.
const DECADES: std::ops::RangeInclusive<i32> = -5..=1;
const LEFT: f64 = 190.0;
const DECADE_WIDTH: f64 = 90.0;
const ROW_HEIGHT: f64 = 20.0;

/// One page of HTML, complete in itself.
pub(crate) fn page(header: &Header, findings: &[Finding]) -> String {
    let title = format!("Parity of {}", escaped(&header.device));
    let style = "body{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse}\
                 td,th{padding:.2em .7em;border-bottom:1px solid #8884;text-align:left}.failed{color:#c00}\
                 pre{white-space:pre-wrap}";
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{style}</style>\n\
         <h1>{title}</h1>\n<p>Seed {}, {} cases of each row. Dots are the worst error of all cases, circles that of the \
         median case, in multiples of the tolerance; right of the line a row fails.</p>\n{}\n{}\n{}</html>\n",
        header.seed,
        header.num_cases,
        plot(findings),
        table(findings),
        failures(findings)
    )
}

fn plot(findings: &[Finding]) -> String {
    let width = LEFT + DECADE_WIDTH * f64::from(DECADES.end() - DECADES.start()) + 20.0;
    let height = ROW_HEIGHT * (findings.len() + 2) as f64;
    let grid = DECADES.map(|decade| {
        let (x, color) = (x(10f64.powi(decade)), if decade == 0 { "#c00" } else { "#8886" });
        let label_y = height - 6.0;
        format!(
            "<line x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{}\" stroke=\"{color}\"/>\
             <text x=\"{x}\" y=\"{label_y}\" text-anchor=\"middle\">1e{decade}</text>",
            height - ROW_HEIGHT
        )
    });
    let rows = findings.iter().enumerate().map(|(i, finding)| {
        let y = ROW_HEIGHT * (i as f64 + 1.0);
        let color = if finding.failure.is_some() { "#c00" } else { "#06c" };
        format!(
            "<text x=\"0\" y=\"{}\">{} {}</text><circle cx=\"{}\" cy=\"{y}\" r=\"5\" fill=\"{color}\"/>\
             <circle cx=\"{}\" cy=\"{y}\" r=\"4\" fill=\"none\" stroke=\"{color}\"/>",
            y + 5.0,
            finding.property,
            finding.dtype,
            x(finding.worst.ratio),
            x(finding.median_ratio)
        )
    });
    let body: String = grid.chain(rows).collect();
    format!("<svg width=\"{width}\" height=\"{height}\" font-size=\"13\" fill=\"currentColor\">{body}</svg>")
}

/// Place of a ratio on the logarithmic axis, at its ends if it lies beyond.
fn x(ratio: f64) -> f64 {
    let (first, last) = (f64::from(*DECADES.start()), f64::from(*DECADES.end()));
    LEFT + (ratio.max(f64::MIN_POSITIVE).log10().clamp(first, last) - first) * DECADE_WIDTH
}

fn table(findings: &[Finding]) -> String {
    let rows = findings.iter().map(|finding| {
        let class = if finding.failure.is_some() { " class=\"failed\"" } else { "" };
        format!(
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            finding.property,
            finding.dtype,
            finding.num_cases,
            finding.num_values,
            ratio(finding.worst.ratio),
            escaped(&proof(finding)),
            escaped(finding.tolerance)
        )
    });
    let rows: String = rows.collect();
    format!(
        "<table><tr><th>operation</th><th>dtype</th><th>cases</th><th>values</th><th>worst / tolerance</th>\
         <th>path proof</th><th>tolerance</th></tr>\n{rows}</table>"
    )
}

fn failures(findings: &[Finding]) -> String {
    let failed = findings.iter().filter_map(|finding| Some((finding, finding.failure.as_ref()?)));
    let texts = failed.map(|(finding, failure)| {
        let (reason, job) = (escaped(&failure.reason), escaped(&failure.job.to_string()));
        format!(
            "<h2>{} {}, case {}</h2><pre>{reason}\n\n{job}</pre>",
            finding.property, finding.dtype, failure.case_idx
        )
    });
    texts.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
