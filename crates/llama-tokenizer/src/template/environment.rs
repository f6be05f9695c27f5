//! The Jinja engine, set up as transformers sets up its own.
//!
//! Owns the settings, the functions and filters that templates expect, and the limits on hostile ones. It deliberately gives templates no
//! access to anything outside: no files, no other templates, no clock.

use std::fmt;
use std::io;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::{LocalTime, json, python};

/// Instructions after which a template counts as endless; a thousand messages take well under a million.
pub(super) const MAX_INSTRUCTIONS: u64 = 10_000_000;
/// Deepest nesting of macros and loops; each level takes stack.
const MAX_DEPTH: usize = 128;

/// Why a function that templates call gave up, kept as the source of the engine's error.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The template called `raise_exception`.
    Raised(String),
    /// The template called `strftime_now`, and there is no date.
    NeedsDate,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raised(message) => f.write_str(message),
            Self::NeedsDate => f.write_str("no date was given"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::InvalidOperation, refusal.to_string()).with_source(refusal)
    }
}

/// Tests that answer as in Python, where the engine's own differ: none is not iterable, text is a sequence, booleans are numbers.
const PYTHON_TESTS: &[PythonTest] = &[
    ("iterable", |value| is_container(value) || value.is_undefined()),
    ("sequence", is_container),
    ("number", |value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool)),
];

/// A test's name and its answer.
type PythonTest = (&'static str, fn(&Value) -> bool);

/// The engine, without a date.
pub(super) fn build() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(false);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|output, _, value| output.write_str(&python::str(value)?).map_err(Error::from));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(MAX_INSTRUCTIONS));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("string", |value: &Value| python::str(value));
    for (name, test) in PYTHON_TESTS {
        environment.add_test(*name, *test);
    }
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", |_: String| Err::<String, _>(Error::from(Refusal::NeedsDate)));
    environment
}

/// `strftime_now` for a given date.
pub(super) fn strftime(now: LocalTime, format: &str) -> Result<String, Error> {
    now.format(format).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("unknown directive in the date format {format:?}"))
    })
}

fn is_container(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
}

fn raise_exception(message: Value) -> Result<Value, Error> {
    Err(Refusal::Raised(python::str(&message)?).into())
}

/// Makes `{% generation %}` an ordinary block.
///
/// transformers uses these blocks to find the assistant's tokens for training; the text between them renders as it is.
pub(super) fn open_generation_blocks(source: &str) -> String {
    let mut opened = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        opened.push_str(before);
        let name_start = tag.len() - tag.trim_start_matches(['-', '+']).trim_start().len();
        let (opening, name_and_rest) = tag.split_at(name_start);
        let (replacement, after) = match generation_tag(name_and_rest) {
            Some((replacement, after)) => (replacement, after),
            None => ("", name_and_rest),
        };
        opened.push_str(opening);
        opened.push_str(replacement);
        rest = after;
    }
    opened.push_str(rest);
    opened
}

/// What a generation tag's name turns into, and what follows the name.
fn generation_tag(tag: &str) -> Option<(&'static str, &str)> {
    let names = [("generation", "if true"), ("endgeneration", "endif")];
    names.into_iter().find_map(|(name, replacement)| {
        let after = tag.strip_prefix(name)?;
        after.trim_start().trim_start_matches(['-', '+']).starts_with("%}").then_some((replacement, after))
    })
}

/// Collects the output up to a limit.
pub(super) struct CappedWriter {
    bytes: Vec<u8>,
    max_bytes: usize,
    is_over: bool,
}

impl CappedWriter {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { bytes: Vec::new(), max_bytes, is_over: false }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn into_text(self) -> String {
        String::from_utf8(self.bytes).expect("the engine writes whole strings, and writes are never cut")
    }
}

impl io::Write for CappedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.max_bytes {
            self.is_over = true;
            return Err(io::Error::other("the template's output is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &str) {
        assert_eq!(open_generation_blocks(source), expected);
    }

    #[test]
    fn generation_blocks_become_ordinary_ones() {
        check("a{%- generation -%}b{% endgeneration %}c", "a{%- if true -%}b{% endif %}c");
        check("{%generation%}{%+ endgeneration +%}", "{%if true%}{%+ endif +%}");
        check("{% if generation %}{% generation_x %}{% é", "{% if generation %}{% generation_x %}{% é");
        check("{%", "{%");
    }
}
