//! From source to rules: a recursive descent over llama.cpp's notation.
//!
//! Accepts what llama.cpp (version of November 2026) accepts, but for: rules defined twice, character classes without characters or with ranges
//! that run backwards, and escapes of code points that are no characters. Those are refused, because what was meant is not what would be matched.

use std::collections::BTreeMap;

use super::{
    super::{GrammarError, GrammarLimits, Position, vocabulary::TokenNames},
    char_set::CharSet,
    reader::{Lines, Reader},
    syntax::{Count, Expr, Grammar, Rule, RuleRef, TokenSet},
};

/// Parses a grammar and resolves its names.
pub(super) fn parse(
    source: &str,
    limits: &GrammarLimits,
    tokens: &dyn TokenNames,
) -> Result<Grammar, GrammarError> {
    let mut parser = Parser {
        reader: Reader::new(source),
        limits,
        tokens,
        numbers: BTreeMap::new(),
        names: Vec::new(),
        bodies: Vec::new(),
        nesting: 0,
    };
    parser.reader.skip_space(Lines::Join);
    while parser.reader.peek().is_some() {
        parser.rule()?;
    }
    parser.finish()
}

struct Parser<'a> {
    reader: Reader<'a>,
    limits: &'a GrammarLimits,
    tokens: &'a dyn TokenNames,
    numbers: BTreeMap<&'a str, usize>,
    /// Name and first mention, by number.
    names: Vec<(&'a str, Position)>,
    /// Place of the definition, and the body.
    bodies: Vec<Option<(Position, Expr)>>,
    nesting: usize,
}

/// An expression, and how often the most repeated part of it may happen.
struct Counted {
    expr: Expr,
    repetitions: usize,
}

impl From<Expr> for Counted {
    fn from(expr: Expr) -> Self {
        Self { expr, repetitions: 1 }
    }
}

impl<'a> Parser<'a> {
    fn finish(self) -> Result<Grammar, GrammarError> {
        let root = self.numbers.get("root").copied().filter(|&root| self.bodies[root].is_some());
        let mut rules = Vec::with_capacity(self.bodies.len());
        for (body, (name, first_mention)) in self.bodies.into_iter().zip(self.names) {
            let name = name.to_owned();
            let Some((at, body)) = body else {
                return Err(GrammarError::UndefinedRule { at: first_mention, rule: name });
            };
            rules.push(Rule { name, at, body });
        }
        Ok(Grammar { rules, root: root.ok_or(GrammarError::MissingRoot)? })
    }

    fn rule(&mut self) -> Result<(), GrammarError> {
        let at = self.reader.at();
        let name = self.name()?;
        self.reader.skip_space(Lines::Break);
        self.reader.expect("::=")?;
        self.reader.skip_space(Lines::Join);
        let rule = self.number(name, at)?;
        if self.bodies[rule].is_some() {
            return Err(GrammarError::DuplicateRule { at, rule: name.to_owned() });
        }
        let body = self.alternatives(Lines::Break)?.expr;
        self.bodies[rule] = Some((at, body));
        let is_line_end = matches!(self.reader.peek(), None | Some('\r' | '\n'));
        if !is_line_end {
            return Err(self.reader.expected("a new line or the end"));
        }
        self.reader.skip_space(Lines::Join);
        Ok(())
    }

    fn name(&mut self) -> Result<&'a str, GrammarError> {
        let at_start = self.reader.expected("a name");
        let name = self.reader.take_while(is_name);
        if name.is_empty() { Err(at_start) } else { Ok(name) }
    }

    /// The number of a rule, given out at its first mention.
    fn number(&mut self, name: &'a str, at: Position) -> Result<usize, GrammarError> {
        if let Some(&number) = self.numbers.get(name) {
            return Ok(number);
        }
        let number = self.names.len();
        self.check("rules", number + 1, self.limits.max_rules)?;
        self.numbers.insert(name, number);
        self.names.push((name, at));
        self.bodies.push(None);
        Ok(number)
    }

    fn alternatives(&mut self, lines: Lines) -> Result<Counted, GrammarError> {
        let first = self.sequence(lines)?;
        let mut repetitions = first.repetitions;
        let mut alternatives = vec![first.expr];
        while self.reader.take('|') {
            self.reader.skip_space(Lines::Join);
            let next = self.sequence(lines)?;
            repetitions = repetitions.max(next.repetitions);
            alternatives.push(next.expr);
        }
        let expr = match alternatives.len() {
            1 => alternatives.swap_remove(0),
            _ => Expr::Alternatives(alternatives),
        };
        Ok(Counted { expr, repetitions })
    }

    fn sequence(&mut self, lines: Lines) -> Result<Counted, GrammarError> {
        let (mut items, mut most) = (Vec::new(), 1);
        while let Some(mut item) = self.item()? {
            self.reader.skip_space(lines);
            while let Some(count) = self.count(lines)? {
                item = self.repeated(item, count)?;
            }
            most = most.max(item.repetitions);
            items.push(item.expr);
        }
        if matches!(self.reader.peek(), Some('*' | '+' | '?' | '{')) {
            return Err(self.reader.expected("something to repeat"));
        }
        let expr = if items.len() == 1 { items.swap_remove(0) } else { Expr::Sequence(items) };
        Ok(Counted { expr, repetitions: most })
    }

    /// What stands before a repetition; `None` where the sequence ends.
    fn item(&mut self) -> Result<Option<Counted>, GrammarError> {
        let at = self.reader.at();
        let item = match self.reader.peek() {
            Some('"') => self.text()?.into(),
            Some('[') => self.class()?.into(),
            Some('.') => {
                self.reader.next();
                Expr::Chars(CharSet::any()).into()
            }
            Some('<' | '!') => self.token()?.into(),
            Some('(') => self.group()?,
            Some(c) if is_name(c) => {
                let name = self.reader.take_while(is_name);
                Expr::Rule(RuleRef { rule: self.number(name, at)?, at }).into()
            }
            _ => return Ok(None),
        };
        Ok(Some(item))
    }

    fn group(&mut self) -> Result<Counted, GrammarError> {
        self.nesting += 1;
        self.check("groups inside each other", self.nesting, self.limits.max_nesting)?;
        self.reader.expect("(")?;
        self.reader.skip_space(Lines::Join);
        let inner = self.alternatives(Lines::Join)?;
        self.reader.expect(")")?;
        self.nesting -= 1;
        Ok(inner)
    }

    fn text(&mut self) -> Result<Expr, GrammarError> {
        self.reader.expect("\"")?;
        let mut text = String::new();
        while !self.reader.take('"') {
            text.push(self.character("a closing quotation mark")?);
        }
        Ok(if text.is_empty() { Expr::empty() } else { Expr::Text(text) })
    }

    fn class(&mut self) -> Result<Expr, GrammarError> {
        let at = self.reader.at();
        self.reader.expect("[")?;
        let is_negated = self.reader.take('^');
        let mut ranges = Vec::new();
        while !self.reader.take(']') {
            let range_at = self.reader.at();
            let first = self.character("a closing bracket")?;
            let mut last = first;
            if self.reader.starts_with("-") && !self.reader.starts_with("-]") {
                self.reader.next();
                last = self.character("the end of a range")?;
            }
            if last < first {
                let reason = format!("the range from {first:?} to {last:?} runs backwards");
                return Err(GrammarError::Syntax { at: range_at, reason });
            }
            ranges.push((first, last));
        }
        let set = CharSet::new(ranges);
        let matched = if is_negated { set.negated() } else { set.clone() };
        if set.is_empty() || matched.is_empty() {
            return Err(GrammarError::Syntax { at, reason: "a class without characters".to_owned() });
        }
        Ok(Expr::Chars(matched))
    }

    /// A character or an escape.
    fn character(&mut self, before_end: &str) -> Result<char, GrammarError> {
        let at = self.reader.at();
        match self.reader.peek() {
            None => Err(self.reader.expected(before_end)),
            Some('\\') => {
                self.reader.next();
                self.escape(at)
            }
            Some(c) => {
                self.reader.next();
                Ok(c)
            }
        }
    }

    fn escape(&mut self, at: Position) -> Result<char, GrammarError> {
        let known = self.reader.peek();
        self.reader.next();
        match known {
            Some('x') => self.code_point(2, at),
            Some('u') => self.code_point(4, at),
            Some('U') => self.code_point(8, at),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some('n') => Ok('\n'),
            Some(c @ ('\\' | '"' | '[' | ']' | '-')) => Ok(c),
            Some(c) => Err(GrammarError::Syntax { at, reason: format!("unknown escape \\{c}") }),
            None => Err(self.reader.expected("an escape")),
        }
    }

    fn code_point(&mut self, num_digits: usize, at: Position) -> Result<char, GrammarError> {
        let mut value = 0u32;
        for _ in 0..num_digits {
            let digit = self.reader.peek().and_then(|c| c.to_digit(16));
            let digit =
                digit.ok_or_else(|| self.reader.expected(&format!("{num_digits} hexadecimal digits")))?;
            self.reader.next();
            value = value << 4 | digit;
        }
        let reason = format!("U+{value:04X} is no character");
        char::from_u32(value).ok_or(GrammarError::Syntax { at, reason })
    }

    /// `<name>`, `<[id]>`, or one of them after `!`.
    fn token(&mut self) -> Result<Expr, GrammarError> {
        let is_negated = self.reader.take('!');
        let at = self.reader.at();
        self.reader.expect("<")?;
        let name = self.reader.take_while(|c| c != '>' && c != '\n');
        self.reader.expect(">")?;
        let id = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(digits) => digits.parse().ok().filter(|&id| self.tokens.is_token(id)),
            None => self.tokens.id_of(&format!("<{name}>")),
        };
        let id = id.ok_or_else(|| GrammarError::UnknownToken { at, name: format!("<{name}>") })?;
        Ok(Expr::Token(if is_negated { TokenSet::AllBut(id) } else { TokenSet::Only(id) }))
    }

    /// The repetition that comes next, if one does.
    fn count(&mut self, lines: Lines) -> Result<Option<Count>, GrammarError> {
        let count = match self.reader.peek() {
            Some('*') => Count { least: 0, most: None },
            Some('+') => Count { least: 1, most: None },
            Some('?') => Count { least: 0, most: Some(1) },
            Some('{') => return self.braces(lines).map(Some),
            _ => return Ok(None),
        };
        self.reader.next();
        self.reader.skip_space(lines);
        Ok(Some(count))
    }

    fn braces(&mut self, lines: Lines) -> Result<Count, GrammarError> {
        let at = self.reader.at();
        self.reader.expect("{")?;
        self.reader.skip_space(lines);
        let least = self.integer()?;
        self.reader.skip_space(lines);
        let mut most = Some(least);
        if self.reader.take(',') {
            self.reader.skip_space(lines);
            let is_bounded = self.reader.peek().is_some_and(|c| c.is_ascii_digit());
            most = if is_bounded { Some(self.integer()?) } else { None };
            self.reader.skip_space(lines);
        }
        self.reader.expect("}")?;
        self.reader.skip_space(lines);
        if most.is_some_and(|most| most < least) {
            let reason = format!("at least {least} and at most {} cannot both be", most.unwrap_or_default());
            return Err(GrammarError::Syntax { at, reason });
        }
        let limit = self.limits.max_required_repetitions;
        if least as usize > limit {
            let what = "required repetitions";
            return Err(GrammarError::TooLarge { what, found: least as usize, limit, at: Some(at) });
        }
        Ok(Count { least, most })
    }

    fn integer(&mut self) -> Result<u32, GrammarError> {
        let wrong = self.reader.expected("a number below two to the 32nd");
        self.reader.take_while(|c| c.is_ascii_digit()).parse().map_err(|_| wrong)
    }

    fn repeated(&mut self, inner: Counted, count: Count) -> Result<Counted, GrammarError> {
        let times = count.most.unwrap_or(count.least).max(1) as usize;
        let repetitions = inner.repetitions.saturating_mul(times);
        self.check("repetitions inside each other", repetitions, self.limits.max_repetitions)?;
        let expr = match count {
            _ if inner.expr.is_empty() => inner.expr,
            Count { most: Some(0), .. } => Expr::empty(),
            Count { least: 1, most: Some(1) } => inner.expr,
            count => Expr::Repeat(Box::new(inner.expr), count),
        };
        Ok(Counted { expr, repetitions })
    }

    fn check(&self, what: &'static str, found: usize, limit: usize) -> Result<(), GrammarError> {
        let too_large = || GrammarError::TooLarge { what, found, limit, at: Some(self.reader.at()) };
        if found > limit { Err(too_large()) } else { Ok(()) }
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}
