//! A change to Metal sources as they are compiled, for programs that test tests: a mutant of a kernel needs
//! no build of the program that holds it.
//!
//! `METAL_EMULATOR_SUBSTITUTION` names a file: the text to replace, a line `=======`, and what takes its
//! place. It is applied to every source in which the text stands exactly once.

use std::sync::OnceLock;

use crate::counters;

const VARIABLE: &str = "METAL_EMULATOR_SUBSTITUTION";

struct Substitution {
    from: String,
    to: String,
}

/// The source with the substitution, if there is one for it.
pub(crate) fn apply(source: &str) -> String {
    static SUBSTITUTION: OnceLock<Option<Substitution>> = OnceLock::new();
    match SUBSTITUTION.get_or_init(from_environment) {
        Some(substitution) => substitution.apply(source),
        None => source.to_owned(),
    }
}

/// # Panics
///
/// If the variable is set and what it names cannot be used: a mutant that is not applied proves nothing.
fn from_environment() -> Option<Substitution> {
    let path = std::env::var_os(VARIABLE)?;
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{VARIABLE} names {}: {error}", path.display()));
    let parsed = Substitution::parse(&text);
    Some(parsed.unwrap_or_else(|| panic!("{} has no line `=======`", path.display())))
}

impl Substitution {
    fn parse(text: &str) -> Option<Substitution> {
        let (from, to) = text.split_once("\n=======\n")?;
        Some(Substitution { from: from.to_owned(), to: to.trim_end_matches('\n').to_owned() })
    }

    fn apply(&self, source: &str) -> String {
        if source.matches(&self.from).count() != 1 {
            return source.to_owned();
        }
        counters::count_substitution();
        source.replacen(&self.from, &self.to, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_once_is_replaced() {
        let substitution = Substitution::parse("a b\n=======\nc\n").expect("it has the line");
        assert_eq!(substitution.apply("x a b y"), "x c y");
        assert_eq!(substitution.apply("a b a b"), "a b a b");
        assert!(Substitution::parse("a b").is_none());
    }
}
