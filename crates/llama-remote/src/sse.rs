//! Server-sent events, decoded as they arrive (WHATWG HTML, section 9.2).
//!
//! Owns the bytes of the event under way, and no more of them than a limit. Chunks may be cut anywhere: inside a
//! character, between CR and LF, in the middle of a field's name. Stricter than browsers in one thing: bytes that are
//! no UTF-8 are an error, since a replacement character would change an answer silently.

use std::collections::VecDeque;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// What the field `event` said; empty if there was none.
    pub(crate) name: String,
    /// The lines of the fields `data`, with line feeds between them.
    pub(crate) data: String,
}

/// Why bytes are no events.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    /// An event has more bytes than anybody needs.
    #[error("an event of more than {limit} bytes")]
    TooLong {
        /// Most bytes of an event.
        limit: usize,
    },
    /// A line is no text.
    #[error("an event that is not UTF-8")]
    NotUtf8,
}

/// Turns bytes into events. Lines that no event follows are held back, and lost at the end of the stream, as the
/// standard wants.
#[derive(Debug)]
pub(crate) struct SseDecoder {
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    is_after_cr: bool,
    is_first_line: bool,
    limit: usize,
}

impl SseDecoder {
    /// For events of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            event: SseEvent::default(),
            has_data: false,
            is_after_cr: false,
            is_first_line: true,
            limit,
        }
    }

    /// Takes the next bytes and appends the events that they complete.
    ///
    /// # Errors
    /// [`SseError`]; nothing can be decoded after one.
    pub(crate) fn push(&mut self, mut bytes: &[u8], events: &mut VecDeque<SseEvent>) -> Result<(), SseError> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.is_after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + self.event.data.len() + part.len() > self.limit {
                return Err(SseError::TooLong { limit: self.limit });
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            self.is_after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.end_line(events)?;
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut VecDeque<SseEvent>) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        let mut line = str::from_utf8(&line).map_err(|_| SseError::NotUtf8)?;
        if std::mem::take(&mut self.is_first_line) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push_back(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            // Comments have no name; ids and reconnection times mean nothing to an answer that cannot be resumed.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<SseEvent>, SseError> {
        let (mut decoder, mut events) = (SseDecoder::new(4096), VecDeque::new());
        for chunk in chunks {
            decoder.push(chunk, &mut events)?;
        }
        Ok(events.into())
    }

    /// Checks the data of all events, whole and byte by byte.
    fn check(text: &str, expected: &[&str]) {
        for chunk_len in [1, text.len().max(1)] {
            let events = decode(text.as_bytes().chunks(chunk_len)).unwrap();
            let data: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
            assert_eq!(data, expected, "{text:?} in chunks of {chunk_len}");
        }
    }

    #[test]
    fn lines_end_in_any_way() {
        for end in ["\n", "\r\n", "\r"] {
            check(&["data: a", "", "data:b", "", ""].join(end), &["a", "b"]);
        }
        check("data: a\r\n\ndata: b\n\r\n", &["a", "b"]);
    }

    #[test]
    fn fields_are_put_together_or_skipped() {
        check("data: a\ndata: b\ndata\n\n", &["a\nb\n"]);
        check(": comment\n\nid: 1\nretry: 3\n\nother: x\ndata:  two spaces\n\n", &[" two spaces"]);
        check("data: {\"a\": \"b:c\"}\n\n", &["{\"a\": \"b:c\"}"]);
        check("\u{feff}data: marked\n\n\u{feff}data: a field of another name\n\n", &["marked"]);
        check("data\n\n", &[""]);
        check("data: déjà 🦙\n\n", &["déjà 🦙"]);
        let named = decode([&b"event: error\ndata: {}\n\ndata: x\n\n"[..]]).unwrap();
        assert_eq!([&*named[0].name, &*named[1].name], ["error", ""]);
    }

    #[test]
    fn an_event_that_breaks_off_is_none() {
        check("data: whole\n\ndata: cut", &["whole"]);
        check("data: whole\n\ndata: cut\n", &["whole"]);
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        assert_eq!(decode([&b"data: \xff\n\n"[..]]), Err(SseError::NotUtf8));
        assert_eq!(decode([&b"data: \xc3"[..], b"\n\n"]), Err(SseError::NotUtf8));
        let line = [b'x'; 1024];
        let endless = std::iter::repeat_n(&line[..], 5);
        assert_eq!(decode(endless), Err(SseError::TooLong { limit: 4096 }));
        let lines = std::iter::repeat_n(&b"data: 0123456789\n"[..], 1000);
        assert_eq!(decode(lines), Err(SseError::TooLong { limit: 4096 }));
        let many = std::iter::repeat_n(&b"data: 0123456789\n\n"[..], 1000);
        assert_eq!(decode(many).unwrap().len(), 1000, "the limit is for one event");
    }

    /// The obvious decoder, for a whole text.
    fn reference(text: &str) -> Vec<SseEvent> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end + 2]);
        let mut events = Vec::new();
        for block in whole.split("\n\n") {
            let lines = || {
                block.lines().map(|line| {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    (name, value.strip_prefix(' ').unwrap_or(value))
                })
            };
            let data: Vec<&str> =
                lines().filter(|(name, _)| *name == "data").map(|(_, value)| value).collect();
            let name = lines().rfind(|(name, _)| *name == "event").map_or("", |(_, value)| value);
            if !data.is_empty() {
                events.push(SseEvent { name: name.to_owned(), data: data.join("\n") });
            }
        }
        events
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            parts in prop::collection::vec(
                prop::sample::select(vec!["data", "event", ":", " ", "\n", "\n\n", "\r\n", "\r", "é", "🦙", "x"]), 0..60),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let text = parts.concat();
            let (mut rest, mut chunks) = (text.as_bytes(), Vec::new());
            for &cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (chunk, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            prop_assert_eq!(decode(chunks).unwrap(), reference(&text));
        }
    }
}
