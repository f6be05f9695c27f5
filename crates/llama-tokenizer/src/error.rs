//! Everything that can go wrong between text and tokens.
//!
//! Owns [`TokenizerError`]. A variant is one cause and carries the data to act on it; errors of the libraries underneath are chained as
//! sources, never turned into text. It deliberately knows no error of another crate of ours.

use std::path::PathBuf;

/// An error of one of the libraries underneath, as they hand it out.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a tokenizer or a chat template could not be built or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A file could not be read. Check the path and its permissions.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not a tokenizer.json that this version understands. Save the tokenizer again with a current `tokenizers`.
    #[error("not a valid tokenizer.json")]
    TokenizerJson {
        /// What the parser said.
        source: Source,
    },
    /// A tokenizer_config.json is not valid, or one of its fields has the wrong type.
    #[error("not a valid tokenizer_config.json")]
    Config {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The decoder of a tokenizer.json does not say which bytes a token stands for. The model needs another kind of tokenizer.
    #[error("cannot derive the bytes of tokens from the decoder {found:?}; known are {known:?}")]
    UnsupportedDecoder {
        /// The `type` of the decoder, or `null`.
        found: String,
        /// What would be understood.
        known: &'static [&'static str],
    },
    /// The vocabulary holds no token at all: the file is damaged.
    #[error("the vocabulary is empty")]
    EmptyVocabulary,
    /// Ids are spread so far apart that a table by id would waste memory: the file is damaged or hostile.
    #[error("the vocabulary has {num_tokens} tokens but its largest id is {max_id}")]
    SparseIds {
        /// Number of tokens.
        num_tokens: usize,
        /// Largest id.
        max_id: u32,
    },
    /// A GGUF vocabulary of a kind that is not implemented.
    #[error("unknown tokenizer model {found:?}; known are {known:?}")]
    UnknownModel {
        /// The value of `tokenizer.ggml.model`.
        found: String,
        /// What would be understood.
        known: Vec<&'static str>,
    },
    /// A GGUF vocabulary names a pre-tokenizer that is not implemented; guessing would silently produce other tokens.
    #[error("unknown pre-tokenizer {found:?}; known are {known:?}")]
    UnknownPreTokenizer {
        /// The value of `tokenizer.ggml.pre`.
        found: String,
        /// What would be understood.
        known: Vec<&'static str>,
    },
    /// A tokenizer.json has a part that GGUF files cannot express, or that is not in the list of pre-tokenizers.
    #[error("GGUF has no words for the {part} {found}")]
    NoGgufForm {
        /// The field.
        part: &'static str,
        /// Its value, cut short.
        found: String,
    },
    /// Two lists that go together differ in length: the file is damaged.
    #[error("{field} has {found} entries for {expected} tokens")]
    LengthMismatch {
        /// The list.
        field: &'static str,
        /// Number of tokens.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// Two ids share one text, so that text has no single id.
    #[error("tokens {first} and {second} are both {text:?}")]
    DuplicateToken {
        /// The text.
        text: String,
        /// Smaller id.
        first: u32,
        /// Larger id.
        second: u32,
    },
    /// A token's type is none of the six that GGUF defines.
    #[error("token {id} has the type {found}; types are 0 to 6")]
    TokenType {
        /// The token.
        id: u32,
        /// Its type.
        found: i32,
    },
    /// A token's score is not a number, so merges have no order.
    #[error("the score of token {id} is not a number")]
    ScoreNotANumber {
        /// The token.
        id: u32,
    },
    /// A merge is not two pieces separated by one space.
    #[error("merge {index} is {text:?}, not a pair")]
    MergeNotAPair {
        /// Position in the list of merges.
        index: usize,
        /// The merge.
        text: String,
    },
    /// A merge reads or produces a piece that the vocabulary lacks.
    #[error("merge {index} needs the token {piece:?}, which the vocabulary lacks")]
    MergeUnknownToken {
        /// Position in the list of merges.
        index: usize,
        /// The missing piece.
        piece: String,
    },
    /// An SPM vocabulary has neither all 256 byte tokens nor an unknown token, so some text would have no tokens.
    #[error("the vocabulary lacks the byte token {missing} and names no unknown token")]
    NoFallback {
        /// Text of the first missing byte token.
        missing: String,
    },
    /// The id of a special token lies outside the vocabulary.
    #[error("the {role} token is {id}, but there are {num_tokens} tokens")]
    SpecialIdOutOfRange {
        /// `bos`, `eos` or `unk`.
        role: &'static str,
        /// Its id.
        id: u32,
        /// Number of tokens.
        num_tokens: usize,
    },
    /// The vocabulary asks to add a special token that it does not name.
    #[error("the vocabulary wants a {role} token added, but names none")]
    MissingSpecialToken {
        /// `bos` or `eos`.
        role: &'static str,
    },
    /// tokenizer_config.json names a special token that the vocabulary lacks: the two files belong to different models.
    #[error("the {role} token {text:?} is not in the vocabulary")]
    UnknownSpecialToken {
        /// `bos`, `eos` or `unk`.
        role: &'static str,
        /// Its text.
        text: String,
    },
    /// The tokenizer library refused the parts that it was given.
    #[error("the tokenizer cannot be assembled")]
    Assemble {
        /// What it said.
        source: Source,
    },
    /// The tokenizer library failed on a text.
    #[error("the text cannot be tokenized")]
    Encode {
        /// What it said.
        source: Source,
    },
    /// An id that the vocabulary does not contain (models may have more logits than tokens).
    #[error("no token has the id {id}; the vocabulary has {vocab_size}")]
    UnknownToken {
        /// The id.
        id: u32,
        /// [`Tokenizer::vocab_size`](crate::Tokenizer::vocab_size).
        vocab_size: usize,
    },
    /// The model comes without a chat template. Pass one, or choose [`ChatTemplate::chatml`](crate::ChatTemplate::chatml) explicitly.
    #[error("there is no chat template; templates by name: {names:?}")]
    NoTemplate {
        /// Named templates that exist, none of them `default`.
        names: Vec<String>,
    },
    /// The chat template is not valid Jinja.
    #[error("the chat template does not parse")]
    TemplateSyntax {
        /// Where and why.
        source: minijinja::Error,
    },
    /// The chat template failed on this conversation.
    #[error("the chat template fails on this conversation")]
    TemplateRender {
        /// Where and why.
        source: minijinja::Error,
    },
    /// The chat template itself refused the conversation through `raise_exception`; the message is its author's.
    #[error("the chat template refuses this conversation: {message}")]
    TemplateRefused {
        /// What the template says.
        message: String,
    },
    /// The chat template ran for longer than any honest template does.
    #[error("the chat template did not end within {max_instructions} instructions")]
    TemplateEndless {
        /// The limit.
        max_instructions: u64,
    },
    /// The chat template wrote more than any honest conversation needs.
    #[error("the chat template wrote more than {max_bytes} bytes")]
    TemplateTooLong {
        /// The limit.
        max_bytes: usize,
    },
    /// The chat template asks for the date. Set [`RenderOptions::now`](crate::RenderOptions::now).
    #[error("the chat template asks for the date, and none was given")]
    TemplateNeedsDate,
    /// A variable in the extra context would replace one that rendering sets itself.
    #[error("the template variable {name:?} is set by rendering itself")]
    ReservedVariable {
        /// The variable.
        name: String,
    },
}
