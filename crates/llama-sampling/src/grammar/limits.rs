//! How large a grammar may be and how much work it may cause. Counted, never timed: a limit must not depend on the machine.

/// Limits of compiling and of each mask. The defaults refuse what would stall a server and pass every grammar that we have met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrammarLimits {
    /// Bytes of the source.
    pub max_source_bytes: usize,
    /// Rules of a GBNF grammar.
    pub max_rules: usize,
    /// Groups inside each other.
    pub max_nesting: usize,
    /// Repetitions that must happen, as in `{m}`; llama.cpp's limit too.
    pub max_required_repetitions: usize,
    /// Repetitions that may happen, as in `{0,n}`, multiplied over repetitions inside each other.
    pub max_repetitions: usize,
    /// Steps of finding out where one lexeme may end and another begin; bounds the time to compile (about 20 million a second).
    pub max_analysis_steps: usize,
    /// Symbols of the compiled grammar.
    pub max_symbols: usize,
    /// Work units of building the lexer (about 50 thousand a millisecond).
    pub max_lexer_build_work: u64,
    /// Work units of the lexer in one mask (about 14 thousand a millisecond).
    pub max_lexer_step_work: u64,
    /// Parser items for one byte of the text: what it can be at this place. In an ambiguous grammar they grow with the text, and the time for
    /// a token with their square.
    pub max_parser_row_items: usize,
    /// Parser items in one mask (about 20 thousand a millisecond).
    pub max_parser_step_items: usize,
    /// States of the lexer over a whole text, one to two kilobytes each.
    pub max_lexer_states: usize,
}

impl Default for GrammarLimits {
    fn default() -> Self {
        Self {
            max_source_bytes: 1 << 20,
            max_rules: 2_000,
            max_nesting: 64,
            max_required_repetitions: 2_000,
            max_repetitions: 100_000,
            max_analysis_steps: 20_000_000,
            max_symbols: 500_000,
            max_lexer_build_work: 1_000_000,
            max_lexer_step_work: 200_000,
            max_parser_row_items: 2_000,
            max_parser_step_items: 50_000,
            max_lexer_states: 250_000,
        }
    }
}
