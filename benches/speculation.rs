//! What drafting ahead brings, for each drafter and three kinds of text, against the same engine without it: tokens per
//! second of decoding, share of the drafted tokens that were accepted, and how many times as fast.
//!
//! `cargo bench --bench speculation -- qwen code` measures the lines whose names contain each word. Plain and speculating take
//! turns; an answer that differs ends the benchmark.

mod common;

use std::path::{Path, PathBuf};

use common::models;
use futures::executor::block_on;
use llama_hub::{Cache, KnownModel};
use llama_rs::{
    engine::Finished,
    prelude::*,
    runtime::speculation::{DrafterChoice, PromptLookup, SpeculationOptions},
};

const ANSWER_LEN: usize = 128;
const NUM_ROUNDS: usize = 2;

const HARBOUR: &str = "The ferry to the islands leaves the old harbour at seven in the morning. It calls at the \
    lighthouse at eight, takes on the mail and the milk, and goes on to the northern bay, where it lies until noon. In \
    summer a second boat follows at nine; it carries bicycles and dogs, but no cars. Whoever misses both can ask at the \
    blue house beside the chapel, where the pilot lives: he crosses on Tuesdays and Fridays, if the wind allows it, and \
    charges less than the company does.";

/// One kind of text.
struct Text {
    kind: &'static str,
    questions: [&'static str; 3],
    /// What is asked about.
    context: &'static str,
}

const TEXTS: [Text; 3] = [
    Text {
        kind: "chat",
        questions: [
            "Why is the sky blue?",
            "How should I prepare for a job interview?",
            "Tell me about the history of tea.",
        ],
        context: "",
    },
    Text {
        kind: "code",
        questions: [
            "Write a Rust function that reverses the words of a sentence, with tests.",
            "Write a Python class for a bank account with deposit, withdraw and transfer.",
            "Write a JavaScript function that groups objects by a key, and show how to use it.",
        ],
        context: "",
    },
    Text {
        kind: "quoting",
        questions: [
            "Repeat the text above word for word.",
            "Copy the text above, with each sentence on a line of its own.",
            "Write the text above again and correct its spelling, if need be.",
        ],
        context: HARBOUR,
    },
];

/// A model and what drafts for it.
struct Pair {
    name: String,
    model: PathBuf,
    drafter: DrafterChoice,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    println!("{}", common::machine());
    println!("| model, drafter | text | plain | speculating | accepted | times as fast |");
    println!("|---|---|---:|---:|---:|---:|");
    for pair in pairs() {
        let is_wanted =
            |text: &&Text| words.iter().all(|word| format!("{}, {}", pair.name, text.kind).contains(word));
        let texts: Vec<&Text> = TEXTS.iter().filter(is_wanted).collect();
        if texts.is_empty() {
            continue;
        }
        let speculation = Some(SpeculationOptions::new(pair.drafter.clone()));
        let options = EngineOptions { speculation, ..EngineOptions::default() };
        let engine = block_on(CandleEngine::load(&pair.model, options))?;
        texts.into_iter().try_for_each(|text| measure(&engine, &pair.name, text))?;
    }
    Ok(())
}

/// The pairs of models that are there.
fn pairs() -> Vec<Pair> {
    let lookup = DrafterChoice::PromptLookup(PromptLookup::default());
    let mut pairs = Vec::new();
    let mut add = |name: &str, model: &Path, drafter: &DrafterChoice| {
        pairs.push(Pair { name: name.to_owned(), model: model.to_owned(), drafter: drafter.clone() });
    };
    for (name, path) in models().iter().filter(|(name, _)| !name.starts_with("bard")) {
        add(&format!("{name}, prompt lookup"), path, &lookup);
        if !name.ends_with("q4_1") {
            for quantization in Quantization::ALL {
                let drafter = DrafterChoice::Quantized(quantization);
                add(&format!("{name}, itself in {quantization}"), path, &drafter);
            }
        }
    }
    let qwen = |size: &str| {
        let known = KnownModel::find(&format!("qwen2.5-coder-{size}"))?;
        Cache::from_env().ok()?.find(known)
    };
    match (qwen("1.5b"), qwen("0.5b")) {
        (Some(large), Some(small)) => {
            add("qwen 1.5b, qwen 0.5b", &large, &DrafterChoice::Model(small));
            add("qwen 1.5b, prompt lookup", &large, &lookup);
        }
        _ => eprintln!("skipped qwen: run `cargo xtask model fetch qwen2.5-coder-1.5b` and `...-0.5b`"),
    }
    pairs
}

/// Asks all questions, with and without, and prints medians.
fn measure(engine: &CandleEngine, name: &str, text: &Text) -> anyhow::Result<()> {
    let (mut plain, mut fast, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut num_drafted, mut num_accepted) = (0, 0);
    for question in text.questions {
        for round in 1..=NUM_ROUNDS {
            // Another beginning each time: what a drafter has to read of a prompt counts.
            let prompt = format!("Question {round}. {}\n\n{question}", text.context);
            let without = ask(engine, &prompt, Speculation::Off)?;
            let with = ask(engine, &prompt, Speculation::Auto)?;
            anyhow::ensure!(without.tokens == with.tokens, "{name}: another answer to {question:?}");
            let speeds = [&without, &with].map(|answer| {
                let Finished { timings, usage, .. } = &answer.finished;
                timings.decode_tokens_per_second(usage).unwrap_or(f64::NAN)
            });
            plain.push(speeds[0]);
            fast.push(speeds[1]);
            ratios.push(speeds[1] / speeds[0]);
            num_drafted += with.finished.usage.speculation.drafted_tokens;
            num_accepted += with.finished.usage.speculation.accepted_tokens;
        }
    }
    let accepted = 1e2 * num_accepted as f64 / num_drafted.max(1) as f64;
    println!(
        "| {name} | {} | {:.1} | {:.1} | {num_accepted} of {num_drafted}, {accepted:.0} % | {:.2} ({:.2}, {:.2}) |",
        text.kind,
        median(&mut plain),
        median(&mut fast),
        median(&mut ratios),
        ratios[0],
        ratios[ratios.len() - 1],
    );
    Ok(())
}

fn ask(engine: &CandleEngine, prompt: &str, speculation: Speculation) -> anyhow::Result<Completion> {
    let request = GenerateRequest::new([Message::user(prompt.trim())])
        .with_max_tokens(ANSWER_LEN)
        .with_speculation(speculation);
    Ok(block_on(async { engine.generate(request).await?.collect().await })?)
}

/// Leaves the values sorted.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
