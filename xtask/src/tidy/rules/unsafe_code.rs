//! `unsafe` only where it was agreed upon, and never without its reason.

use super::super::source::SourceFile;
use super::super::tokens::{Unsafe, UnsafeKind};
use super::super::{Finding, workspace::Workspace};

/// The list of files, one `path: reason` a line.
const LIST: &str = "xtask/unsafe-allowed.txt";

struct Entry<'a> {
    line: usize,
    path: &'a str,
    reason: &'a str,
}

/// Finds `unsafe` in files that are not listed, or without a comment, and entries without a use.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let entries = parse(workspace.text(LIST).unwrap_or_default());
    let mut findings = Vec::new();
    for source in &workspace.sources {
        let is_listed = entries.iter().any(|entry| entry.path == source.path);
        let uses = &source.tokens.unsafes;
        if let Some(first) = uses.first()
            && !is_listed
        {
            let what = format!("`unsafe` in a file that is not listed (uses: {})", uses.len());
            let fix = format!("do it safely, or add the file to {LIST} with the reason");
            findings.push(Finding::new(&source.path, first.line, what, fix));
        }
        findings.extend(uses.iter().filter_map(|found| check_comment(source, found)));
    }
    findings.extend(entries.iter().filter_map(|entry| check_entry(entry, workspace)));
    findings
}

fn check_comment(source: &SourceFile, found: &Unsafe) -> Option<Finding> {
    let (wanted, fix): (&[&str], _) = match found.kind {
        UnsafeKind::PointerType => return None,
        UnsafeKind::Function if source.syntax.trait_impl_methods.contains(&found.line) => return None,
        UnsafeKind::Claim => (&["SAFETY:"], "say directly above why it holds: `// SAFETY: ...`"),
        UnsafeKind::Function => {
            (&["# Safety", "SAFETY:"], "say in a `# Safety` section what callers must ensure")
        }
    };
    if comments_above(source, found.line).any(|line| wanted.iter().any(|word| line.contains(word))) {
        return None;
    }
    Some(Finding::new(&source.path, found.line, "`unsafe` without its reason", fix))
}

/// The line itself, and the comments and attributes directly above the statement that it is in.
fn comments_above(source: &SourceFile, line: usize) -> impl Iterator<Item = &str> {
    let above = source.lines[..line - 1].iter().rev().map(|line| line.trim());
    let above = above.take_while(|line| {
        let is_remark = line.starts_with("//") || line.starts_with('#');
        // A line that ends nothing belongs to the same statement.
        is_remark || !(line.is_empty() || line.ends_with([';', '{', '}', ',']))
    });
    std::iter::once(source.lines[line - 1].as_str()).chain(above)
}

fn check_entry(entry: &Entry<'_>, workspace: &Workspace) -> Option<Finding> {
    let source = workspace.sources.iter().find(|source| source.path == entry.path);
    let is_used = source.is_some_and(|source| !source.tokens.unsafes.is_empty());
    if !is_used {
        let what = format!("{} has no `unsafe`", entry.path);
        return Some(Finding::new(LIST, entry.line, what, "remove this entry"));
    }
    if entry.reason.is_empty() {
        let what = format!("{} is listed without a reason", entry.path);
        return Some(Finding::new(LIST, entry.line, what, "write `path: reason`"));
    }
    None
}

fn parse(list: &str) -> Vec<Entry<'_>> {
    let lines =
        list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let entries = lines.map(|(i, text)| {
        let (path, reason) = text.split_once(':').unwrap_or((text, ""));
        Entry { line: i + 1, path: path.trim(), reason: reason.trim() }
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{check_rule, workspace};
    use super::*;

    const LISTED: &str = "# Why.\nsrc/a.rs: reads the map\n";

    fn check_listed(snippet: &str, expected: &[&str]) {
        check_rule(check, &workspace(&[("src/a.rs", snippet), (LIST, LISTED)]), expected);
    }

    #[test]
    fn a_file_must_be_listed() {
        let snippet = "fn f() {\n    // SAFETY: p is valid.\n    unsafe { g(p) };\n}";
        check_listed(snippet, &[]);
        check_rule(
            check,
            &workspace(&[("src/a.rs", snippet)]),
            &["src/a.rs:3: `unsafe` in a file that is not listed"],
        );
    }

    #[test]
    fn each_use_needs_its_reason() {
        check_listed("fn f() {\n    unsafe { g(p) };\n}", &["a.rs:2: `unsafe` without its reason"]);
        check_listed(
            "fn f() {\n    // SAFETY: x.\n    h();\n    unsafe { g(p) };\n}",
            &["a.rs:4: `unsafe` without"],
        );
        check_listed("fn f() {\n    // SAFETY: x.\n    let a =\n        unsafe { g(p) };\n}", &[]);
        check_listed("unsafe impl Send for A {}", &["without its reason"]);
        check_listed("/// F.\n///\n/// # Safety\n///\n/// p is valid.\n#[inline]\npub unsafe fn f() {}", &[]);
        check_listed("/// F.\npub unsafe fn f() {}", &["# Safety"]);
        check_listed("m! { unsafe { g() } }", &["without its reason"]);
        check_listed("type F = unsafe fn(u8);", &[]);
        check_listed("// SAFETY: x.\nunsafe impl A for B {\n    unsafe fn f() {}\n}", &[]);
        check_listed("// SAFETY: nobody else has that name.\n#[unsafe(no_mangle)]\nfn f() {}", &[]);
    }

    #[test]
    fn an_entry_must_be_used_and_say_why() {
        check_listed("fn f() {}", &["xtask/unsafe-allowed.txt:2: src/a.rs has no `unsafe`"]);
        let files = [("src/a.rs", "// SAFETY: x.\nunsafe impl Send for A {}"), (LIST, "src/a.rs\n")];
        check_rule(check, &workspace(&files), &["listed without a reason"]);
    }

    #[test]
    fn the_word_in_comments_and_strings_is_no_use() {
        check_rule(check, &workspace(&[("src/a.rs", "// unsafe\nconst A: &str = \"unsafe\";")]), &[]);
    }
}
