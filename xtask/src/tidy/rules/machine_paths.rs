//! No path of somebody's machine in the code: it works there and nowhere else.

use super::super::{Finding, workspace::Workspace};

/// Top-level folders whose content differs from machine to machine.
const FOLDERS: [&str; 5] = ["work", "root", "home", "tmp", "Users"];

/// Finds string literals outside tests that name a path below one of those folders.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &workspace.sources {
        let strings = source.tokens.strings.iter().filter(|(_, line)| !source.is_test(*line));
        for (text, line) in strings.filter(|(text, _)| names_machine_path(text)) {
            let fix = "take it as an argument, or derive it from the environment";
            findings.push(Finding::new(&source.path, *line, format!("path of a machine in {text:?}"), fix));
        }
    }
    findings
}

fn names_machine_path(text: &str) -> bool {
    FOLDERS.iter().any(|folder| {
        let path = format!("/{folder}");
        text.match_indices(&path).any(|(start, _)| {
            let before = text[..start].chars().next_back();
            let after = text[start + path.len()..].chars().next();
            // Inside a longer path or a URL it names something else.
            before.is_none_or(|c| c.is_whitespace() || "\"'=:(".contains(c)) && after.is_none_or(|c| c == '/')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{check_rule, workspace};
    use super::*;

    fn check_snippet(snippet: &str, expected: &[&str]) {
        check_rule(check, &workspace(&[("src/a.rs", snippet)]), expected);
    }

    #[test]
    fn machine_paths_are_found() {
        check_snippet("const A: &str = \"/home/me/model\";", &["a.rs:1: path of a machine"]);
        check_snippet("fn f() { open(b\"/tmp\"); }", &["path of a machine"]);
        check_snippet(
            "fn f() { run(\"--cache=/root/x\"); println!(\"see /work/main\"); }",
            &["/root/x", "/work/main"],
        );
    }

    #[test]
    fn other_paths_comments_and_tests_are_fine() {
        check_snippet(
            "const A: &str = \"a/home/b\"; const B: &str = \"/v1/work\"; const C: &str = \"/homework\";",
            &[],
        );
        check_snippet("/// In /home/me.\nfn f() {} // /tmp/x", &[]);
        check_snippet("#[cfg(test)] mod tests { const A: &str = \"/tmp/x\"; }", &[]);
    }
}
