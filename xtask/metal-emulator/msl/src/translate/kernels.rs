//! Kernels are called without arguments: each parameter gets a default that fetches what is bound.

use super::Kernel;
use crate::token::{Token, closer, join_solid, line_ends, next_solid, previous_solid};
use crate::token::{split_at_commas, statement_start};

/// Gives the parameters of every kernel their defaults, and names those kernels that are no templates.
pub(super) fn bind<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<Kernel>) {
    let mut out: Vec<Token<'a>> = Vec::with_capacity(tokens.len());
    let mut kernels = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let open = (i..tokens.len()).find(|&k| tokens[k].is("("));
        let (true, Some(open)) = (tokens[i].is("kernel"), open) else {
            out.push(tokens[i].clone());
            i += 1;
            continue;
        };
        let close = closer(tokens, open);
        let is_template = out[statement_start(&out, out.len())..].iter().any(|token| token.is("template"));
        let is_definition = next_solid(tokens, close).is_some_and(|next| tokens[next].is("{"));
        if let Some(name) = previous_solid(tokens, open).filter(|_| is_definition && !is_template) {
            let name = tokens[name].text.to_string();
            kernels.push(Kernel { name: name.clone(), function: name });
        }
        out.extend_from_slice(&tokens[i + 1..=open]);
        out.extend(parameters(&tokens[open + 1..close]));
        out.push(tokens[close].clone());
        i = close + 1;
    }
    (out, kernels)
}

/// Where a parameter's value comes from.
enum Source {
    BuiltIn(String),
    Buffer { index: usize, condition: Option<String> },
    Threadgroup(usize),
}

fn parameters<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let parts = split_at_commas(tokens);
    let named: Vec<Option<Source>> = parts.iter().map(|part| named_source(part)).collect();
    let mut taken: Vec<usize> = named.iter().flatten().filter_map(buffer_index).collect();
    let mut num_threadgroup = 0;
    let mut out = Vec::new();
    for (i, (part, source)) in parts.iter().zip(named).enumerate() {
        let solid = join_solid(part);
        if solid.is_empty() || solid == "void" {
            continue;
        }
        let source = source.unwrap_or_else(|| {
            if part.iter().any(|token| token.is("threadgroup")) {
                num_threadgroup += 1;
                return Source::Threadgroup(num_threadgroup - 1);
            }
            let index = (0..).find(|index| !taken.contains(index)).expect("there are enough numbers");
            taken.push(index);
            Source::Buffer { index, condition: None }
        });
        if i > 0 {
            out.push(Token::made(","));
        }
        out.extend(parameter(part, &source));
    }
    out
}

fn parameter<'a>(part: &[Token<'a>], source: &Source) -> Vec<Token<'a>> {
    let mut declaration = Vec::new();
    let mut i = 0;
    while i < part.len() {
        if part[i].is("[[") {
            let end = closer(part, i);
            declaration.push(line_ends(&part[i..=end]));
            i = end + 1;
        } else {
            declaration.push(part[i].clone());
            i += 1;
        }
    }
    let name = declaration.iter().rev().find(|token| token.is_word());
    let name = name.map_or_else(String::new, |token| token.text.to_string());
    declaration.push(Token::made(match source {
        Source::BuiltIn(function) => format!(" = ::msl::{function}()"),
        Source::Buffer { index, condition: None } => format!(" = ::msl::Buffer({index}, \"{name}\")"),
        Source::Buffer { index, condition: Some(condition) } => {
            format!(" = ::msl::Buffer({index}, \"{name}\", bool({condition}))")
        }
        Source::Threadgroup(index) => format!(" = ::msl::ThreadgroupMemory({index}, \"{name}\")"),
    }));
    declaration
}

/// What a parameter's attributes say.
fn named_source(part: &[Token<'_>]) -> Option<Source> {
    let mut source = None;
    let mut condition = None;
    let opens = part.iter().enumerate().filter(|(_, token)| token.is("[["));
    for (open, _) in opens {
        for attribute in split_at_commas(&part[open + 1..closer(part, open)]) {
            let words: Vec<&Token<'_>> = attribute.iter().filter(|token| !token.is_space()).collect();
            let argument = || words.get(2).map(|token| token.text.to_string());
            let index = || argument().and_then(|text| text.parse().ok()).unwrap_or(0);
            match words.first().map_or("", |token| token.text.as_ref()) {
                "buffer" => source = Some(Source::Buffer { index: index(), condition: None }),
                "threadgroup" => source = Some(Source::Threadgroup(index())),
                "function_constant" => condition = argument(),
                name if name.contains("thread") || name == "grid_size" => {
                    source = Some(Source::BuiltIn(name.to_owned()));
                }
                _ => {}
            }
        }
    }
    match source {
        Some(Source::Buffer { index, .. }) => Some(Source::Buffer { index, condition }),
        other => other,
    }
}

fn buffer_index(source: &Source) -> Option<usize> {
    match source {
        Source::Buffer { index, .. } => Some(*index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{join, tokenize};

    fn check(source: &str, expected: &str, names: &[&str]) {
        let tokens = tokenize(source);
        let (bound, kernels) = bind(&tokens);
        assert_eq!(join(&bound), expected);
        assert_eq!(kernels.iter().map(|kernel| kernel.name.as_str()).collect::<Vec<_>>(), names);
    }

    #[test]
    fn parameters_fetch_what_is_bound() {
        check(
            "kernel void f(device T *x [[buffer(3)]], uint i [[thread_position_in_grid]]) {}",
            " void f(device T *x  = ::msl::Buffer(3, \"x\"), uint i  = ::msl::thread_position_in_grid()) {}",
            &["f"],
        );
    }

    #[test]
    fn unnamed_parameters_take_the_free_numbers() {
        check(
            "kernel void f(device T *x, threadgroup T *s, device T *y [[buffer(0)]]) {}",
            " void f(device T *x = ::msl::Buffer(1, \"x\"), threadgroup T *s = ::msl::ThreadgroupMemory(0, \"s\"), device T *y  = ::msl::Buffer(0, \"y\")) {}",
            &["f"],
        );
    }

    #[test]
    fn a_function_constant_may_switch_a_buffer_off() {
        check(
            "kernel void f(device T *m [[buffer(5), function_constant(has_mask)]]) {}",
            " void f(device T *m  = ::msl::Buffer(5, \"m\", bool(has_mask))) {}",
            &["f"],
        );
    }

    #[test]
    fn templates_and_declarations_are_not_named() {
        check("template <typename T> kernel void f() {}", "template <typename T>  void f() {}", &[]);
        check("kernel void f();", " void f();", &[]);
    }
}
