//! [`Filter`]: which documents a search may find.

use crate::Metadata;

/// Which documents a search may find. Applied before anything is ranked, so a search finds as many as there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// All.
    #[default]
    Everything,
    /// Those whose metadata has this value.
    Equals {
        /// Which.
        key: String,
        /// The value.
        value: String,
    },
    /// Those whose metadata has one of these values.
    OneOf {
        /// Which.
        key: String,
        /// The values.
        values: Vec<String>,
    },
    /// Those whose source is this path, or lies under it: `notes` covers `notes/a.md`, not `notes.md`.
    Under(String),
    /// Those that all of these cover; all documents, if there are none.
    All(Vec<Filter>),
    /// Those that any of these covers; no document, if there are none.
    Any(Vec<Filter>),
    /// Those that this does not cover.
    Not(Box<Filter>),
}

impl Filter {
    /// Those whose metadata has this value.
    pub fn equals(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Equals { key: key.into(), value: value.into() }
    }

    /// Those whose metadata has one of these values.
    pub fn one_of<V: Into<String>>(key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::OneOf { key: key.into(), values: values.into_iter().map(Into::into).collect() }
    }

    /// Those at or under this path.
    pub fn under(path: impl Into<String>) -> Self {
        Self::Under(path.into())
    }

    /// Whether it covers a document.
    pub fn covers(&self, source: &str, metadata: &Metadata) -> bool {
        match self {
            Self::Everything => true,
            Self::Equals { key, value } => metadata.get(key) == Some(value),
            Self::OneOf { key, values } => metadata.get(key).is_some_and(|value| values.contains(value)),
            Self::Under(path) => is_under(source, path.trim_end_matches('/')),
            Self::All(filters) => filters.iter().all(|filter| filter.covers(source, metadata)),
            Self::Any(filters) => filters.iter().any(|filter| filter.covers(source, metadata)),
            Self::Not(filter) => !filter.covers(source, metadata),
        }
    }
}

fn is_under(source: &str, path: &str) -> bool {
    match source.strip_prefix(path) {
        Some(rest) => path.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &Filter, covered: [bool; 3]) {
        let documents = [
            ("notes/tides.md", [("lang", "en"), ("year", "2024")]),
            ("notes.md", [("lang", "de"), ("year", "2024")]),
            ("notes/old/winds.md", [("lang", "fr"), ("year", "1999")]),
        ];
        let found = documents.map(|(source, facts)| {
            let metadata = facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            filter.covers(source, &metadata)
        });
        assert_eq!(found, covered, "{filter:?}");
    }

    #[test]
    fn filters_cover_what_they_say() {
        check(&Filter::Everything, [true, true, true]);
        check(&Filter::equals("lang", "en"), [true, false, false]);
        check(&Filter::equals("author", "en"), [false, false, false]);
        check(&Filter::one_of("lang", ["de", "fr"]), [false, true, true]);
        check(&Filter::under("notes"), [true, false, true]);
        check(&Filter::under("notes/"), [true, false, true]);
        check(&Filter::under("notes/tides.md"), [true, false, false]);
        check(&Filter::under(""), [true, true, true]);
        check(
            &Filter::All(vec![Filter::equals("year", "2024"), Filter::under("notes")]),
            [true, false, false],
        );
        check(&Filter::All(vec![]), [true, true, true]);
        check(
            &Filter::Any(vec![Filter::equals("lang", "en"), Filter::under("notes/old")]),
            [true, false, true],
        );
        check(&Filter::Any(vec![]), [false, false, false]);
        check(&Filter::Not(Box::new(Filter::under("notes"))), [false, true, false]);
    }
}
