//! llama.cpp's grammar notation: which texts a grammar has, and which grammars are refused where.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use llama_engine::Grammar;
use llama_sampling::{GrammarCompiler, GrammarError, GrammarLimits, Position};
use support::{bytes_compiler, bytes_vocabulary, check, gbnf};

fn check_grammar(source: &str, whole: &[&str], other: &[&str]) {
    let constraint = gbnf(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    check(&constraint, whole, other);
}

fn check_refusal(source: &str, line: usize, column: usize, message: &str) {
    let error = gbnf(source).expect_err(source);
    assert!(error.to_string().contains(message), "{error}, expected {message:?}");
    assert_eq!(error.position(), Some(Position { line, column }), "{error}\n{source}");
}

#[test]
fn a_choice_of_two_words() {
    check_grammar(r#"root ::= "yes" | "no""#, &["yes", "no"], &["", "y", "maybe", "yesno", "ye", "yess"]);
}

#[test]
fn rules_groups_and_repetitions() {
    let sums = "root ::= sum\nsum ::= item (\"+\" item)*\nitem ::= digits\ndigits ::= [0-9]+";
    check_grammar(sums, &["7", "1+2+3", "12+345"], &["", "+", "1+", "1+2+", "1a", "1++2"]);
    check_grammar(r#"root ::= "a"*"#, &["", "a", "aaaa"], &["b", "aab"]);
    check_grammar(r#"root ::= "a"+"#, &["a", "aaaa"], &["", "b", "aab"]);
    check_grammar(r#"root ::= "a"?"#, &["", "a"], &["aa", "b"]);
    check_grammar("root ::= [ab]{3}", &["aba", "bbb"], &["", "ab", "abab"]);
    check_grammar("root ::= [ab]{3,}", &["aba", "bbbbbb"], &["", "ab", "abc"]);
    check_grammar("root ::= [ab]{ 0 , 2 }", &["", "a", "ab"], &["aba"]);
    check_grammar("root ::= \"x\" \"\" ( [x]* )* | ", &["", "x", "xx"], &["y", "xy"]);
    check_grammar(
        "root ::= (\"0x\" [A-F0-9]{2} \" \"?){2,3}",
        &["0xFF 0x00", "0xAA0xBB 0xCC "],
        &["0xFF", "0xF 0xFF"],
    );
    let word = "root ::= c+ v* c? (v c)*\nv ::= [aeiouy]\nc ::= [b-df-hj-np-tvwxyz]";
    check_grammar(word, &["yes", "no", "noyes", "four", "bryyyy"], &["yess", "yesno", "forty"]);
}

#[test]
fn characters_escapes_and_comments() {
    check_grammar("root ::= ... \"abc\" ...", &["abcabcabc", "🔵é✅abc\n\u{0}x"], &["ababcabc", "aaaabcaa"]);
    let escapes = r#"root ::= "\x41\u00e9\U0001F600\"\\\n" [\]\[\-^\x7f]"#;
    check_grammar(escapes, &["Aé😀\"\\\n]", "Aé😀\"\\\n-", "Aé😀\"\\\n^"], &["Aé😀\"\\\na"]);
    check_grammar("root ::= [^a-cé]", &["d", "è", "日", "\n"], &["a", "é", "", "dd"]);
    check_grammar("root ::= [-+*/a-]", &["-", "+", "/", "a"], &["b", ","]);
    check_grammar("# first\nroot ::= # then\n  \"a\" | # or\n  \"b\" # end\n#\n", &["a", "b"], &["c"]);
    check_grammar("root ::= (\r\n  \"a\"\r\n  | b)\r\nb ::= \"b\"", &["a", "b"], &["c"]);
    check_grammar("root ::= [ぁ-ゟ]+", &["ひらがな"], &["カ", "a"]);
}

#[test]
fn recursion() {
    check_grammar("root ::= \"(\" root \")\" | \"x\"", &["x", "((x))"], &["(x", "x)", "()"]);
    check_grammar("root ::= \"a\" root | \"b\"", &["b", "aaab"], &["a", "ba"]);
    check_grammar("root ::= item\nitem ::= \"a\" (\",\" item)?", &["a", "a,a,a"], &["a,", ",a"]);
    check_grammar("root ::= \"a\" root \"b\" | ", &["", "ab", "aaabbb"], &["a", "aab", "abb", "ba"]);
    // Every palindrome has its middle somewhere, which no lexer can know.
    let palindromes = "root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"a\" | \"b\" | ";
    check_grammar(palindromes, &["", "a", "abba", "ababa", "bb"], &["ab", "abb", "abab"]);
}

#[test]
fn expressions_with_calls() {
    let source = r#"
        root    ::= sum
        sum     ::= product gap ([-+] gap product)*
        product ::= factor gap ([*/] gap factor)*
        factor  ::= [0-9]+ | name | "(" sum ")" | call
        name    ::= [a-zA-Z_] [a-zA-Z0-9_]*
        call    ::= name gap "(" (sum ("," gap sum)*)? ")"
        gap     ::= [ \t\n]?"#;
    let long = format!("{}1", "12*3-x/".repeat(30));
    let whole = ["7", "x", "a1+b_2", "(a+b)*(c-d)", "f()", "f(x, g(y,z)) + 3", "a * (b + c) - d / e", &long];
    let broken = format!("{long}/");
    let other = [
        "",
        "+",
        "x + + y",
        "a * / b",
        "f(,)",
        "f(x y)",
        "(a + b",
        "a)",
        "42 +",
        "x    + y",
        "f(g(x), h(y, z)",
        &broken,
    ];
    check_grammar(source, &whole, &other);
}

#[test]
fn the_longest_match_loses_nothing() {
    // In each of these a lexeme could go on where the next one has to begin.
    check_grammar(
        "root ::= \"(\" root \")\" | word \"s\"\nword ::= [a-z]+",
        &["cats", "(ss)", "xs"],
        &["cat", "s", "(s)"],
    );
    check_grammar(
        "root ::= \"a\" (\"b\" | \"bc\" root | \"bcd\")",
        &["ab", "abcd", "abcab", "abcabcd"],
        &["abc", "abd"],
    );
    check_grammar(
        "root ::= \"<\" root \">\" | x y\nx ::= [ \\t]*\ny ::= [ ] \"=\"",
        &[" =", "<   =>"],
        &["=", "<=>"],
    );
    check_grammar(
        "root ::= \"[\" root \"]\" | \"i\" \"f\" \" \"* n\nn ::= [a-z]+",
        &["ifx", "[if f]"],
        &["if", "[if]"],
    );
    check_grammar(
        "root ::= \"-\" root | é é\né ::= \"é\" | \"éé\"".replace('é', "e").as_str(),
        &["ee", "-eeee"],
        &["e"],
    );
    check_grammar("root ::= \"(\" root \")\" | \"é\" \"è\" | \"éa\"", &["éè", "(éa)"], &["é", "éé"]);
}

#[test]
fn token_references() {
    let compiler = bytes_compiler();
    let check_tokens = |source: &str, whole: &[&[u32]], other: &[&[u32]]| {
        let constraint = compiler.compile(&Grammar::Gbnf(source.to_owned())).unwrap();
        let is_whole = |tokens: &&[u32]| {
            let mut constraint = constraint.clone();
            let all = tokens.iter().all(|&token| {
                let is_allowed = constraint.mask().unwrap().is_allowed(token);
                assert_eq!(is_allowed, constraint.accept(token).is_ok(), "{tokens:?} at {token}");
                is_allowed
            });
            all && constraint.may_end()
        };
        whole.iter().for_each(|tokens| assert!(is_whole(tokens), "{tokens:?} is refused by {source}"));
        other.iter().for_each(|tokens| assert!(!is_whole(tokens), "{tokens:?} is taken by {source}"));
    };
    const THINK: u32 = 257;
    const THOUGHT: u32 = 258;
    let thinking = "root ::= <think> !</think>* </think> \"ok\"";
    check_tokens(
        thinking,
        &[&[THINK, THOUGHT, 111, 107], &[THINK, 1, 2, 3, THOUGHT, 111, 107]],
        &[
            &[THINK],
            &[THINK, THINK, THOUGHT, 111, 107],
            &[111, 107],
            &[THINK, THOUGHT],
            &[THINK, 256, THOUGHT, 111, 107],
        ],
    );
    check_tokens(
        "root ::= <[257]> (!<[258]>){2} <[258]>",
        &[&[THINK, 1, 2, THOUGHT]],
        &[&[THINK, 1, THOUGHT]],
    );
    check_tokens(
        "root ::= \"a\"+ (<call> \"a\" </call>)*",
        &[&[97], &[97, 97, 259, 97, 260]],
        &[&[97, 259, 260]],
    );
}

#[test]
fn refusals_say_where() {
    check_refusal("root ::= \"a\"\nitem ::= itme", 2, 10, "\"itme\" is not defined");
    check_refusal("root ::= \"a\"\nroot ::= \"b\"", 2, 1, "defined a second time");
    check_refusal("root := \"a\"", 1, 6, "expected \"::=\", found ':'");
    check_refusal("root ::= \"a", 1, 12, "expected a closing quotation mark, found the end");
    check_refusal("root ::= [a", 1, 12, "expected a closing bracket");
    check_refusal("root ::= (\"a\"", 1, 14, "expected \")\"");
    check_refusal("root ::= \"é\" )", 1, 14, "expected a new line or the end, found ')'");
    check_refusal("root ::= *", 1, 10, "expected something to repeat");
    check_refusal("root ::= \"a\"{,5}", 1, 14, "expected a number");
    check_refusal("root ::= \"a\"{5,3}", 1, 13, "cannot both be");
    check_refusal("root ::= \"a\"{x}", 1, 14, "expected a number");
    check_refusal("root ::= \"\\q\"", 1, 11, "unknown escape \\q");
    check_refusal("root ::= \"\\u12\"", 1, 15, "expected 4 hexadecimal digits");
    check_refusal("root ::= \"\\ud800\"", 1, 11, "U+D800 is no character");
    check_refusal("root ::= [z-a]", 1, 11, "runs backwards");
    check_refusal("root ::= []", 1, 10, "without characters");
    check_refusal("root ::= <nothing>", 1, 10, "<nothing> is not a token");
    check_refusal("root ::= <[9999]>", 1, 10, "<[9999]> is not a token");
    check_refusal("1 ::= \"a\"\n| \"b\"", 2, 1, "expected a name");
    assert_eq!(gbnf("rot ::= \"a\"").unwrap_err(), GrammarError::MissingRoot);
    assert_eq!(gbnf("").unwrap_err(), GrammarError::MissingRoot);
    let competing = gbnf("root ::= (!</think>)* \"a\"").unwrap_err();
    assert!(matches!(competing, GrammarError::AmbiguousToken { .. }), "{competing}");
}

#[test]
fn left_recursion_and_rules_without_end_are_refused() {
    check_refusal("root ::= \"a\" | root \"b\"", 1, 16, "\"root\" is left-recursive");
    check_refusal("root ::= x\nx ::= \"a\" | y \"b\"\ny ::= \"c\" | x \"d\"", 3, 13, "left-recursive");
    check_refusal("root ::= x\nx ::= \"a\" | e x \"d\"\ne ::= \"b\" | ", 2, 15, "\"x\" is left-recursive");
    check_refusal("root ::= (root)? \"a\"", 1, 11, "left-recursive");
    check_refusal("root ::= \"a\" root", 1, 1, "\"root\" never ends");
    check_refusal("root ::= \"a\" | x\nx ::= \"(\" y \")\"\ny ::= x", 2, 1, "\"x\" never ends");
}

#[test]
fn limits_are_kept() {
    let too_large = |source: &str| match gbnf(source) {
        Err(GrammarError::TooLarge { what, .. }) => what,
        other => panic!("{other:?} for {source:.80}"),
    };
    assert_eq!(too_large("root ::= \"a\"{5000}"), "required repetitions");
    assert_eq!(too_large("root ::= \"a\"{5000,}"), "required repetitions");
    assert_eq!(too_large("root ::= \"a\"{5000,6000}"), "required repetitions");
    let nested = "root ::= (((((([^x]*){0,99}){0,99}){0,99}){0,99}){0,99}){0,99}";
    assert_eq!(too_large(nested), "repetitions inside each other");
    assert_eq!(
        too_large(&format!("root ::= {}\"a\"{}", "(".repeat(65), ")".repeat(65))),
        "groups inside each other"
    );
    let many: String = (0..2_001).map(|rule| format!("r{rule} ::= \"a\"\n")).collect();
    assert_eq!(too_large(&format!("root ::= \"a\"\n{many}")), "rules");
    let small = GrammarLimits { max_source_bytes: 10, ..GrammarLimits::default() };
    let compiler = GrammarCompiler::new(bytes_vocabulary(), small).unwrap();
    let error = compiler.compile(&Grammar::Gbnf("root ::= \"a\"".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "bytes of source: 12, at most 10 are allowed");
    // What llama.cpp takes as any number is counted here.
    let at_most = gbnf("root ::= \"a\"{3,3000}").unwrap();
    check(&at_most, &["aaa", &"a".repeat(3000)], &["aa", &"a".repeat(3001)]);
}
