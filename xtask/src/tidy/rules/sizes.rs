//! Nothing grows too large to be read. Exceptions stand in the ratchet.

use super::super::ratchet::{self, Measure};
use super::super::source::SourceFile;
use super::super::{Finding, workspace::Workspace};

/// Measures every file, function, struct and trait.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let measures: Vec<Measure> = workspace.sources.iter().flat_map(measure).collect();
    ratchet::check(&measures, workspace.text(ratchet::PATH).unwrap_or_default())
}

fn measure(source: &SourceFile) -> Vec<Measure> {
    let syntax = &source.syntax;
    let over = |rule, limit, fix| {
        let path = source.path.clone();
        move |item: &str, line, value| Measure {
            rule,
            path: path.clone(),
            item: item.to_owned(),
            line,
            value,
            limit,
            fix,
        }
    };
    let file_lines = over("file-lines", 500, "split it: one concept per file");
    let example_lines = over("example-lines", 60, "an example shows one thing");
    let function_lines = over("function-lines", 70, "split it: the parent decides, the leaves compute");
    let parameters = over("parameters", 5, "collect them in a struct");
    let fields = over("fields", 12, "group what belongs together");
    let required_methods = over("required-methods", 6, "give some a default, or split the trait");

    let mut measures = vec![file_lines("-", 1, source.num_lines())];
    if source.path.starts_with("examples/") {
        measures.push(example_lines("-", 1, source.lines.len()));
    }
    measures.extend(syntax.functions.iter().map(|found| function_lines(&found.name, found.line, found.size)));
    measures.extend(syntax.parameters.iter().map(|found| parameters(&found.name, found.line, found.size)));
    measures.extend(syntax.structs.iter().map(|found| fields(&found.name, found.line, found.size)));
    measures.extend(syntax.traits.iter().map(|found| required_methods(&found.name, found.line, found.size)));
    measures
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{check_rule, workspace};
    use super::*;

    fn check_file(path: &str, text: &str, expected: &[&str]) {
        check_rule(check, &workspace(&[(path, text)]), expected);
    }

    fn function_of(num_lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "g();\n".repeat(num_lines - 2))
    }

    #[test]
    fn functions_have_at_most_70_lines_wherever_they_are() {
        check_file("src/a.rs", &function_of(70), &[]);
        check_file("src/a.rs", &function_of(71), &["a.rs:1: function-lines of `f` is 71, limit 70"]);
        check_file(
            "src/a.rs",
            &format!("impl A {{\n{}}}", function_of(71)),
            &["a.rs:2: function-lines of `A::f`"],
        );
        check_file(
            "src/a.rs",
            &format!("trait A {{\n{}}}", function_of(71)),
            &["a.rs:2: function-lines of `A::f`"],
        );
        // Documentation and attributes are not counted.
        check_file("src/a.rs", &format!("/// D\n#[inline]\n{}", function_of(70)), &[]);
    }

    #[test]
    fn files_have_at_most_500_lines_without_their_tests() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(300));
        check_file("src/a.rs", &format!("{}{tests}", "\n".repeat(500)), &[]);
        check_file("src/a.rs", &format!("{}{tests}", "\n".repeat(501)), &["file-lines of `-` is 501"]);
    }

    #[test]
    fn examples_have_at_most_60_lines() {
        check_file("examples/a.rs", &"\n".repeat(60), &[]);
        check_file("examples/a.rs", &"\n".repeat(61), &["example-lines of `-` is 61"]);
    }

    #[test]
    fn functions_take_at_most_5_parameters_besides_self() {
        check_file("src/a.rs", "impl A { fn f(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {} }", &[]);
        let six = "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}";
        check_file("src/a.rs", six, &["parameters of `f` is 6, limit 5"]);
        let method = "fn f(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8)";
        check_file("src/a.rs", &format!("trait A {{ {method}; }}"), &["parameters of `A::f`"]);
        check_file("src/a.rs", &format!("impl A for B {{ {method} {{}} }}"), &[]);
    }

    #[test]
    fn structs_have_at_most_12_fields() {
        let fields = |count: usize| (0..count).map(|i| format!("a{i}: u8, ")).collect::<String>();
        check_file("src/a.rs", &format!("struct A {{ {} }}", fields(12)), &[]);
        check_file("src/a.rs", &format!("struct A {{ {} }}", fields(13)), &["fields of `A` is 13"]);
    }

    #[test]
    fn traits_require_at_most_6_methods() {
        let methods = |count: usize| (0..count).map(|i| format!("fn m{i}(); ")).collect::<String>();
        check_file("src/a.rs", &format!("trait A {{ {} fn d() {{}} }}", methods(6)), &[]);
        check_file("src/a.rs", &format!("trait A {{ {} }}", methods(7)), &["required-methods of `A` is 7"]);
    }

    #[test]
    fn the_ratchet_is_read() {
        let text = function_of(71);
        let files = [("src/a.rs", text.as_str()), (ratchet::PATH, "function-lines src/a.rs f 71\n")];
        check_rule(check, &workspace(&files), &[]);
    }
}
