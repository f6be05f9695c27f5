//! Sets of characters, as sorted ranges.

use std::fmt::{self, Write};

use super::byte_set::ByteSet;

/// Invariant: ranges are sorted, do not touch, and hold no surrogates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CharSet {
    ranges: Vec<(char, char)>,
}

impl CharSet {
    pub(super) fn single(c: char) -> Self {
        Self { ranges: vec![(c, c)] }
    }

    pub(super) fn any() -> Self {
        Self { ranges: vec![('\0', char::MAX)] }
    }

    /// Of ranges in any order, each with its smaller end first.
    pub(super) fn new(mut ranges: Vec<(char, char)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(char, char)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if next(before.1).is_none_or(|after| first <= after) => {
                    before.1 = before.1.max(last)
                }
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }

    pub(super) fn negated(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut start = Some('\0');
        for &(first, last) in &self.ranges {
            if let (Some(start), Some(end)) = (start, previous(first))
                && start <= end
            {
                ranges.push((start, end));
            }
            start = next(last);
        }
        ranges.extend(start.map(|start| (start, char::MAX)));
        Self { ranges }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            if a.0 <= b.1 && b.0 <= a.1 {
                return true;
            }
            if a.1 < b.1 {
                left.next()
            } else {
                right.next()
            };
        }
        false
    }

    /// The bytes with which the characters' UTF-8 begins.
    pub(super) fn first_bytes(&self) -> ByteSet {
        let mut bytes = ByteSet::default();
        let first_byte = |c: char| c.encode_utf8(&mut [0; 4]).as_bytes()[0];
        for &(first, last) in &self.ranges {
            // UTF-8 keeps the order of characters, so first bytes rise with them.
            (first_byte(first)..=first_byte(last)).for_each(|byte| bytes.insert(byte));
        }
        bytes
    }
}

/// As a class of a regular expression.
impl fmt::Display for CharSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for &(first, last) in &self.ranges {
            write!(f, "\\x{{{:x}}}", u32::from(first))?;
            if first != last {
                write!(f, "-\\x{{{:x}}}", u32::from(last))?;
            }
        }
        f.write_char(']')
    }
}

fn next(c: char) -> Option<char> {
    match c {
        '\u{d7ff}' => Some('\u{e000}'),
        _ => char::from_u32(u32::from(c) + 1),
    }
}

fn previous(c: char) -> Option<char> {
    match c {
        '\u{e000}' => Some('\u{d7ff}'),
        _ => char::from_u32(u32::from(c).checked_sub(1)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_where_they_touch() {
        let set = CharSet::new(vec![('d', 'f'), ('a', 'c'), ('x', 'z'), ('y', 'y')]);
        assert_eq!(set.to_string(), r"[\x{61}-\x{66}\x{78}-\x{7a}]");
        assert_eq!(CharSet::new(vec![('\u{d000}', '\u{d7ff}'), ('\u{e000}', '\u{e001}')]).ranges.len(), 1);
    }

    #[test]
    fn negation_is_its_own_inverse() {
        for set in [
            CharSet::any(),
            CharSet::single('\0'),
            CharSet::new(vec![('a', 'f'), ('\u{d7ff}', '\u{10ffff}')]),
        ] {
            assert_eq!(set.negated().negated(), set);
            assert!(!set.intersects(&set.negated()));
        }
        assert!(CharSet::any().negated().is_empty());
    }

    #[test]
    fn first_bytes_are_those_of_utf_8() {
        let bytes = CharSet::new(vec![('a', 'b'), ('é', 'é')]).first_bytes();
        let found: Vec<u8> = (0..=255).filter(|&byte| bytes.contains(byte)).collect();
        assert_eq!(found, [b'a', b'b', 0xc3]);
        assert!(CharSet::new(vec![('a', 'c')]).intersects(&CharSet::new(vec![('c', 'd')])));
    }
}
