//! From grammars to constraints, for one vocabulary.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use llama_engine::{CitationGrammar, Grammar, RequiredCitations};
use llguidance::{
    Matcher, ParserFactory,
    api::{GrammarWithLexer, ParserLimits, TopLevelGrammar},
    earley::SlicedBiasComputer,
    toktrie::InferenceCapabilities,
};

use super::{
    Constraint, GrammarError, GrammarLimits, GrammarVocabulary, Position,
    citations::{self, Lack},
    gbnf, json_schema, tool_calls,
};

/// Compiled grammars that are kept.
const MOST_CACHED: usize = 32;

/// Compiles grammars for one vocabulary. Made once and shared: it keeps what it compiled last.
///
/// ```
/// use llama_engine::Grammar;
/// use llama_sampling::{GrammarCompiler, GrammarLimits, GrammarVocabulary, VocabularyPiece};
/// use std::sync::Arc;
///
/// // A vocabulary of bytes, and a token that ends.
/// let mut pieces: Vec<_> = (0..=255).map(|byte| VocabularyPiece::Text(vec![byte])).collect();
/// pieces.push(VocabularyPiece::Special("<|end|>".to_owned()));
/// let tokenize = Arc::new(|text: &str| text.bytes().map(u32::from).collect());
/// let vocabulary = GrammarVocabulary { pieces, end_tokens: vec![256], tokenize };
///
/// let compiler = GrammarCompiler::new(vocabulary, GrammarLimits::default())?;
/// let mut constraint = compiler.compile(&Grammar::Gbnf(r#"root ::= "yes" | "no""#.to_owned()))?;
/// assert_eq!(constraint.mask()?.tokens().collect::<Vec<_>>(), [b'n', b'y'].map(u32::from));
/// constraint.accept(u32::from(b'n'))?;
/// assert_eq!(constraint.forced(), [u32::from(b'o')]);
/// # Ok::<(), llama_sampling::GrammarError>(())
/// ```
pub struct GrammarCompiler {
    vocabulary: GrammarVocabulary,
    factory: ParserFactory,
    limits: GrammarLimits,
    lack: OnceLock<Arc<Lack>>,
    /// The most recently used last.
    cache: Mutex<VecDeque<(Grammar, Constraint)>>,
}

impl GrammarCompiler {
    /// Lays the vocabulary out for the constraint engine; takes a fraction of a second for 50,000 tokens.
    ///
    /// # Errors
    /// [`GrammarError::Vocabulary`]
    pub fn new(vocabulary: GrammarVocabulary, limits: GrammarLimits) -> Result<Self, GrammarError> {
        let environment = vocabulary.environment()?;
        // Sets of tokens that long lexemes take as a whole; citations rule out square brackets besides.
        let mut slices = SlicedBiasComputer::json_slices();
        slices.push(citations::SLICE.to_owned());
        let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices);
        let mut factory = factory.map_err(|error| GrammarError::Vocabulary { reason: refusal(&error) })?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            max_items_in_row: limits.max_parser_row_items,
            initial_lexer_fuel: limits.max_lexer_build_work,
            step_lexer_fuel: limits.max_lexer_step_work,
            step_max_items: limits.max_parser_step_items,
            max_lexer_states: limits.max_lexer_states,
            max_grammar_size: limits.max_symbols,
            precompute_large_lexemes: true,
            verbose_errors: false,
        };
        Ok(Self { vocabulary, factory, limits, lack: OnceLock::new(), cache: Mutex::default() })
    }

    /// A constraint at the beginning of its text.
    ///
    /// # Errors
    /// [`GrammarError`], which says where the grammar is wrong if it can.
    pub fn compile(&self, source: &Grammar) -> Result<Constraint, GrammarError> {
        if let Some(constraint) = self.cached(source) {
            return Ok(constraint);
        }
        let (found, limit) = (num_bytes(source), self.limits.max_source_bytes);
        if found > limit {
            return Err(GrammarError::TooLarge { what: "bytes of source", found, limit, at: None });
        }
        let grammar = TopLevelGrammar::from_grammar(self.translate(source)?);
        let parser = self.factory.create_parser(grammar).map_err(|error| located(&refusal(&error)))?;
        let mut constraint = Constraint::new(Matcher::new(Ok(parser)), self.lack(source));
        // A grammar that cannot even begin is refused here.
        constraint.mask()?;
        let mut cache = self.lock();
        if cache.len() >= MOST_CACHED {
            cache.pop_front();
        }
        cache.push_back((source.clone(), constraint.clone()));
        drop(cache);
        Ok(constraint.unshared())
    }

    fn cached(&self, source: &Grammar) -> Option<Constraint> {
        let mut cache = self.lock();
        let place = cache.iter().position(|(known, _)| known == source)?;
        let entry = cache.remove(place)?;
        let constraint = entry.1.unshared();
        cache.push_back(entry);
        Some(constraint)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Grammar, Constraint)>> {
        // Entries are put in whole, so a panic elsewhere leaves none half made.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a required citation needs of the vocabulary.
    fn lack(&self, source: &Grammar) -> Option<Arc<Lack>> {
        match source {
            Grammar::Citations(CitationGrammar { required: RequiredCitations::None, .. }) => None,
            Grammar::Citations(_) => {
                Some(self.lack.get_or_init(|| Arc::new(Lack::new(&self.vocabulary))).clone())
            }
            _ => None,
        }
    }

    /// A grammar as the engine takes it.
    fn translate(&self, source: &Grammar) -> Result<GrammarWithLexer, GrammarError> {
        Ok(match source {
            Grammar::Gbnf(text) => {
                GrammarWithLexer::from_lark(gbnf::to_lark(text, &self.limits, &self.vocabulary)?)
            }
            Grammar::Choice(texts) => {
                GrammarWithLexer::from_lark(gbnf::choice_to_lark(texts, &self.vocabulary)?)
            }
            Grammar::JsonSchema(text) => GrammarWithLexer::from_json_schema(json_schema::checked(text)?),
            Grammar::Regex(pattern) => GrammarWithLexer::from_regex(pattern),
            Grammar::Lark(text) => GrammarWithLexer::from_lark(text.clone()),
            Grammar::Citations(rules) => GrammarWithLexer::from_lark(citations::to_lark(rules)?),
            Grammar::ToolCalls(rules) => GrammarWithLexer::from_lark(tool_calls::to_lark(rules)?),
        })
    }
}

impl fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarCompiler").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

/// Bytes of what was written.
fn num_bytes(source: &Grammar) -> usize {
    match source {
        Grammar::Gbnf(text) | Grammar::JsonSchema(text) | Grammar::Regex(text) | Grammar::Lark(text) => {
            text.len()
        }
        Grammar::Choice(texts) => texts.iter().map(String::len).sum(),
        Grammar::Citations(rules) => rules.ids.len() * size_of::<u32>(),
        Grammar::ToolCalls(rules) => rules.tools.iter().map(tool_calls::num_bytes).sum(),
    }
}

/// The engine's message, without what it adds for its own developers.
pub(super) fn refusal(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let end = text.find("\n<").unwrap_or(text.len());
    text[..end].trim().to_owned()
}

/// The engine's error on a Lark grammar: `at LINE(COLUMN): REASON`, followed by the lines around.
fn located(message: &str) -> GrammarError {
    let parse = || {
        let (line, rest) = message.strip_prefix("at ")?.split_once('(')?;
        let (column, rest) = rest.split_once("): ")?;
        let at = Position { line: line.parse().ok()?, column: column.parse().ok()? };
        Some(GrammarError::Syntax { at, reason: rest.lines().next().unwrap_or_default().to_owned() })
    };
    parse().unwrap_or_else(|| GrammarError::Refused { reason: message.to_owned() })
}
