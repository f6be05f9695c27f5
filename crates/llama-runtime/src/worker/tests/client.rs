//! One caller of the scripted worker: what it asks, how it behaves, and what it must hear.

use std::{
    ops::Range,
    sync::{LazyLock, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_channel::{mpsc, oneshot};
use llama_engine::{
    EngineError, Event, FinishReason, KeepContext, Normalization, PinnedContext, Pooling, Priority,
    PromptEvent, Sampling,
};
use llama_models::Checkpoint;
use llama_sampling::{Resolved, Sampler};
use llama_tokenizer::DecodeSpecial;

use super::script::{Faults, next_token};
use crate::{
    answer_text::AnswerText,
    vocabulary::TextSide,
    worker::{Command, EmbedJob, Ends, GenerateJob, Generation, GenerationSpec, PinJob, Worker},
};

static BARD: LazyLock<TextSide> = LazyLock::new(|| {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
    TextSide::open(&Checkpoint::open(dir.as_ref()).unwrap()).unwrap()
});

/// A small generator, the same everywhere (Steele et al., SplitMix64, OOPSLA 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }

    fn is_one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }
}

/// A pinned context and its tokens.
pub(super) type Context = (PinnedContext, Vec<u32>);

/// One stream of a generation.
pub(super) struct Sample {
    events: mpsc::UnboundedReceiver<Result<Event, EngineError>>,
    stop: Option<oneshot::Sender<()>>,
    /// Tokens of the sequence whose log-probabilities shall come, and have not yet.
    scored: Option<Range<usize>>,
    heard: Vec<u32>,
    has_ended: bool,
    was_stopped: bool,
}

pub(super) enum Client {
    Generation {
        prompt: Vec<u32>,
        max_tokens: usize,
        is_late: bool,
        samples: Vec<Sample>,
        kept: Option<Context>,
    },
    Pin {
        prompt: Vec<u32>,
        reply: Option<oneshot::Receiver<Result<PinnedContext, EngineError>>>,
        kept: Option<Context>,
    },
    Embed {
        texts: Vec<Vec<u32>>,
        /// A sum of states that are no numbers is noticed at its end.
        was_struck: bool,
        reply: Option<oneshot::Receiver<Result<Vec<Vec<f32>>, EngineError>>>,
    },
}

fn tokens(random: &mut Random, most: usize) -> Vec<u32> {
    // Few different ones, so that prefixes are shared.
    let start = 10 + 3 * random.below(2) as u32;
    let mut tokens: Vec<u32> = vec![start; random.below(most / 2)];
    tokens.extend((0..1 + random.below(most / 2)).map(|_| 10 + random.below(30) as u32));
    tokens
}

impl Client {
    pub(super) fn ask(worker: &mut Worker, random: &mut Random, contexts: &[Context]) -> Self {
        match random.below(12) {
            0 => {
                let (prompt, (reply, answer)) = (tokens(random, 24), oneshot::channel());
                send(worker, Command::Pin(PinJob { tokens: prompt.clone(), reply }), 1);
                Self::Pin { prompt, reply: Some(answer), kept: None }
            }
            1 | 2 => {
                let texts: Vec<_> = (0..1 + random.below(4)).map(|_| tokens(random, 40)).collect();
                let (reply, answer) = oneshot::channel();
                let job = EmbedJob {
                    texts: texts.clone(),
                    pooling: Pooling::Mean,
                    normalization: Normalization::None,
                    dimensions: 1,
                    priority: Priority(random.below(3) as i8 - 1),
                    reply,
                };
                send(worker, Command::Embed(job), 1);
                Self::Embed { texts, was_struck: false, reply: Some(answer) }
            }
            _ => Self::generate(worker, random, contexts),
        }
    }

    fn generate(worker: &mut Worker, random: &mut Random, contexts: &[Context]) -> Self {
        let mut prompt = Vec::new();
        let (mut context, mut context_len) = (None, 0);
        if let Some((handle, known)) = contexts.get(random.below(8)) {
            let len = 1 + random.below(known.len());
            context = Some((handle.id_in(1).unwrap(), handle.rewind(len).unwrap()));
            prompt.extend(&known[..len]);
            context_len = len;
        }
        let most = if random.is_one_in(40) { 200 } else { 40 };
        let added = tokens(random, most);
        prompt.extend(&added);
        let (max_tokens, is_late) = (1 + random.below(20), random.is_one_in(12));
        let keep = if random.is_one_in(6) { KeepContext::Yes } else { KeepContext::No };
        let prompt_logprobs = random.is_one_in(5).then_some(1);
        let num_samples = if random.is_one_in(4) { 1 + random.below(4) } else { 1 };
        let (generations, samples) = (0..num_samples)
            .map(|_| {
                let ((sender, events), (stop, stopped)) = (mpsc::unbounded(), oneshot::channel());
                let late = is_late.then(|| Instant::now() + Duration::from_micros(random.below(2000) as u64));
                // Cold enough that what is likely is certain.
                let temperature = if random.is_one_in(2) { 0.05 } else { 0.0 };
                let sampling = Sampling { temperature, ..Sampling::default() };
                let generation = Generation::new(GenerationSpec {
                    sampler: Sampler::new(&sampling, &Resolved::default()).unwrap(),
                    guide: None,
                    text: AnswerText::new(BARD.tokenizer.stream_decoder(DecodeSpecial::Skip), Vec::new(), 0),
                    max_tokens,
                    ends: Ends::default(),
                    logprobs: None,
                    keep,
                    prompt_tokens: prompt.len(),
                    events: sender,
                    stop: stopped,
                    arrived: Instant::now(),
                    deadline: late,
                });
                let (stop, heard) = (Some(stop), Vec::new());
                let scored = prompt_logprobs.map(|_| context_len..prompt.len());
                let sample = Sample { events, stop, scored, heard, has_ended: false, was_stopped: false };
                (generation, sample)
            })
            .unzip();
        let priority = Priority(random.below(5) as i8 - 2);
        let job = GenerateJob { tokens: added, context, priority, prompt_logprobs, samples: generations };
        send(worker, Command::Generate(job), num_samples);
        Self::Generation { prompt, max_tokens, is_late, samples, kept: None }
    }

    /// Hears what there is, and sometimes loses patience.
    pub(super) fn listen(&mut self, random: &mut Random, (faults, worker): (&Faults, &Worker)) {
        match self {
            Self::Generation { prompt, max_tokens, is_late, samples, kept } => {
                for sample in &mut *samples {
                    if let Some(context) = sample.listen(prompt, (*max_tokens, *is_late), (faults, worker)) {
                        *kept = Some(context);
                    }
                }
                if random.is_one_in(300) && !samples.is_empty() {
                    samples.remove(random.below(samples.len()));
                }
                if random.is_one_in(300)
                    && let Some(sample) = samples.last_mut()
                    && let Some(stop) = sample.stop.take()
                {
                    sample.was_stopped = true;
                    let _ = stop.send(());
                }
            }
            Self::Pin { prompt, reply, kept } => {
                if let Some(answer) = reply.as_mut().and_then(|reply| reply.try_recv().unwrap()) {
                    *reply = None;
                    match answer {
                        Ok(context) => {
                            assert_eq!(context.len(), prompt.len());
                            *kept = Some((context, prompt.clone()));
                        }
                        Err(error) => check_error(&error, prompt.len(), (faults, worker)),
                    }
                } else if random.is_one_in(300) {
                    *reply = None;
                }
            }
            Self::Embed { texts, was_struck, reply } => {
                *was_struck |= faults.has_struck;
                if let Some(answer) = reply.as_mut().and_then(|reply| reply.try_recv().unwrap()) {
                    *reply = None;
                    let expected: Vec<_> = texts.iter().map(|text| vec![mean(text)]).collect();
                    let longest = texts.iter().map(Vec::len).max().unwrap();
                    match answer {
                        Ok(vectors) => assert_eq!(vectors, expected),
                        Err(EngineError::Model(error)) => assert!(*was_struck, "{error:?} without a fault"),
                        Err(error) => check_error(&error, longest, (faults, worker)),
                    }
                } else if random.is_one_in(300) {
                    *reply = None;
                }
            }
        }
    }

    pub(super) fn take_context(&mut self) -> Option<Context> {
        match self {
            Self::Generation { kept, .. } | Self::Pin { kept, .. } => kept.take(),
            Self::Embed { .. } => None,
        }
    }

    /// Whether all of a generation came.
    pub(super) fn is_answered(&self) -> bool {
        match self {
            Self::Generation { samples, max_tokens, .. } => {
                !samples.is_empty() && samples.iter().all(|sample| sample.heard.len() == *max_tokens)
            }
            Self::Pin { .. } | Self::Embed { .. } => false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Generation { samples, .. } => samples.iter().all(|sample| sample.has_ended),
            Self::Pin { reply, .. } => reply.is_none(),
            Self::Embed { reply, .. } => reply.is_none(),
        }
    }
}

impl Sample {
    fn listen(
        &mut self,
        prompt: &[u32],
        (max_tokens, is_late): (usize, bool),
        now: (&Faults, &Worker),
    ) -> Option<Context> {
        let mut kept = None;
        while let Ok(event) = self.events.try_recv() {
            assert!(!self.has_ended, "something after the end: {event:?}");
            match event {
                Ok(Event::Prompt(event)) => {
                    let scored = self.scored.take().expect("once, to whom asked for it");
                    check_scores(prompt, scored, &event);
                }
                Ok(Event::Token(token)) => {
                    assert!(self.scored.is_none(), "a token before the prompt");
                    self.heard.push(token.id);
                }
                Ok(Event::Citation(citation)) => panic!("nobody asked for {citation:?}"),
                Ok(Event::Finished(end)) => {
                    self.has_ended = true;
                    let sequence = [prompt, &self.heard].concat();
                    match end.reason {
                        FinishReason::MaxTokens => assert_eq!(self.heard.len(), max_tokens),
                        FinishReason::Interrupted => assert!(self.was_stopped),
                        FinishReason::Deadline => assert!(is_late),
                        other => panic!("{other:?}"),
                    }
                    assert_eq!(end.usage.completion_tokens, self.heard.len());
                    kept = end.context.map(|context| (context, sequence));
                }
                Err(error) => {
                    self.has_ended = true;
                    check_error(&error, prompt.len() + self.heard.len(), now);
                }
            }
        }
        for len in 0..self.heard.len() {
            let so_far = [prompt, &self.heard[..len]].concat();
            assert_eq!(self.heard[len], next_token(&so_far), "token {len} after {prompt:?}");
        }
        if let Some((context, sequence)) = &kept {
            assert_eq!(context.len(), sequence.len());
        }
        kept
    }
}

/// The script's favourite is the most likely token, and the prompt's own token is as likely as it is.
fn check_scores(prompt: &[u32], scored: Range<usize>, event: &PromptEvent) {
    assert_eq!(event.tokens.len(), scored.len());
    for (position, token) in scored.zip(&event.tokens) {
        assert_eq!(token.id, prompt[position]);
        let Some(entries) = &token.logprobs else {
            assert_eq!(position, 0, "only the first token has nothing before it");
            continue;
        };
        let favourite = next_token(&prompt[..position]);
        assert_eq!([entries[0].id, entries[1].id], [prompt[position], favourite], "at {position}");
        assert_eq!(entries[0].logprob == entries[1].logprob, prompt[position] == favourite);
    }
}

/// An error must have its reason: a fault in this step, or too few blocks.
fn check_error(error: &EngineError, len: usize, (faults, worker): (&Faults, &Worker)) {
    match error {
        EngineError::Model(_) => assert!(faults.has_struck, "{error:?} without a fault"),
        EngineError::DoesNotFit { needed_blocks, available_blocks, total_blocks } => {
            assert!(needed_blocks > available_blocks, "{error:?}");
            assert!(*needed_blocks <= len.div_ceil(super::BLOCK_LEN), "{error:?}");
            assert_eq!(*total_blocks, worker.stats().cache.total_blocks);
        }
        other => panic!("{other:?}"),
    }
}

/// The mean of the script's states.
fn mean(text: &[u32]) -> f32 {
    let sum: f32 = (1..=text.len()).map(|len| next_token(&text[..len]) as f32).sum();
    sum * (1.0 / text.len() as f32)
}

fn send(worker: &mut Worker, command: Command, num_places: usize) {
    worker.num_waiting.fetch_add(num_places, Ordering::Relaxed);
    worker.accept(command);
}
