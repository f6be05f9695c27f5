//! [`Reader`]: questions about pinned chunks, and cited answers.

use std::sync::Arc;

use llama_engine::{
    CitationGrammar, GenerateRequest, Grammar, KeepContext, LlamaEngine, Prompt, RequiredCitations, Sampling,
    TokenRules,
};

use crate::{
    AnswerEnd, Chunk, CitedAnswer, PinnedSources, RagError, Reading, Style, Turn,
    cited::Said,
    error::{Result, invalid},
};

/// How questions are answered.
#[derive(Clone, Debug)]
pub struct ReaderSettings {
    /// What the model is told before the chunks.
    pub instructions: String,
    /// How it is put into tokens.
    pub style: Style,
    /// Most tokens of all chunks.
    pub max_source_tokens: usize,
    /// Most tokens of an answer.
    pub max_answer_tokens: usize,
    /// Where there must be a citation.
    pub required: RequiredCitations,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What holds for single tokens.
    pub rules: TokenRules,
}

impl Default for ReaderSettings {
    /// Greedy answers of up to 256 tokens with at least one citation, from chunks of up to 1,536.
    fn default() -> Self {
        Self {
            instructions: "Answer the question from these numbered passages, shortly and in your own words. \
                           Cite the passage that you use by its number in square brackets."
                .to_owned(),
            style: Style::Chat,
            max_source_tokens: 1536,
            max_answer_tokens: 256,
            required: RequiredCitations::PerAnswer,
            sampling: Sampling::default(),
            rules: TokenRules::default(),
        }
    }
}

/// Questions about chunks that the model reads once.
///
/// Every bracket in an answer is a citation of a chunk that was read. What is not promised is that the chunk supports the sentence.
pub struct Reader<E> {
    sources: PinnedSources<E>,
    settings: ReaderSettings,
    history: Vec<Turn>,
}

impl<E: LlamaEngine> Reader<E> {
    /// A reader that has read nothing yet. The engine answers; it need not be the one that embeds.
    pub fn new(engine: Arc<E>, settings: ReaderSettings) -> Self {
        let ReaderSettings { instructions, style, max_source_tokens, .. } = &settings;
        let sources = PinnedSources::new(engine, *style, instructions, *max_source_tokens);
        Self { sources, settings, history: Vec::new() }
    }

    /// Has the model read chunks, best first; see [`PinnedSources::read`]. When those that were there make way, what was said about them is
    /// forgotten, too: its numbers mean nothing any more.
    ///
    /// # Errors
    /// Those of the engine; then nothing has changed.
    pub async fn read(&mut self, chunks: impl IntoIterator<Item = Chunk>) -> Result<Reading> {
        let reading = self.sources.read(chunks).await?;
        if reading.restarted {
            self.history.clear();
        }
        Ok(reading)
    }

    /// What has been read.
    pub fn sources(&self) -> &PinnedSources<E> {
        &self.sources
    }

    /// What has been said, as far as it was [remembered](Reader::remember).
    pub fn history(&self) -> &[Turn] {
        &self.history
    }

    /// Answers a question. Only the question itself has to be read, and what was said since the last one.
    ///
    /// # Errors
    /// [`RagError::EmptyQuestion`]; those of the engine.
    pub async fn ask(&self, question: &str) -> Result<CitedAnswer> {
        let stream = self.sources.engine().generate(self.request(question)?).await?;
        Ok(self.cited(stream, Said::default()))
    }

    /// Answers a question several times, of which each has the next seed. At temperature 0 all answers are the same.
    ///
    /// # Errors
    /// [`RagError::EmptyQuestion`]; those of the engine, and if `num_answers` is zero.
    pub async fn ask_n(&self, question: &str, num_answers: usize) -> Result<Vec<CitedAnswer>> {
        let streams = self.sources.engine().generate_n(self.request(question)?, num_answers).await?;
        Ok(streams.into_iter().map(|stream| self.cited(stream, Said::default())).collect())
    }

    /// Goes on with an answer that was [stopped](CitedAnswer::stop), or reached its limit. Nothing is read again but a few tokens: the answer is
    /// taken up where its last piece ended, so that no citation is cut in two. What must be cited must be cited in the rest, too. The end
    /// of the rest has the text of both.
    ///
    /// # Errors
    /// [`RagError::InvalidSetting`] if the answer does not hold its context any more; those of the engine.
    pub async fn resume(&self, interrupted: &AnswerEnd) -> Result<CitedAnswer> {
        let Some(context) = &interrupted.finished.context else {
            return Err(invalid("interrupted", "an answer without its context"));
        };
        let (num_tokens, text_len) = self.last_whole(interrupted).await?;
        let context = context.rewind(context.len() - (interrupted.tokens.len() - num_tokens))?;
        let request = self.constrained(Prompt::Tokens(Vec::new())).with_context(context);
        let stream = self.sources.engine().generate(request).await?;
        Ok(self.cited(stream, interrupted.before(text_len)))
    }

    /// Adds a question and its answer to what later ones see.
    pub fn remember(&mut self, question: impl Into<String>, answer: &AnswerEnd) {
        self.history.push(Turn { question: question.into(), answer: answer.text.trim().to_owned() });
    }

    /// The most tokens of an answer whose text has all been handed out, and the length of that text.
    async fn last_whole(&self, answer: &AnswerEnd) -> Result<(usize, usize)> {
        let new = &answer.text[answer.resumed_at..];
        let said = new.trim_start();
        let start = answer.resumed_at + new.len() - said.len();
        for num_tokens in (1..=answer.tokens.len()).rev() {
            let text = self.sources.engine().detokenize(&answer.tokens[..num_tokens]).await?;
            // Half a character is not text yet.
            let text = text.trim_start();
            if !text.ends_with(char::REPLACEMENT_CHARACTER) && said.starts_with(text) {
                return Ok((num_tokens, start + text.len()));
            }
        }
        Ok((0, answer.resumed_at))
    }

    fn request(&self, question: &str) -> Result<GenerateRequest> {
        if question.trim().is_empty() {
            return Err(RagError::EmptyQuestion);
        }
        Ok(self.constrained(self.sources.prompt(&self.history, question)))
    }

    fn constrained(&self, prompt: Prompt) -> GenerateRequest {
        let ids: Vec<u32> = (1..).take(self.sources.chunks().len()).collect();
        // An answer from nothing cites nothing.
        let required = if ids.is_empty() { RequiredCitations::None } else { self.settings.required };
        let request = GenerateRequest::new(prompt)
            .with_grammar(Grammar::Citations(CitationGrammar { ids, required }))
            .with_max_tokens(self.settings.max_answer_tokens)
            .with_sampling(self.settings.sampling.clone())
            .with_rules(self.settings.rules.clone())
            .with_keep(KeepContext::Yes);
        match self.settings.style {
            Style::Chat => request,
            Style::Plain => request.with_stop("\n\nQuestion:"),
        }
    }

    fn cited(&self, stream: llama_engine::TokenStream, said: Said) -> CitedAnswer {
        CitedAnswer::new(stream, self.sources.chunks().clone(), said)
    }
}
