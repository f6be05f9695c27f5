//! What can go wrong between a grammar and a constrained token. Everything here fails closed: no error leaves text
//! unconstrained.

use std::fmt;

/// A place in the source of a grammar, both counted from one; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Errors of grammars. Those of compiling come before the first token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// The source breaks off the notation. Correct it there.
    #[error("{at}: {reason}")]
    Syntax {
        /// Where.
        at: Position,
        /// What was expected, and what was found.
        reason: String,
    },
    /// No rule of this name is defined. Define it, or correct the name.
    #[error("{at}: rule {rule:?} is not defined")]
    UndefinedRule {
        /// Where it is used first.
        at: Position,
        /// Its name.
        rule: String,
    },
    /// Two rules have the same name. Rename one.
    #[error("{at}: rule {rule:?} is defined a second time")]
    DuplicateRule {
        /// The second definition.
        at: Position,
        /// Its name.
        rule: String,
    },
    /// The grammar has no rule `root`, where every text starts. Add one.
    #[error("no rule \"root\" is defined")]
    MissingRoot,
    /// A rule can begin with itself without reading anything. Write the repetition with `*` or as right recursion.
    #[error("{at}: rule {rule:?} is left-recursive")]
    LeftRecursion {
        /// Where it begins with itself, perhaps through others.
        at: Position,
        /// Its name.
        rule: String,
    },
    /// A rule can never end. Give it an alternative without itself.
    #[error("{at}: rule {rule:?} never ends")]
    NeverEnds {
        /// Its definition.
        at: Position,
        /// Its name.
        rule: String,
    },
    /// A token reference does not name one token of the vocabulary. Correct it.
    #[error("{at}: {name} is not a token of this vocabulary")]
    UnknownToken {
        /// Where.
        at: Position,
        /// The reference as written.
        name: String,
    },
    /// A token would match a token reference and a text at the same place. Name a special token, or separate the two.
    #[error("a token reference competes with {with} for the same tokens")]
    AmbiguousToken {
        /// The other one.
        with: String,
    },
    /// A limit of [`crate::GrammarLimits`] is exceeded. Simplify the grammar, or raise the limit.
    #[error("{what}: {found}, at most {limit} are allowed{}", At(.at))]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: usize,
        /// How much there may be.
        limit: usize,
        /// Where, if at one place.
        at: Option<Position>,
    },
    /// A keyword of a JSON schema, or a value of it, that cannot be honoured exactly. Leave it out, or write it otherwise.
    #[error("schema at {pointer:?}: {reason}")]
    Schema {
        /// JSON pointer of the keyword.
        pointer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The constraint engine refuses the grammar, for the reason it gives.
    #[error("the grammar does not compile: {reason}")]
    Refused {
        /// Its message.
        reason: String,
    },
    /// The grammar allows no token where the text stands: no token of the vocabulary continues it, or finding one exceeds the
    /// work limits of a step. The text so far is a beginning of the grammar's, not a whole.
    #[error("no token continues the text under the grammar: {reason}")]
    NoToken {
        /// The engine's message.
        reason: String,
    },
    /// A token was accepted that the mask ruled out. Apply the mask before sampling.
    #[error("token {token} is not allowed here")]
    Rejected {
        /// The token.
        token: u32,
    },
    /// The vocabulary cannot be constrained. Fix the field that it names.
    #[error("vocabulary: {reason}")]
    Vocabulary {
        /// What is wrong with it.
        reason: String,
    },
}

impl GrammarError {
    /// Where in the source the error is, if it has one place.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Syntax { at, .. }
            | Self::UndefinedRule { at, .. }
            | Self::DuplicateRule { at, .. }
            | Self::LeftRecursion { at, .. }
            | Self::NeverEnds { at, .. }
            | Self::UnknownToken { at, .. } => Some(*at),
            Self::TooLarge { at, .. } => *at,
            _ => None,
        }
    }
}

/// ` at LINE, COLUMN`, or nothing.
struct At<'a>(&'a Option<Position>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |at| write!(f, " ({at})"))
    }
}
