//! What a caller asks of and gets from `embed`.

use std::str::FromStr;

use crate::{EngineError, Priority, Usage};

/// How the hidden states of a text become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The last one.
    Last,
    /// The first one.
    First,
    /// Their mean, weighted by position: 1 for the first, 2 for the second (Muennighoff, arXiv:2202.08904).
    WeightedMean,
}

/// Whether vectors are scaled to length one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// To Euclidean length 1.
    #[default]
    L2,
    /// Left as they are.
    None,
}

/// What the texts are for. Models trained for retrieval put a prefix of their own before each, see [`EmbeddingInfo`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbedInput {
    /// Neither of the others: no prefix.
    #[default]
    Plain,
    /// Questions that documents are searched with.
    Query,
    /// Documents that are searched.
    Document,
}

impl FromStr for Pooling {
    type Err = EngineError;

    /// `mean`, `weighted-mean`, `first` or `last`.
    fn from_str(name: &str) -> Result<Self, EngineError> {
        match name {
            "mean" => Ok(Self::Mean),
            "weighted-mean" => Ok(Self::WeightedMean),
            "first" => Ok(Self::First),
            "last" => Ok(Self::Last),
            _ => Err(unknown("pooling", name, "mean, weighted-mean, first, last")),
        }
    }
}

impl FromStr for EmbedInput {
    type Err = EngineError;

    /// `plain`, `query` or `document`.
    fn from_str(name: &str) -> Result<Self, EngineError> {
        match name {
            "plain" => Ok(Self::Plain),
            "query" => Ok(Self::Query),
            "document" => Ok(Self::Document),
            _ => Err(unknown("input", name, "plain, query, document")),
        }
    }
}

fn unknown(field: &'static str, name: &str, known: &str) -> EngineError {
    EngineError::InvalidRequest { field, reason: format!("{name:?}, expected one of {known}") }
}

/// How many leading components of a vector are kept: cut after pooling, before normalisation (Matryoshka,
/// arXiv:2205.13147).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimensions {
    /// A size that the model was trained for: one of [`EmbeddingInfo::trained_dimensions`], or all of them.
    Trained(usize),
    /// Any size. How much a vector of a model that was not trained for it still says is for the caller to measure.
    Untrained(usize),
}

impl Dimensions {
    /// The number of components.
    #[expect(clippy::len_without_is_empty, reason = "no vector is empty")]
    pub fn len(self) -> usize {
        match self {
            Self::Trained(len) | Self::Untrained(len) => len,
        }
    }
}

/// What becomes of a text with more tokens than the model reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlong {
    /// [`crate::EngineError::ContextTooLong`], with the numbers.
    #[default]
    Refuse,
    /// Its end is not read. [`Embeddings::cut_texts`] names it.
    Cut,
}

/// Many texts to embed.
#[derive(Clone, Debug, Default)]
pub struct EmbedRequest {
    /// The texts. They are text and nothing else: what spells a special token, such as `[SEP]`, is read as the characters that it is (where
    /// sentence-transformers makes it that token), so no text can end early or pose as two. Of an empty one the special tokens that the model puts
    /// around every text are embedded, as sentence-transformers does.
    pub texts: Vec<String>,
    /// What they are for.
    pub input: EmbedInput,
    /// Put before each text in place of the model's own prefix, such as `query: `.
    pub instruction: Option<String>,
    /// How a text becomes one vector; as the model was trained if absent.
    pub pooling: Option<Pooling>,
    /// How the vector is scaled.
    pub normalization: Normalization,
    /// Leading components to keep; all if absent.
    pub dimensions: Option<Dimensions>,
    /// What becomes of texts that are too long.
    pub overlong: Overlong,
    /// Who goes first when not all can.
    pub priority: Priority,
}

impl EmbedRequest {
    /// Pooled as the model was trained, normalised, at full size; refused if a text is too long.
    pub fn new<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self { texts: texts.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// What an engine's vectors are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingInfo {
    /// Components of a vector that is not cut.
    pub len: usize,
    /// Longest text, in tokens, special ones included.
    pub max_tokens: usize,
    /// How the model was trained to make one vector of a text; the mean if that is not known.
    pub pooling: Pooling,
    /// Put before each text with [`EmbedInput::Query`]. Often empty.
    pub query_prefix: String,
    /// Put before each text with [`EmbedInput::Document`]. Often empty.
    pub document_prefix: String,
    /// Sizes that vectors can be cut to, as far as the model is known to be trained for it.
    pub trained_dimensions: Vec<usize>,
}

impl EmbeddingInfo {
    /// What goes before texts for this use.
    pub fn prefix(&self, input: EmbedInput) -> &str {
        match input {
            EmbedInput::Plain => "",
            EmbedInput::Query => &self.query_prefix,
            EmbedInput::Document => &self.document_prefix,
        }
    }

    /// The size of the vectors of a request.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] for a size that vectors cannot have, or that needs [`Dimensions::Untrained`].
    pub fn dimensions(&self, asked: Option<Dimensions>) -> Result<Dimensions, EngineError> {
        let refused = |reason| Err(EngineError::InvalidRequest { field: "dimensions", reason });
        match asked {
            None => Ok(Dimensions::Trained(self.len)),
            Some(asked) if asked.len() == 0 || asked.len() > self.len => {
                refused(format!("{}, expected 1 to {}", asked.len(), self.len))
            }
            Some(asked) if asked.len() == self.len || self.trained_dimensions.contains(&asked.len()) => {
                Ok(Dimensions::Trained(asked.len()))
            }
            Some(Dimensions::Trained(len)) => refused(format!(
                "{len}: the model is not known to be trained for it (known: {:?}, all {}); Untrained({len}) cuts anyway",
                self.trained_dimensions, self.len
            )),
            Some(untrained @ Dimensions::Untrained(_)) => Ok(untrained),
        }
    }
}

/// One vector per text, in the order of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// # Shapes
    /// `[texts, dimensions]`
    pub vectors: Vec<Vec<f32>>,
    /// Their size, and whether the model was trained for it.
    pub dimensions: Dimensions,
    /// Which texts were not read to their end. Ascending; only with [`Overlong::Cut`].
    pub cut_texts: Vec<usize>,
    /// Tokens read.
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: Option<Dimensions>, expected: Result<Dimensions, &str>) {
        let info = EmbeddingInfo {
            len: 384,
            max_tokens: 256,
            pooling: Pooling::Mean,
            query_prefix: "query: ".to_owned(),
            document_prefix: String::new(),
            trained_dimensions: vec![128],
        };
        match (info.dimensions(asked), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, _) => panic!("{found:?} for {asked:?}"),
        }
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        assert_eq!("weighted-mean".parse::<Pooling>().unwrap(), Pooling::WeightedMean);
        assert_eq!("query".parse::<EmbedInput>().unwrap(), EmbedInput::Query);
        let error = "max".parse::<Pooling>().unwrap_err().to_string();
        assert_eq!(error, "pooling: \"max\", expected one of mean, weighted-mean, first, last");
    }

    #[test]
    fn vectors_are_cut_untrained_only_where_that_is_asked() {
        check(None, Ok(Dimensions::Trained(384)));
        check(Some(Dimensions::Trained(384)), Ok(Dimensions::Trained(384)));
        check(Some(Dimensions::Untrained(384)), Ok(Dimensions::Trained(384)));
        check(Some(Dimensions::Trained(128)), Ok(Dimensions::Trained(128)));
        check(Some(Dimensions::Untrained(128)), Ok(Dimensions::Trained(128)));
        check(Some(Dimensions::Untrained(64)), Ok(Dimensions::Untrained(64)));
        check(Some(Dimensions::Trained(64)), Err("Untrained(64) cuts anyway"));
        check(Some(Dimensions::Untrained(0)), Err("0, expected 1 to 384"));
        check(Some(Dimensions::Trained(385)), Err("385, expected 1 to 384"));
    }
}
