//! [`PinnedSources`]: chunks that the model has read, in an order that only grows.
//!
//! What costs time before an answer is reading. Keys and values of a token depend on all tokens before it, so only an exact prefix can be reused:
//! chunks that change places with every question would be read anew each time. Here a chunk keeps its place and its number for good;
//! those that come later go behind it, sorted by document and position, not by score. When there is no room behind them, a new list begins.
//!
//! The prefix is shared as tokens of the whole rendered conversation, not of a text that something is glued to: a template may end a message in
//! any way, and a tokenizer may merge across any border. The pin only sees to it that the engine keeps what it has read; the engine finds
//! by itself how many of the tokens are the same.

use std::{collections::BTreeMap, fmt::Write, str::FromStr, sync::Arc};

use llama_engine::{LlamaEngine, Message, PinnedContext, Prompt, Role};
use unicode_segmentation::UnicodeSegmentation;

use crate::{
    Chunk, ChunkId, RagError,
    error::{Result, invalid},
};

/// What stands at the end of a sentence, behind its last word.
const ENDS: [char; 10] = ['.', '!', '?', '…', '。', '！', '？', '"', '”', '’'];

/// How a conversation is put into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// With the model's chat template.
    #[default]
    Chat,
    /// As plain text with `Question:` and `Answer:`, for models without one.
    Plain,
}

impl FromStr for Style {
    type Err = RagError;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "chat" => Ok(Self::Chat),
            "plain" => Ok(Self::Plain),
            other => Err(invalid("style", format!("{other:?}, expected chat or plain"))),
        }
    }
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

/// What reading chunks has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Chunks that were appended.
    pub appended: usize,
    /// Whether those that were there had to make way.
    pub restarted: bool,
}

/// Chunks and the instructions before them, held in the engine's cache.
pub struct PinnedSources<E> {
    engine: Arc<E>,
    style: Style,
    instructions: String,
    /// Their numbers are their places, from 1.
    chunks: Arc<[Chunk]>,
    /// All chunks as the model reads them.
    entries: String,
    max_tokens: usize,
    pin: Option<PinnedContext>,
}

impl<E: LlamaEngine> PinnedSources<E> {
    /// No chunks yet; later as many as take `max_tokens`, counted by this engine, which answers.
    pub fn new(engine: Arc<E>, style: Style, instructions: impl Into<String>, max_tokens: usize) -> Self {
        let (instructions, chunks) = (instructions.into(), Arc::new([]));
        Self { engine, style, instructions, chunks, entries: String::new(), max_tokens, pin: None }
    }

    /// Appends those chunks that are not there yet; those that come first are tried first. If not all of them fit behind what is there, what is
    /// there makes way, and they start a new list. The engine then reads what is new.
    ///
    /// # Errors
    /// Those of the engine; then nothing has changed.
    pub async fn read(&mut self, chunks: impl IntoIterator<Item = Chunk>) -> Result<Reading> {
        let chunks: Vec<Chunk> = chunks.into_iter().collect();
        let (mut kept, mut new, all_fit) = {
            let (new, all_fit) = self.fitting(&chunks, &self.chunks).await?;
            (self.chunks.to_vec(), new, all_fit)
        };
        let restarted = !all_fit && !kept.is_empty();
        if restarted {
            (new, _) = self.fitting(&chunks, &[]).await?;
            kept.clear();
        }
        let appended = new.len();
        if appended > 0 || self.pin.is_none() {
            kept.extend(new);
            let entries = entries(&kept);
            // The old pin is held until the new one is there, so that what they share is not read again.
            self.pin = Some(self.engine.pin(self.render(&entries, &[], "")).await?);
            (self.chunks, self.entries) = (kept.into(), entries);
        }
        Ok(Reading { appended, restarted })
    }

    /// Those chunks that are new behind `known` and fit, by document and position; and whether that is all of the new ones.
    async fn fitting(&self, chunks: &[Chunk], known: &[Chunk]) -> Result<(Vec<Chunk>, bool)> {
        let mut new: BTreeMap<(Arc<str>, ChunkId), Chunk> = BTreeMap::new();
        let mut num_tokens = self.engine.tokenize(&entries(known)).await?.len();
        let mut all_fit = true;
        for chunk in chunks {
            let place = (chunk.source.clone(), chunk.id);
            if new.contains_key(&place) || known.iter().any(|known| known.id == chunk.id) {
                continue;
            }
            let needed = self.engine.tokenize(&entry(known.len() + new.len() + 1, &chunk.text)).await?.len();
            if num_tokens + needed <= self.max_tokens {
                num_tokens += needed;
                new.insert(place, chunk.clone());
            } else {
                all_fit = false;
            }
        }
        Ok((new.into_values().collect(), all_fit))
    }

    /// The engine that has read them.
    pub fn engine(&self) -> &Arc<E> {
        &self.engine
    }

    /// The chunks; the first one has the number 1.
    pub fn chunks(&self) -> &Arc<[Chunk]> {
        &self.chunks
    }

    /// Tokens that the engine holds for them, and for what comes before and after them in every prompt.
    pub fn num_pinned_tokens(&self) -> usize {
        self.pin.as_ref().map_or(0, PinnedContext::len)
    }

    /// What to have the engine continue: the chunks, what was said, and a question.
    pub fn prompt(&self, history: &[Turn], question: &str) -> Prompt {
        self.render(&self.entries, history, question)
    }

    fn render(&self, entries: &str, history: &[Turn], question: &str) -> Prompt {
        let system = format!("{}{entries}", self.instructions);
        match self.style {
            Style::Chat => {
                let turn = |Turn { question, answer }: &Turn| {
                    [Message::new(Role::User, question), Message::new(Role::Assistant, answer)]
                };
                let mut messages = vec![Message::new(Role::System, system)];
                messages.extend(history.iter().flat_map(turn));
                messages.push(Message::new(Role::User, question));
                Prompt::Chat(messages.into())
            }
            Style::Plain => {
                let turn =
                    |Turn { question, answer }: &Turn| format!("\n\nQuestion: {question}\nAnswer: {answer}");
                let history: String = history.iter().map(turn).collect();
                Prompt::Text(format!("{system}{history}\n\nQuestion: {question}\nAnswer:"))
            }
        }
    }
}

/// All chunks as the model reads them.
fn entries(chunks: &[Chunk]) -> String {
    (1..).zip(chunks).map(|(number, chunk)| entry(number, &chunk.text)).collect()
}

/// A chunk as the model reads it: each sentence ends as it would if an answer cited it. A small model finds the number where it has found the
/// words; with one number in front of the whole chunk, it guesses.
fn entry(number: usize, text: &str) -> String {
    let mut marked = "\n\n".to_owned();
    for sentence in text.trim().split_sentence_bounds() {
        let said = sentence.trim_end_matches(|c: char| c.is_whitespace() || ENDS.contains(&c));
        marked.push_str(said);
        if said.contains(char::is_alphanumeric) {
            write!(marked, " [{number}]").expect("a String takes everything");
        }
        marked.push_str(&sentence[said.len()..]);
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_has_its_number_and_nothing_is_lost() {
        let text = "# The bridge\n\nIt is 3.5 m long! \"Is it?\" See (a) and (b).\n---\n長い。新しい";
        let marked = "\n\n# The bridge [2]\n\nIt is 3.5 m long [2]! \"Is it [2]?\" See (a) and (b) [2].\n---\n長い [2]。新しい [2]";
        assert_eq!(entry(2, text), marked);
        assert_eq!(entry(12, " \n "), "\n\n");
    }
}
