//! Finds markers `[n]` in an answer as it streams, and keeps them whole: text is handed out up to a bracket that is still open.

use llama_engine::Citation;

/// The answer so far, as far as citations go.
#[derive(Debug, Default)]
pub(crate) struct CitationText {
    /// From an open bracket on.
    held: String,
    /// Bytes handed out.
    len: usize,
}

impl CitationText {
    /// Adds text of the answer; returns what can be handed out, and the markers that end in it.
    pub(crate) fn push(&mut self, text: &str) -> (String, Vec<Citation>) {
        self.held.push_str(text);
        let mut citations = Vec::new();
        let mut end = 0;
        while let Some(open) = self.held[end..].find('[').map(|at| end + at) {
            let Some(close) = self.held[open..].find(']').map(|at| open + at + 1) else {
                end = open;
                break;
            };
            let marker = &self.held[open..close];
            if let Ok(id) = marker[1..marker.len() - 1].parse() {
                let range = self.len + open..self.len + close;
                citations.push(Citation { id, marker: marker.to_owned(), range });
            }
            end = close;
        }
        let is_open = self.held[end..].starts_with('[');
        let released: String = self.held.drain(..if is_open { end } else { self.held.len() }).collect();
        self.len += released.len();
        (released, citations)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(parts: &[&str]) -> (String, Vec<(u32, String)>) {
        let (mut text, mut citations) = (CitationText::default(), Vec::new());
        let mut out = String::new();
        for part in parts {
            let (released, found) = text.push(part);
            out.push_str(&released);
            for citation in found {
                assert_eq!(out[citation.range.clone()], citation.marker);
                citations.push((citation.id, citation.marker));
            }
        }
        (out, citations)
    }

    #[test]
    fn markers_are_found_across_parts_and_never_cut() {
        let one = |id: u32| (id, format!("[{id}]"));
        assert_eq!(
            stream(&["é is [", "1", "2]", "[3]."]),
            ("é is [12][3].".to_owned(), vec![one(12), one(3)])
        );
        assert_eq!(stream(&["so [1] and [1"]), ("so [1] and ".to_owned(), vec![one(1)]));
        assert_eq!(stream(&["none", " at all"]), ("none at all".to_owned(), vec![]));
    }

    proptest! {
        #[test]
        fn parts_make_no_difference(text in "([a-zé. ]{0,4}(\\[[0-9]{1,2}\\])?){0,6}", cuts in proptest::collection::vec(0usize..40, 0..4)) {
            let mut parts = vec![text.as_str()];
            for cut in cuts {
                let last = parts.pop().unwrap_or_default();
                let cut = last.floor_char_boundary(cut.min(last.len()));
                parts.extend([&last[..cut], &last[cut..]]);
            }
            prop_assert_eq!(stream(&parts), stream(&[&text]));
            prop_assert_eq!(stream(&parts).0, text);
        }
    }
}
