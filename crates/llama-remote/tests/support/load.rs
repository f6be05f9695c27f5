//! Load on a server in this process, and what it did to the process.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use llama_engine::{EndOfText, EngineError, Event, FinishReason, GenerateRequest, LlamaEngine, Sampling};
use llama_remote::RemoteEngine;

const PROMPTS: [&str; 6] = [
    "HAMLET.\nTo be, or",
    "The king",
    "O Romeo,",
    "Once upon a time there was a lord",
    "HAMLET.\nTo be, or not to be, that is the question: whether 'tis nobler in the mind to suffer",
    "KING LEAR.\nBlow, winds, and crack your cheeks!",
];
const LENGTHS: [usize; 4] = [3, 12, 40, 120];
const NUM_SEEDS: usize = 4;

/// How much, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Streams at the same time.
    pub(crate) num_streams: usize,
    pub(crate) time: Duration,
}

/// What was asked, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    load_s: f64,
    num_streams: usize,
    num_whole: usize,
    num_left: usize,
    num_stopped: usize,
    num_tokens: usize,
    wrong: Vec<String>,
    first_token_ms: Vec<f64>,
    memory_mb: [f64; 3],
    num_threads: [usize; 2],
    num_tasks: [usize; 2],
}

/// Holds the load, with a client of its own, and looks at the process before and after.
pub(crate) async fn hold(engine: &impl LlamaEngine, url: &str, load: Load) -> Report {
    let expected = Arc::new(expected(engine).await);
    // A round that does not count: pools, buffers and caches fill.
    let mut warm = Report::default();
    ask_all(&expected, url, Load { time: load.time.min(Duration::from_secs(2)), ..load }, &mut warm).await;
    let mut report = Report { num_streams: load.num_streams, ..Report::default() };
    settle().await;
    (report.memory_mb[0], report.num_threads[0], report.num_tasks[0]) = process();
    let start = Instant::now();
    ask_all(&expected, url, load, &mut report).await;
    report.load_s = start.elapsed().as_secs_f64();
    report.memory_mb[1] = process().0;
    settle().await;
    (report.memory_mb[2], report.num_threads[1], report.num_tasks[1]) = process();
    report.wrong.append(&mut warm.wrong);
    report
}

type Expected = HashMap<usize, Vec<u32>>;

fn request(question: usize) -> GenerateRequest {
    let (prompt, rest) = (question % PROMPTS.len(), question / PROMPTS.len());
    let (len, seed) = (LENGTHS[rest % LENGTHS.len()], rest / LENGTHS.len());
    let warm =
        Sampling { temperature: 1.0, top_p: Some(0.95), seed: Some(seed as u64), ..Sampling::default() };
    let sampling = if seed == 0 { Sampling::default() } else { warm };
    let request = GenerateRequest::new(PROMPTS[prompt]).with_max_tokens(len).with_sampling(sampling);
    request.with_end(EndOfText::Ignored)
}

/// Each question's answer, alone.
async fn expected(engine: &impl LlamaEngine) -> Expected {
    let mut answers = HashMap::new();
    for question in 0..PROMPTS.len() * LENGTHS.len() * NUM_SEEDS {
        let answer = engine.generate(request(question)).await.expect("a valid request").collect().await;
        answers.insert(question, answer.expect("it is alone").tokens);
    }
    answers
}

async fn ask_all(expected: &Arc<Expected>, url: &str, load: Load, report: &mut Report) {
    let engine = RemoteEngine::connect(url).await.expect("it listens");
    let end = Instant::now() + load.time;
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..load.num_streams as u64 {
        let (engine, expected) = (engine.clone(), expected.clone());
        tasks.spawn(async move {
            let (mut random, mut own) = (Random(seed), Report::default());
            while Instant::now() < end {
                ask_one(&engine, &expected, &mut random, &mut own).await;
            }
            own
        });
    }
    while let Some(own) = tasks.join_next().await {
        report.add(own.expect("no client panics"));
    }
}

/// Asks one question, and listens to the end, leaves, or stops the answer.
async fn ask_one(engine: &RemoteEngine, expected: &Expected, random: &mut Random, report: &mut Report) {
    let question = random.below(expected.len());
    let whole = &expected[&question];
    let (behaviour, patience) = (random.below(6), random.below(whole.len() + 1));
    let start = Instant::now();
    let mut stream = match engine.generate(request(question)).await {
        Ok(stream) => stream,
        Err(error) => return report.wrong.push(format!("question {question}: {error:?}")),
    };
    let mut tokens = Vec::new();
    let outcome: Result<Option<FinishReason>, EngineError> = loop {
        if behaviour == 0 && tokens.len() == patience {
            break Ok(None);
        }
        if behaviour == 1 && tokens.len() == patience {
            stream.stop();
        }
        match stream.next_event().await {
            Ok(Some(Event::Token(token))) => {
                if tokens.is_empty() {
                    report.first_token_ms.push(start.elapsed().as_secs_f64() * 1e3);
                }
                tokens.push(token.id);
            }
            Ok(Some(Event::Finished(finished))) => break Ok(Some(finished.reason)),
            Ok(_) => break Err(EngineError::Stopped),
            Err(error) => break Err(error),
        }
    };
    report.num_tokens += tokens.len();
    let is_right = match &outcome {
        Ok(None) | Ok(Some(FinishReason::Interrupted)) => whole.starts_with(&tokens),
        Ok(Some(FinishReason::MaxTokens)) => *whole == tokens,
        _ => false,
    };
    match &outcome {
        _ if !is_right => report.wrong.push(format!("question {question}: {outcome:?} after {tokens:?}")),
        Ok(None) => report.num_left += 1,
        Ok(Some(FinishReason::Interrupted)) => report.num_stopped += 1,
        _ => report.num_whole += 1,
    }
}

impl Report {
    fn add(&mut self, other: Self) {
        self.num_whole += other.num_whole;
        self.num_left += other.num_left;
        self.num_stopped += other.num_stopped;
        self.num_tokens += other.num_tokens;
        self.wrong.extend(other.wrong);
        self.first_token_ms.extend(other.first_token_ms);
    }

    /// Fails if an answer was wrong, or something was left behind.
    pub(crate) fn check(&self) {
        assert!(self.wrong.is_empty(), "{} wrong answers, such as {}", self.wrong.len(), self.wrong[0]);
        assert!(self.num_whole > 0 && self.num_left > 0 && self.num_stopped > 0, "{self}");
        let [before, _, after] = self.memory_mb;
        assert!(after < before + 48.0, "memory grew: {self}");
        assert!(self.num_threads[1] <= self.num_threads[0], "threads are left: {self}");
        assert!(self.num_tasks[1] <= self.num_tasks[0] + 2, "tasks are left: {self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut firsts = self.first_token_ms.clone();
        firsts.sort_by(f64::total_cmp);
        let quantile =
            |share: f64| firsts.get((firsts.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        writeln!(f, "{} streams for {:.1} s", self.num_streams, self.load_s)?;
        writeln!(
            f,
            "answers: {} whole, {} left by their clients, {} stopped, {} wrong",
            self.num_whole,
            self.num_left,
            self.num_stopped,
            self.wrong.len()
        )?;
        writeln!(f, "tokens: {}, {:.0} per second", self.num_tokens, self.num_tokens as f64 / self.load_s)?;
        writeln!(f, "first token: {:.0} ms median, {:.0} ms at 99 %", quantile(0.5), quantile(0.99))?;
        let [before, under, after] = self.memory_mb;
        writeln!(f, "memory: {before:.0} MB before, {under:.0} under load, {after:.0} after")?;
        let ([threads, threads_after], [tasks, tasks_after]) = (self.num_threads, self.num_tasks);
        write!(
            f,
            "threads: {threads} before, {threads_after} after; tasks: {tasks} before, {tasks_after} after"
        )
    }
}

/// Lets connections close and tasks end.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1500)).await;
}

/// Resident memory in MB, threads, and tasks of this runtime. Linux alone says the first two.
fn process() -> (f64, usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    (number("VmRSS:") / 1024.0, number("Threads:") as usize, tasks)
}

/// A small generator, the same everywhere (Steele et al., SplitMix64, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }
}
