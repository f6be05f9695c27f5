//! Random grammars against the obvious recogniser: which ends can be reached from which places, tried one after another.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use llama_engine::Grammar;
use llama_sampling::{GrammarCompiler, GrammarError};
use proptest::prelude::*;
use support::{bytes_compiler, is_whole};

/// An expression over three letters and three rules.
#[derive(Clone, Debug)]
enum Expr {
    Text(String),
    Class(String),
    Rule(usize),
    Sequence(Vec<Expr>),
    Alternatives(Vec<Expr>),
    Repeat(Box<Expr>, &'static str, usize, usize),
}

static COMPILER: LazyLock<GrammarCompiler> = LazyLock::new(bytes_compiler);

/// More often than any of the texts is long.
const MANY: usize = 9;

const NAMES: [&str; 3] = ["root", "one", "two"];

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        "[ab]{1,3}".prop_map(Expr::Text),
        prop_oneof![Just("ab"), Just("bc"), Just("c"), Just("abc")]
            .prop_map(|class| Expr::Class(class.to_owned())),
        (0..3usize).prop_map(Expr::Rule),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let counts = prop_oneof![
            Just(("*", 0, MANY)),
            Just(("+", 1, MANY)),
            Just(("?", 0, 1)),
            Just(("{2}", 2, 2)),
            Just(("{1,3}", 1, 3)),
        ];
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::Sequence),
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::Alternatives),
            1 => (inner, counts).prop_map(|(inner, (name, least, most))| Expr::Repeat(Box::new(inner), name, least, most)),
        ]
    })
}

fn source(expr: &Expr) -> String {
    let list = |items: &[Expr], between: &str| {
        format!("({})", items.iter().map(source).collect::<Vec<_>>().join(between))
    };
    match expr {
        Expr::Text(text) => format!("\"{text}\""),
        Expr::Class(class) => format!("[{class}]"),
        Expr::Rule(rule) => NAMES[*rule].to_owned(),
        Expr::Sequence(items) => list(items, " "),
        Expr::Alternatives(items) => list(items, " | "),
        Expr::Repeat(inner, name, ..) => format!("({}){name}", source(inner)),
    }
}

/// The ends of what each rule matches from each place, as far as they are known.
struct Reference<'a> {
    rules: &'a [Expr],
    text: &'a [u8],
    ends: BTreeMap<(usize, usize), BTreeSet<usize>>,
}

impl Reference<'_> {
    fn is_whole(&mut self) -> bool {
        loop {
            let before = self.ends.clone();
            for rule in 0..self.rules.len() {
                for start in 0..=self.text.len() {
                    let found = self.ends(&self.rules[rule].clone(), start);
                    self.ends.entry((rule, start)).or_default().extend(found);
                }
            }
            if self.ends == before {
                return self.ends[&(0, 0)].contains(&self.text.len());
            }
        }
    }

    fn ends(&self, expr: &Expr, start: usize) -> BTreeSet<usize> {
        match expr {
            Expr::Text(text) => self.text[start..]
                .starts_with(text.as_bytes())
                .then_some(start + text.len())
                .into_iter()
                .collect(),
            Expr::Class(class) => {
                let next = self.text.get(start).filter(|byte| class.as_bytes().contains(byte));
                next.map(|_| start + 1).into_iter().collect()
            }
            Expr::Rule(rule) => self.ends.get(&(*rule, start)).cloned().unwrap_or_default(),
            Expr::Sequence(items) => items.iter().fold(BTreeSet::from([start]), |starts, item| {
                starts.into_iter().flat_map(|start| self.ends(item, start)).collect()
            }),
            Expr::Alternatives(items) => items.iter().flat_map(|item| self.ends(item, start)).collect(),
            Expr::Repeat(inner, _, least, most) => {
                let (mut found, mut starts) = (BTreeSet::new(), BTreeSet::from([start]));
                for turn in 0..=*most {
                    if turn >= *least {
                        found.extend(&starts);
                    }
                    starts = starts.into_iter().flat_map(|start| self.ends(inner, start)).collect();
                }
                found
            }
        }
    }
}

/// All texts of up to five of the letters.
fn texts() -> Vec<String> {
    let mut texts = vec![String::new()];
    for len in 0..5 {
        let longest: Vec<String> = texts.iter().filter(|text| text.len() == len).cloned().collect();
        texts.extend(longest.iter().flat_map(|text| ["a", "b", "c"].map(|letter| format!("{text}{letter}"))));
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_compiled_grammar_has_the_texts_that_are_written(rules in [expr(), expr(), expr()]) {
        let lines = rules.iter().zip(NAMES).map(|(rule, name)| format!("{name} ::= {}\n", source(rule)));
        let grammar: String = lines.collect();
        let constraint = match COMPILER.compile(&Grammar::Gbnf(grammar.clone())) {
            Ok(constraint) => constraint,
            Err(GrammarError::LeftRecursion { .. } | GrammarError::NeverEnds { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{grammar}"))),
        };
        for text in texts() {
            let mut reference = Reference { rules: &rules, text: text.as_bytes(), ends: BTreeMap::new() };
            let found = is_whole(&constraint, text.as_bytes());
            prop_assert_eq!(found, reference.is_whole(), "{:?} in\n{}", text, grammar);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_source_panics(source in r#"(root|[a-c]|::=|\||[()*+?{}<>!.\^\-,0-9 ]|"|\[|\]|\\|\n|x41|é|#){0,40}"#) {
        // Most are no grammars; those that are can be asked for a mask.
        for source in [format!("root ::= {source}"), source] {
            if let Ok(mut constraint) = COMPILER.compile(&Grammar::Gbnf(source)) {
                prop_assert!(constraint.mask().is_ok());
            }
        }
    }
}
