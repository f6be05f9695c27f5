//! What a campaign found: as a table, as JSON, and as one page to look at.

mod page;

use std::{fmt::Write, fs, path::Path};

use serde::Serialize;

use crate::campaign::Finding;

/// What was tested.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Header {
    pub(crate) device: String,
    pub(crate) seed: u64,
    pub(crate) num_cases: usize,
}

/// The findings as a Markdown table, failures below it.
pub(crate) fn table(header: &Header, findings: &[Finding]) -> String {
    let mut text = format!("device: {}, seed {}\n\n", header.device, header.seed);
    text += "| operation | dtype | cases | values | worst error / tolerance | median | path proof | |\n";
    text += "|---|---|---|---|---|---|---|---|\n";
    for finding in findings {
        let Finding { property, dtype, num_cases, num_values, median_ratio, .. } = finding;
        let (worst, proof) = (ratio(finding.worst.ratio), proof(finding));
        let ended = if finding.failure.is_some() { "FAILED" } else { "ok" };
        let median = ratio(*median_ratio);
        writeln!(
            text,
            "| {property} | {dtype} | {num_cases} | {num_values} | {worst} | {median} | {proof} | {ended} |"
        )
        .expect("a string takes everything");
    }
    let num_cases: usize = findings.iter().map(|finding| finding.num_cases).sum();
    let failures: Vec<&Finding> = findings.iter().filter(|finding| finding.failure.is_some()).collect();
    writeln!(text, "\n{num_cases} cases, {} of {} rows failed", failures.len(), findings.len())
        .expect("a string takes everything");
    failures.iter().for_each(|finding| text += &failure(finding));
    text
}

/// How often the path ran that was to be tested.
fn proof(finding: &Finding) -> String {
    let Some(proof) = &finding.proof else {
        let dispatches = finding.dispatches.iter().map(|(dispatch, count)| format!("{dispatch} {count}"));
        return dispatches.collect::<Vec<_>>().join(", ");
    };
    format!("{proof} {}", finding.dispatches.get(proof).copied().unwrap_or_default())
}

fn ratio(ratio: f64) -> String {
    if ratio == f64::MAX { "infinite".to_owned() } else { format!("{ratio:.4}") }
}

fn failure(finding: &Finding) -> String {
    let Some(failure) = &finding.failure else { return String::new() };
    format!(
        "\n{} {}, case {}: {}\n  --replay '{}'\n",
        finding.property, finding.dtype, failure.case_idx, failure.reason, failure.job
    )
}

/// Writes `report.json` and `report.html` into `folder`.
pub(crate) fn write(folder: &Path, header: &Header, findings: &[Finding]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let data = serde_json::json!({ "header": header, "findings": findings });
    fs::write(folder.join("report.json"), serde_json::to_string_pretty(&data)?)?;
    fs::write(folder.join("report.html"), page::page(header, findings))?;
    Ok(())
}
