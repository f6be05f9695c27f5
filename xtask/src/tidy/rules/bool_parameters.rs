//! No public function takes a `bool`: at the call, `true` says nothing.

use super::super::{Finding, workspace::Workspace};

/// Finds `bool` parameters of `pub` functions, methods and trait methods.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &workspace.sources {
        for found in source.syntax.public_bools.iter().filter(|found| !source.is_test(found.line)) {
            let what = format!("public function `{}` takes a bool", found.function);
            findings.push(Finding::new(&source.path, found.line, what, "take an enum of two named cases"));
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
    fn public_bools_are_found_wherever_functions_are() {
        check_snippet("pub fn f(x: u8, deep: bool) {}", &["src/a.rs:1: public function `f`"]);
        check_snippet("impl A {\n pub fn f(&self, b: bool) {} }", &["a.rs:2: public function `A::f`"]);
        check_snippet("pub trait T { fn f(&self, b: bool); }", &["`T::f`"]);
    }

    #[test]
    fn private_functions_returns_and_tests_may_use_bool() {
        check_snippet("fn f(deep: bool) {}\npub(crate) fn g(b: bool) {}", &[]);
        check_snippet("pub fn f() -> bool { true }", &[]);
        check_snippet("#[cfg(test)] mod tests { pub fn f(b: bool) {} }", &[]);
        check_snippet("trait T { fn f(&self, b: bool); }", &[]);
    }
}
