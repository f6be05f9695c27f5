//! Metal Shading Language to C++: a source that a C++ compiler takes with the headers of `runtime/`.
//!
//! A chain of passes over tokens, each a file. Nothing is parsed further than the passes need: the C++
//! compiler is the judge of the rest. Every pass keeps lines in step, so that messages, and the places
//! of barriers, name lines of the original.

mod address_spaces;
mod attributes;
mod constants;
mod duplicates;
mod instantiations;
mod kernels;
mod spelling;

use crate::token;

/// A translated source.
#[derive(Debug, Clone)]
pub(crate) struct Translation {
    /// C++, with the lines of the original.
    pub(crate) code: String,
    /// Its kernels, in the order in which they stand.
    pub(crate) kernels: Vec<Kernel>,
}

/// A kernel of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// By which it is found.
    pub(crate) name: String,
    /// What to call in C++: a function's name, with template arguments where it has any.
    pub(crate) function: String,
}

/// Translates a source that has been preprocessed.
pub(crate) fn translate(preprocessed: &str) -> Translation {
    let tokens = token::tokenize(preprocessed);
    let tokens = attributes::mark_kernels(&tokens);
    let (tokens, mut instances) = instantiations::collect(&tokens);
    let (tokens, mut kernels) = kernels::bind(&tokens);
    let tokens = constants::declare(&tokens);
    let tokens = attributes::remove(&tokens);
    let tokens = address_spaces::remove(&tokens);
    let tokens = duplicates::remove(&tokens);
    let tokens = spelling::adapt(&tokens);
    kernels.append(&mut instances);
    for kernel in &mut kernels {
        let function = address_spaces::remove(&token::tokenize(&kernel.function));
        kernel.function = token::join(&function);
    }
    Translation { code: token::join(&tokens), kernels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_in_step() {
        let source = "kernel void f(\n  device float *x [[buffer(0)]],\n  uint i [[thread_position_in_grid]])\n{\n  threadgroup float s[4];\n  x[i] = s[0];\n}\ntemplate <typename T>\nkernel void g(device T *x) {}\ntemplate [[host_name(\"g_f\")]]\n [[kernel]] void g<float>(device float *x);\nint last;\n";
        let translation = translate(source);
        let line_of = |text: &str, needle: &str| text.lines().position(|line| line.contains(needle));
        for needle in ["x[i] =", "void g(", "int last"] {
            assert_eq!(line_of(&translation.code, needle), line_of(source, needle), "{}", translation.code);
        }
        let names: Vec<&str> = translation.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        assert_eq!(names, ["f", "g_f"]);
    }
}
