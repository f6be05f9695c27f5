//! What grammars cost with the default model's vocabulary: compiling one, and the masks along a real text.
//!
//! The masks of each text are timed one by one, from a constraint that has seen nothing; their distribution is printed before Criterion's
//! figures. `cargo bench --bench grammar`

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use criterion::{BatchSize, Criterion};
use llama_hub::{Cache, DEFAULT_MODEL, KnownModel};
use llama_rs::{
    engine::{CitationGrammar, Grammar, RequiredCitations},
    models::Checkpoint,
    runtime::grammar_vocabulary,
    sampling::{Constraint, GrammarCompiler, GrammarLimits, GrammarVocabulary},
};

const SCHEMAS: [&str; 6] = ["feature", "invoice", "issue", "review", "tool-call", "tree"];
const CITED: &str = "The cache is paged [1]. Blocks are shared by their tokens, not by a hash of them [2][5], so that no collision hands one \
    prompt another's keys. A step is a flat batch of 3.5 spans on average [5]!";
/// Passes over all texts for the distribution.
const ROUNDS: usize = 20;

/// A grammar and the tokens of a text of it.
struct Case {
    name: String,
    grammar: Grammar,
    tokens: Vec<u32>,
}

fn cases(vocabulary: &GrammarVocabulary) -> anyhow::Result<Vec<Case>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| path.to_owned());
    let case = |name: &str, grammar: Grammar, text: &str| Case {
        name: name.to_owned(),
        grammar,
        tokens: (vocabulary.tokenize)(text.trim_end()),
    };
    let mut cases = Vec::new();
    for name in SCHEMAS {
        let schema = Grammar::JsonSchema(read(&format!("benches/schemas/{name}.schema.json"))?);
        let text = read(&format!("benches/schemas/{name}.json"))?;
        if name == "issue" {
            cases.push(case("json.gbnf", Grammar::Gbnf(read("examples/grammars/json.gbnf")?), &text));
        }
        cases.push(case(name, schema, &text));
    }
    let c = "int main(){int count = 0;while(count<10){count = count + next(count, 2);}return count;}";
    cases.push(case("c.gbnf", Grammar::Gbnf(read("examples/grammars/c.gbnf")?), c));
    let citing = CitationGrammar { ids: vec![1, 2, 5, 12], required: RequiredCitations::PerSentence };
    cases.push(case("citations", Grammar::Citations(citing), CITED));
    Ok(cases)
}

/// Goes along a text, and reports what each mask took.
fn walk(constraint: &mut Constraint, tokens: &[u32], mut report: impl FnMut(Duration)) -> anyhow::Result<()> {
    for (token_idx, &token) in tokens.iter().enumerate() {
        let start = Instant::now();
        let mask = constraint.mask()?;
        report(start.elapsed());
        // Where the text is forced, its canonical division is the one allowed, and the text has been divided as a whole.
        ensure!(mask.is_allowed(token) || mask.num_allowed() == 1, "token {token_idx} is not allowed");
        constraint.accept(token)?;
    }
    ensure!(constraint.may_end(), "the text is not whole");
    Ok(())
}

fn print_distribution(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let micros = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    let mean = times.iter().sum::<Duration>().as_secs_f64() * 1e6 / times.len() as f64;
    println!(
        "{name:<12} {:>6} masks  mean {mean:>7.1} us  p50 {:>6.1}  p90 {:>6.1}  p99 {:>7.1}  most {:>7.1}",
        times.len(),
        micros(0.5),
        micros(0.9),
        micros(0.99),
        micros(1.0),
    );
}

/// Distributions over texts that begin with nothing known, as every request does.
fn measure(compiler: &GrammarCompiler, cases: &[Case]) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for case in cases {
        let start = Instant::now();
        compiler.compile(&case.grammar).with_context(|| case.name.clone())?;
        let (compiled, mut times) = (start.elapsed(), Vec::new());
        for _ in 0..ROUNDS {
            let mut constraint = compiler.compile(&case.grammar)?;
            walk(&mut constraint, &case.tokens, |time| times.push(time))
                .with_context(|| case.name.clone())?;
        }
        all.extend_from_slice(&times);
        print_distribution(&case.name, times);
        println!("{:<12} compiled in {:.2} ms", "", compiled.as_secs_f64() * 1e3);
    }
    print_distribution("all", all);
    Ok(())
}

fn bench(criterion: &mut Criterion, compiler: &GrammarCompiler, cases: &[Case]) {
    let mut group = criterion.benchmark_group("masks along a text");
    for case in cases {
        let new = || compiler.compile(&case.grammar).expect("it has been compiled before");
        group.throughput(criterion::Throughput::Elements(case.tokens.len() as u64));
        group.bench_function(&case.name, |bencher| {
            bencher.iter_batched(
                new,
                |mut constraint| walk(&mut constraint, &case.tokens, |_| {}).expect("it was walked before"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("a constraint from the cache of compiled grammars");
    for case in cases {
        group.bench_function(&case.name, |bencher| bencher.iter(|| compiler.compile(&case.grammar)));
    }
    group.finish();
}

fn main() -> anyhow::Result<()> {
    let known = KnownModel::find(DEFAULT_MODEL).context("the default model is known")?;
    let Some(path) = Cache::from_env().ok().and_then(|cache| cache.find(known)) else {
        eprintln!("skipped: run `cargo xtask model fetch {DEFAULT_MODEL}`");
        return Ok(());
    };
    let vocabulary = grammar_vocabulary(&Checkpoint::open(&path)?)?;
    let cases = cases(&vocabulary)?;
    let (start, num_tokens) = (Instant::now(), vocabulary.pieces.len());
    let compiler = GrammarCompiler::new(vocabulary, GrammarLimits::default())?;
    println!("{num_tokens} tokens laid out in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    measure(&compiler, &cases)?;
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, &compiler, &cases);
    criterion.final_summary();
    Ok(())
}
