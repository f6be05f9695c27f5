//! Patterns: regular expressions of ECMAScript, which JSON Schema uses, spelled for the engine, which has Rust's.
//!
//! The two differ in what `.`, `\s`, `\d` and `\w` mean, in classes, in escapes and in what may be left unescaped, so a pattern is parsed and written
//! anew. What is no regular language (lookaround, back references, word borders) is refused. Code points count, as with ECMAScript's `u` flag.

/// Line terminators, which `.` does not match.
const LINE_ENDS: &str = r"\n\r\u2028\u2029";
const SPACES: &str = r"\t\n\x0b\x0c\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff";

/// A pattern that matches where the given one is found somewhere: anchored, and with what may stand around it.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut parser = Parser { rest: pattern, depth: 0 };
    let mut alternatives = Vec::new();
    loop {
        alternatives.push(parser.outer_alternative()?);
        if !parser.take("|") {
            break;
        }
    }
    match parser.rest.chars().next() {
        None => Ok(format!("^(?:{})$", alternatives.join("|"))),
        Some(c) => Err(format!("unexpected {c:?} in the pattern")),
    }
}

/// Whether a character could only be written as `\u` and four digits, which our grammars leave out.
pub(super) fn is_unwritable(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\u{8}' | '\t' | '\n' | '\u{c}' | '\r')
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    /// An alternative outside of all groups, where anchors may stand at both ends.
    fn outer_alternative(&mut self) -> Result<String, String> {
        let is_anchored = self.take("^");
        let inner = self.sequence()?;
        let before = if is_anchored { "" } else { "(?s:.*)" };
        let after = if self.take("$") { "" } else { "(?s:.*)" };
        Ok(format!("{before}{inner}{after}"))
    }

    fn alternatives(&mut self) -> Result<String, String> {
        let mut alternatives = vec![self.sequence()?];
        while self.take("|") {
            alternatives.push(self.sequence()?);
        }
        Ok(alternatives.join("|"))
    }

    fn sequence(&mut self) -> Result<String, String> {
        let mut sequence = String::new();
        while let Some(c) = self.peek() {
            let atom = match c {
                '|' | ')' | '$' => break,
                '(' => self.group()?,
                '[' => self.class()?,
                '.' => {
                    self.next();
                    format!("[^{LINE_ENDS}]")
                }
                '\\' => self.atom_escape()?,
                '^' => return Err("an anchor inside of the pattern is not supported".to_owned()),
                '*' | '+' | '?' | '{' | '}' | ']' => {
                    return Err(format!("{c:?} has to be escaped in a pattern"));
                }
                c => {
                    self.next();
                    spelled(c)
                }
            };
            sequence.push_str(&atom);
            sequence.push_str(&self.quantifier()?);
        }
        Ok(sequence)
    }

    fn group(&mut self) -> Result<String, String> {
        self.depth += 1;
        if self.depth > 64 {
            return Err("more than 64 groups inside each other".to_owned());
        }
        self.take("(");
        if self.take("?") && !self.take(":") {
            let is_name = self.take("<") && !matches!(self.peek(), Some('=' | '!'));
            let end = self.rest.find('>').filter(|_| is_name);
            let end = end.ok_or("lookaround and flags are not supported")?;
            self.rest = &self.rest[end + 1..];
        }
        let inner = self.alternatives()?;
        if !self.take(")") {
            return Err("a group is not closed, or has an anchor inside".to_owned());
        }
        self.depth -= 1;
        Ok(format!("(?:{inner})"))
    }

    /// Greedy or not matches the same texts.
    fn quantifier(&mut self) -> Result<String, String> {
        let Some(c) = self.peek().filter(|c| matches!(c, '*' | '+' | '?' | '{')) else {
            return Ok(String::new());
        };
        let mut quantifier = c.to_string();
        self.next();
        if c == '{' {
            let end = self.rest.find('}').ok_or("'{' has to be escaped in a pattern")?;
            let count = &self.rest[..end];
            let is_number =
                |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let is_count = match count.split_once(',') {
                None => is_number(count),
                Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
            };
            if !is_count {
                return Err("'{' has to be escaped in a pattern".to_owned());
            }
            quantifier = format!("{{{count}}}");
            self.rest = &self.rest[end + 1..];
        }
        self.take("?");
        Ok(quantifier)
    }

    fn atom_escape(&mut self) -> Result<String, String> {
        let class = self.class_escape()?;
        if let Some(class) = class {
            return Ok(class);
        }
        if matches!(self.rest.as_bytes().get(1), Some(b'b' | b'B' | b'1'..=b'9' | b'k')) {
            return Err("word borders and back references are not supported".to_owned());
        }
        match self.character_escape()? {
            c if is_unwritable(c) => Err(format!("the control character {c:?} cannot be written")),
            c => Ok(spelled(c)),
        }
    }

    /// `\d` and its like.
    fn class_escape(&mut self) -> Result<Option<String>, String> {
        let Some(letter) = self.rest.as_bytes().get(1) else {
            return Ok(None);
        };
        let class = match letter {
            b'd' => "[0-9]".to_owned(),
            b'D' => "[^0-9]".to_owned(),
            b'w' => "[0-9A-Za-z_]".to_owned(),
            b'W' => "[^0-9A-Za-z_]".to_owned(),
            b's' => format!("[{SPACES}]"),
            b'S' => format!("[^{SPACES}]"),
            b'p' | b'P' => {
                let end = self.rest.find('}').filter(|_| self.rest[2..].starts_with('{'));
                let end = end.ok_or("a property is written \\p{...}")?;
                let property = self.rest[..=end].to_owned();
                self.rest = &self.rest[end + 1..];
                return Ok(Some(property));
            }
            _ => return Ok(None),
        };
        self.rest = &self.rest[2..];
        Ok(Some(class))
    }

    /// An escape that is one character.
    fn character_escape(&mut self) -> Result<char, String> {
        self.take("\\");
        let c = self.next().ok_or("a pattern ends with a backslash")?;
        match c {
            't' => Ok('\t'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            'v' => Ok('\u{b}'),
            'f' => Ok('\u{c}'),
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => Ok('\0'),
            'c' => {
                let letter = self.next().filter(char::is_ascii_alphabetic).ok_or("\\c needs a letter")?;
                Ok(char::from(letter as u8 % 32))
            }
            'x' => char::from_u32(self.hex(2)?).ok_or_else(|| "no character".to_owned()),
            'u' => self.unicode_escape(),
            c if c.is_ascii_alphanumeric() => Err(format!("unknown escape \\{c} in a pattern")),
            c => Ok(c),
        }
    }

    fn unicode_escape(&mut self) -> Result<char, String> {
        let wrong = || "an escape of a code point that is no character".to_owned();
        if self.take("{") {
            let end = self.rest.find('}').ok_or_else(wrong)?;
            let value = u32::from_str_radix(&self.rest[..end], 16).map_err(|_| wrong())?;
            self.rest = &self.rest[end + 1..];
            return char::from_u32(value).ok_or_else(wrong);
        }
        let first = self.hex(4)?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(wrong);
        }
        let second = if self.take("\\u") { self.hex(4)? } else { 0 };
        let pair = [first as u16, second as u16];
        char::decode_utf16(pair).next().and_then(Result::ok).filter(|c| c.len_utf16() == 2).ok_or_else(wrong)
    }

    fn hex(&mut self, num_digits: usize) -> Result<u32, String> {
        let digits =
            self.rest.get(..num_digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits =
            digits.ok_or_else(|| format!("expected {num_digits} hexadecimal digits in a pattern"))?;
        self.rest = &self.rest[num_digits..];
        u32::from_str_radix(digits, 16).map_err(|error| error.to_string())
    }

    fn class(&mut self) -> Result<String, String> {
        self.take("[");
        let negation = if self.take("^") { "^" } else { "" };
        let mut class = String::new();
        while !self.take("]") {
            let Some(first) = self.class_atom()? else {
                return Err("a class is not closed".to_owned());
            };
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            match first {
                ClassAtom::Set(set) if is_range => return Err(format!("a range cannot begin with {set}")),
                ClassAtom::Set(set) => class.push_str(&set),
                ClassAtom::Char(first) if is_range => {
                    self.take("-");
                    match self.class_atom()? {
                        Some(ClassAtom::Char(last)) if first <= last => {
                            class.push_str(&format!("{}-{}", spelled(first), spelled(last)));
                        }
                        _ => return Err("a range in a class has no end".to_owned()),
                    }
                }
                ClassAtom::Char(c) => class.push_str(&spelled(c)),
            }
        }
        if class.is_empty() {
            return Err("a class without characters is not supported".to_owned());
        }
        Ok(format!("[{negation}{class}]"))
    }

    fn class_atom(&mut self) -> Result<Option<ClassAtom>, String> {
        if self.peek() != Some('\\') {
            return Ok(self.next().map(ClassAtom::Char));
        }
        if let Some(set) = self.class_escape()? {
            return Ok(Some(ClassAtom::Set(set)));
        }
        if self.take("\\b") {
            return Ok(Some(ClassAtom::Char('\u{8}')));
        }
        self.character_escape().map(|c| Some(ClassAtom::Char(c)))
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

enum ClassAtom {
    Char(char),
    Set(String),
}

/// A character that stands for itself: letters and digits as they are, all others by number.
fn spelled(c: char) -> String {
    if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\x{{{:x}}}", u32::from(c)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_anchored_and_spelled_anew() {
        let check = |pattern: &str, expected: &str| assert_eq!(translate(pattern).unwrap(), expected);
        check("^a$", "^(?:a)$");
        check("a|^b", "^(?:(?s:.*)a(?s:.*)|b(?s:.*))$");
        check(r"^\d{2,}-\/$", r"^(?:[0-9]{2,}\x{2d}\x{2f})$");
        check(r"^(?<n>[^\]a-c-])*?$", r"^(?:(?:[^\x{5d}a-c\x{2d}])*)$");
        check(r"^\ud83d\ude00\cJ$", r"^(?:\x{1f600}\x{a})$");
        check("^[[&&~~]$", r"^(?:[\x{5b}\x{26}\x{26}\x{7e}\x{7e}])$");
    }

    #[test]
    fn what_is_not_regular_is_refused() {
        for pattern in [
            "(?=a)",
            "(?<!a)",
            r"(a)\1",
            r"\bword\b",
            "a^b",
            "(a$|b)",
            "(",
            "[",
            "a{,3}",
            "\\",
            "[z-a]",
            r"\ud800",
            r"\cC",
            "[]",
        ] {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }
}
