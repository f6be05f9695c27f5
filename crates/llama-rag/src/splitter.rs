//! [`Splitter`]: a document's text to ranges of it, sized in tokens of the embedding model.

use std::{
    fmt,
    future::Future,
    ops::Range,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use llama_engine::LlamaEngine;
use llama_tokenizer::{AddSpecial, ParseSpecial, Tokenizer};
use serde::{Deserialize, Serialize};
use text_splitter::{ChunkConfig, MarkdownSplitter, TextSplitter, TryChunkSizer};

use crate::{
    Format, RagError,
    error::{Result, invalid},
};

/// How long chunks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSettings {
    /// Most tokens of a chunk, counted by the embedding model, special tokens left out.
    pub max_tokens: usize,
    /// Most tokens that a chunk shares with the one before it.
    pub overlap_tokens: usize,
}

impl Default for SplitSettings {
    /// 192 tokens, without overlap: a long paragraph.
    fn default() -> Self {
        Self { max_tokens: 192, overlap_tokens: 0 }
    }
}

/// Counts the tokens of a text, at once.
#[derive(Clone)]
pub struct TokenCounter(Arc<Count>);

type Count = dyn Fn(&str) -> Result<usize> + Send + Sync;

impl TokenCounter {
    /// Counts with a function.
    pub fn new(count: impl Fn(&str) -> Result<usize, RagError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(count))
    }

    /// Counts with a tokenizer: that of the embedding model.
    pub fn of_tokenizer(tokenizer: Arc<Tokenizer>) -> Self {
        Self::new(move |text| Ok(tokenizer.encode(text, AddSpecial::No, ParseSpecial::No)?.len()))
    }

    /// Counts with the engine's tokenizer, which must answer without waiting, as that of a model in this process does. Otherwise each
    /// count is [`RagError::NoTokenCounter`].
    pub fn of_engine<E: LlamaEngine + 'static>(engine: Arc<E>) -> Self {
        Self::new(move |text| {
            let asked = pin!(engine.tokenize(text));
            match asked.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(tokens) => Ok(tokens?.len()),
                Poll::Pending => Err(RagError::NoTokenCounter),
            }
        })
    }

    /// Tokens of the text.
    ///
    /// # Errors
    /// Those of the function or tokenizer.
    pub fn count(&self, text: &str) -> Result<usize> {
        (self.0)(text)
    }
}

impl fmt::Debug for TokenCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCounter")
    }
}

impl TryChunkSizer for &TokenCounter {
    type Error = RagError;

    fn try_size(&self, chunk: &str) -> Result<usize> {
        self.count(chunk)
    }
}

/// Cuts texts where sections, paragraphs and sentences end, and within those only where nothing else fits.
///
/// ```
/// use llama_rag::{Format, SplitSettings, Splitter, TokenCounter};
///
/// let words = TokenCounter::new(|text| Ok(text.split_whitespace().count()));
/// let splitter = Splitter::new(SplitSettings { max_tokens: 6, overlap_tokens: 0 }, words)?;
/// let text = "# Tides\n\nThe Moon pulls.\n\n# Winds\n\nThe Sun warms the air.";
/// let ranges = splitter.split(text, Format::Markdown)?;
/// let chunks: Vec<&str> = ranges.into_iter().map(|range| &text[range]).collect();
/// assert_eq!(chunks, ["# Tides\n\nThe Moon pulls.", "# Winds", "The Sun warms the air."]);
/// # Ok::<(), llama_rag::RagError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Splitter {
    settings: SplitSettings,
    counter: TokenCounter,
}

impl Splitter {
    /// Cuts to these sizes.
    ///
    /// # Errors
    /// [`RagError::InvalidSetting`] if chunks were empty or the overlap as long as they are.
    pub fn new(settings: SplitSettings, counter: TokenCounter) -> Result<Self> {
        let SplitSettings { max_tokens, overlap_tokens } = settings;
        if max_tokens == 0 {
            return Err(invalid("max_tokens", "0, expected at least 1"));
        }
        if overlap_tokens >= max_tokens {
            let reason = format!("{overlap_tokens}, expected less than the {max_tokens} of a chunk");
            return Err(invalid("overlap_tokens", reason));
        }
        Ok(Self { settings, counter })
    }

    /// Byte ranges of the text, rising; white space around them is left out. Without overlap they are disjoint.
    ///
    /// # Errors
    /// If tokens cannot be counted.
    pub fn split(&self, text: &str, format: Format) -> Result<Vec<Range<usize>>> {
        let config = ChunkConfig::new(self.settings.max_tokens).with_sizer(&self.counter);
        let config = config
            .with_overlap(self.settings.overlap_tokens)
            .map_err(|error| invalid("overlap_tokens", error.to_string()))?;
        let range = |piece: Result<(usize, &str)>| piece.map(|(start, text)| start..start + text.len());
        match format {
            Format::Plain => TextSplitter::new(config).try_chunk_indices(text).map(range).collect(),
            Format::Markdown => MarkdownSplitter::new(config).try_chunk_indices(text).map(range).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_words(max_tokens: usize, overlap_tokens: usize) -> Result<Splitter> {
        let words = TokenCounter::new(|text| Ok(text.split_whitespace().count()));
        Splitter::new(SplitSettings { max_tokens, overlap_tokens }, words)
    }

    #[test]
    fn sizes_without_sense_are_refused() {
        for (max, overlap) in [(0, 0), (4, 4), (4, 5)] {
            assert!(
                matches!(by_words(max, overlap), Err(RagError::InvalidSetting { .. })),
                "{max} {overlap}"
            );
        }
    }

    #[test]
    fn overlap_repeats_the_end_of_the_chunk_before() {
        let text = "one two. three four. five six. seven eight.";
        let ranges = by_words(4, 2).unwrap().split(text, Format::Plain).unwrap();
        let chunks: Vec<&str> = ranges.iter().map(|range| &text[range.clone()]).collect();
        assert_eq!(chunks, ["one two. three four.", "three four. five six.", "five six. seven eight."]);
    }

    #[test]
    fn a_failing_counter_fails_the_split() {
        let counter = TokenCounter::new(|_| Err(RagError::NoTokenCounter));
        let splitter = Splitter::new(SplitSettings::default(), counter).unwrap();
        assert!(matches!(splitter.split("Some text.", Format::Plain), Err(RagError::NoTokenCounter)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        /// Nothing but white space is lost, nothing is doubled, nothing is too long.
        #[test]
        fn chunks_are_the_text(text in "([a-zäß𝄞#*` \n.]{0,12}[\n ]?){0,20}", max in 1usize..12, markdown: bool) {
            let format = if markdown { Format::Markdown } else { Format::Plain };
            let ranges = by_words(max, 0).unwrap().split(&text, format).unwrap();
            let mut end = 0;
            for range in ranges {
                prop_assert!(text[end..range.start].trim().is_empty(), "lost {:?}", &text[end..range.start]);
                prop_assert!(text[range.clone()].split_whitespace().count() <= max);
                end = range.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }
    }
}
