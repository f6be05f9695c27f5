//! Which JSON schemas can be honoured exactly.
//!
//! The engine compiles most of JSON Schema; what it does not know it mostly refuses, but not everything, and some things it reads differently.
//! [`walk`] visits each place of a schema where a schema stands, refuses what would not be honoured exactly, with the keyword's JSON pointer, and
//! spells the rest so that the engine reads it as the specification does: [`ecma`] patterns, [`formats`].
//!
//! Drafts 2020-12 (the default) and 7. `format` is an assertion. Keywords that are in neither draft are refused, but for names that begin with
//! `x-`: a misspelled constraint must not silently constrain nothing.
//!
//! What comes out is valid, and every valid value can come out, but for strings with control characters other than `\b\f\n\r\t` where an object may
//! have names besides those of its schema. Keys come in the order of the schema, those that it does not name last; after a comma and a colon comes one
//! space, and no white space elsewhere.
//!
//! Of the JSON-Schema-Test-Suite, tests by what became of them (a schema that is refused counts with all its tests):
//!
//! | draft | tests | passed | refused | wrong |
//! |---|---|---|---|---|
//! | 2020-12 | required | 575 | 672 | 0 |
//! | 2020-12 | optional | 386 | 263 | 0 |
//! | 7 | required | 553 | 360 | 0 |
//! | 7 | optional | 326 | 226 | 0 |

mod ecma;
mod formats;
mod keywords;
mod walk;

use serde_json::{Value, json};

use super::{GrammarError, Position};
use walk::Checked;

/// Parses a schema, refuses what could not be honoured, and spells the rest for the engine.
pub(super) fn checked(text: &str) -> Result<Value, GrammarError> {
    let schema: Value = serde_json::from_str(text).map_err(|error| {
        let at = Position { line: error.line(), column: error.column() };
        GrammarError::Syntax { at, reason: error.to_string() }
    })?;
    let Checked { mut schema, has_open_names } = walk::walk(schema)?;
    // Where names are open, every string shall have one spelling, lest a property hides from its schema behind another spelling of its name.
    // White space is fixed: small models stall where it is free, and what is fixed is forced.
    let escapes = if has_open_names { "nrbtf\\\"" } else { "nrbtf\\\"u" };
    let options = json!({
        "json_allowed_escapes": escapes,
        "whitespace_flexible": false,
        "item_separator": ", ",
        "key_separator": ": ",
    });
    if let Some(members) = schema.as_object_mut() {
        members.insert("x-guidance".to_owned(), options);
    }
    Ok(schema)
}
