//! Nothing unfinished and nothing switched off.

use super::super::{Finding, workspace::Workspace};

/// Finds `todo!`, `unimplemented!` and `.unwrap()` outside tests, and `#[ignore]` anywhere.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &workspace.sources {
        let mut find = |line, what: &str, fix| findings.push(Finding::new(&source.path, line, what, fix));
        for (word, line) in source.tokens.placeholders.iter().filter(|(_, line)| !source.is_test(*line)) {
            find(*line, &format!("`{word}!`"), "finish it, or return an error that says what is missing");
        }
        for line in source.tokens.unwraps.iter().filter(|line| !source.is_test(**line)) {
            find(*line, "`.unwrap()`", "return an error, or `expect` with the reason why it cannot fail");
        }
        for line in &source.tokens.ignores {
            find(*line, "`#[ignore]`", "make the test run, or delete it");
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{check_rule, workspace};
    use super::*;

    fn check_snippet(snippet: &str, expected: &[&str]) {
        check_rule(check, &workspace(&[("src/a.rs", snippet)]), expected);
    }

    #[test]
    fn leftovers_are_found_in_code_and_in_macros() {
        check_snippet("fn f() { todo!() }", &["a.rs:1: `todo!`"]);
        check_snippet("fn f() {\n unimplemented!(\"x\") }", &["a.rs:2: `unimplemented!`"]);
        check_snippet("fn f() { x.unwrap(); }", &["`.unwrap()`"]);
        check_snippet("fn f() { vec![x\n.unwrap()]; }", &["a.rs:2: `.unwrap()`"]);
    }

    #[test]
    fn ignored_tests_are_found_even_in_tests() {
        check_snippet(
            "#[cfg(test)] mod tests {\n #[test]\n #[ignore = \"slow\"]\n fn f() {} }",
            &["a.rs:3: `#[ignore]`"],
        );
        check_snippet("#[test]\n#[cfg_attr(windows, ignore)]\nfn f() {}", &["a.rs:2: `#[ignore]`"]);
    }

    #[test]
    fn tests_comments_and_other_names_may_have_them() {
        check_snippet("#[cfg(test)] mod tests { fn f() { x.unwrap(); todo!() } }", &[]);
        check_snippet("#[test] fn f() { x.unwrap(); }", &[]);
        check_snippet("/// `x.unwrap()`\nfn f() { x.unwrap_or(1); unwrap(); let todo = 1; } // todo!()", &[]);
        let files =
            [("src/a.rs", "#[cfg(test)] mod support;"), ("src/a/support.rs", "fn f() { x.unwrap(); }")];
        check_rule(check, &workspace(&files), &[]);
        check_rule(check, &workspace(&[("tests/a.rs", "fn f() { x.unwrap(); }")]), &[]);
    }
}
