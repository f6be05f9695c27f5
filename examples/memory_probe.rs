//! Prints this process's memory at each stage of a model's life, for `cargo xtask memory`. Linux only.
//!
//! One line of JSON a stage, in kilobytes. `opened` is after the headers, `loaded` after `CandleEngine::load`,
//! `first token` after one step; `shared` follows when a line arrives on standard input, for which another process
//! may have mapped the same file by then.

use std::{fs, io};

use anyhow::Context;
use llama_rs::{prelude::*, runtime::LoadStage};

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("expected the path of a checkpoint")?;
    report("started")?;
    futures::executor::block_on(async {
        let on_stage = |stage| match stage {
            // The stage before it is over.
            LoadStage::Tokenizer => print_or_warn("opened"),
            LoadStage::Weights => print_or_warn("tokenizer built"),
            _ => {}
        };
        let engine = CandleEngine::load_with_progress(path, EngineOptions::default(), on_stage).await?;
        report("loaded")?;
        let request = GenerateRequest::new("Once upon a time").with_max_tokens(1);
        engine.generate(request).await?.collect().await?;
        report("first token")?;
        io::stdin().read_line(&mut String::new())?;
        report("shared")
    })
}

fn print_or_warn(stage: &str) {
    if let Err(error) = report(stage) {
        eprintln!("{stage}: {error:#}");
    }
}

fn report(stage: &str) -> anyhow::Result<()> {
    let path = "/proc/self/smaps_rollup";
    let maps = fs::read_to_string(path).with_context(|| format!("{path} (it needs Linux)"))?;
    let kilobytes = |names: &[&str]| -> u64 {
        let fields = maps.lines().filter_map(|line| line.split_once(':'));
        let of_names = fields.filter(|(name, _)| names.contains(name));
        of_names.filter_map(|(_, value)| value.trim().trim_end_matches(" kB").parse::<u64>().ok()).sum()
    };
    println!(
        r#"{{"stage": "{stage}", "resident": {}, "private": {}}}"#,
        kilobytes(&["Rss"]),
        kilobytes(&["Private_Clean", "Private_Dirty"]),
    );
    Ok(())
}
