//! What an answer has to look like: plain data, compiled by the engine.

use std::ops::Range;

use crate::Tool;

/// A grammar that the whole answer follows. The engine refuses one that it cannot honour exactly; it never answers without it.
///
/// An answer is a whole text of the grammar if it ended with [`crate::FinishReason::EndOfText`]. If a stop text, a token limit, a deadline or
/// the caller ended it earlier, it is the beginning of one. A stop text counts wherever it appears, and is cut off as without a grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// llama.cpp's notation, starting at the rule `root`.
    Gbnf(String),
    /// A JSON schema: draft 2020-12, or 7 if `$schema` says so. Keys come in the order of the schema, with one space after
    /// each comma and colon and none elsewhere; `format` is an assertion. A keyword that cannot be honoured exactly is refused.
    JsonSchema(String),
    /// A regular expression for the whole answer, in the syntax of Rust's `regex`.
    Regex(String),
    /// llguidance's dialect of Lark, starting at `start`.
    Lark(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// Free text that cites, see [`CitationGrammar`].
    Citations(CitationGrammar),
    /// Calls of tools, see [`ToolCallGrammar`].
    ToolCalls(ToolCallGrammar),
}

/// Calls whose arguments follow the schemas of their tools. An answer calls from its beginning on, or not at all. A call is
///
/// ```text
/// <tool_call>
/// {"name": "the tool", "arguments": {"as": "its schema says"}}
/// </tool_call>
/// ```
///
/// which is how Qwen2.5 was trained to call, and how models whose chat template knows of no tools are told to; between two calls is a
/// line break. Nothing else in an answer begins with `<tool_call>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCallGrammar {
    /// What may be called; at least one.
    pub tools: Vec<Tool>,
    /// Whether the answer may be free text instead.
    pub choice: ToolCallChoice,
    /// How many calls an answer may have.
    pub count: ToolCallCount,
}

/// Whether an answer may be free text instead of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolCallChoice {
    /// It may.
    #[default]
    Auto,
    /// It calls.
    Required,
}

/// How many calls an answer may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolCallCount {
    /// One after another.
    #[default]
    Many,
    /// One.
    One,
}

/// Free text in which every square bracket is a citation `[n]` of one of the given ids; several stand next to each other, as in `[1][3]`.
/// What was cited comes along as [`crate::Event::Citation`].
///
/// This is what is promised: a marker points to one of the ids, none is malformed, and none is cut off half written. It is not promised that
/// what the id stands for supports the sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CitationGrammar {
    /// Ids that may be cited, such as those of retrieved chunks. An answer from nothing cites nothing.
    pub ids: Vec<u32>,
    /// How many there must be.
    pub required: RequiredCitations,
}

/// Where a citation must stand.
///
/// A model that wants to go on without one is led to it: what the lack forbids, such as the end of the answer, hands its likelihood to the bracket that
/// opens a citation. So an answer ends where the model wants it to end, instead of running on to its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequiredCitations {
    /// Nowhere.
    #[default]
    None,
    /// At least one in the answer.
    PerAnswer,
    /// At least one in each sentence. A sentence ends at `.`, `!` or `?`, or several of them, before white space or the end of the text; its
    /// citations come before that.
    PerSentence,
}

/// One marker in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// The id.
    pub id: u32,
    /// The marker as it stands in the answer: `[n]`.
    pub marker: String,
    /// Where it stands: bytes of the answer's text.
    pub range: Range<usize>,
}
