//! [`Compiler`]: clang, with a cache of what it made.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::Error;
use crate::headers::HEADERS;

/// What a source is called in messages; Apple's compiler calls it the same.
const SOURCE_NAME: &str = "program_source";

/// What Metal's own preprocessor defines.
const MACROS: &[&str] = &[
    "-D__METAL__=1",
    "-D__METAL_VERSION__=320",
    "-D__HAVE_BFLOAT__=1",
    "-D__METAL_MACOS__=1",
    "-D__APPLE__=1",
];

/// Optimised a little, since compiling takes longer than running; halves rounded after each operation.
const FLAGS: &[&str] = &[
    "-x",
    "c++",
    "-std=c++17",
    "-O1",
    "-march=x86-64-v3",
    "-ffp-contract=off",
    "-Xclang",
    "-ffloat16-excess-precision=none",
    "-Xclang",
    "-fbfloat16-excess-precision=none",
    "-fno-strict-aliasing",
    "-fno-exceptions",
    "-fno-rtti",
    "-fPIC",
    "-fvisibility=hidden",
    "-w",
    "-ferror-limit=20",
    "-fno-caret-diagnostics",
];

pub(crate) static NUM_COMPILED: AtomicU64 = AtomicU64::new(0);

/// A C++ compiler, and where its results are kept.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    cache: PathBuf,
}

impl Compiler {
    /// The compiler named by `METAL_EMULATOR_CXX`, else `clang++-19`; the cache at `METAL_EMULATOR_CACHE`,
    /// else `metal-emulator` in the platform's cache directory.
    pub fn from_environment() -> Compiler {
        let program = std::env::var_os("METAL_EMULATOR_CXX").unwrap_or_else(|| OsString::from("clang++-19"));
        let cache = std::env::var_os("METAL_EMULATOR_CACHE").map(PathBuf::from);
        let platform = || dirs::cache_dir().unwrap_or_else(std::env::temp_dir).join("metal-emulator");
        Compiler::new(program, cache.unwrap_or_else(platform))
    }

    /// A compiler that is found at or as `program`, with the folder of its cache.
    pub fn new(program: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Compiler {
        Compiler { program: program.into(), cache: cache.into() }
    }

    /// What is run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Expands macros and conditions. Line `n` of the result is line `n` of the source.
    pub(crate) fn preprocess(&self, source: &str) -> Result<String, Error> {
        let mut command = Command::new(&self.program);
        command.args(["-E", "-x", "c++", "-std=c++17", "-undef", "-nostdinc", "-fno-caret-diagnostics"]);
        command.args(MACROS).arg("-");
        let source = format!("#line 1 \"{SOURCE_NAME}\"\n{}", without_includes(source));
        let output = self.feed(command, &source)?;
        if !output.status.success() {
            return Err(Error::Source { message: message(&output) });
        }
        Ok(at_their_lines(&String::from_utf8_lossy(&output.stdout)))
    }

    /// A shared object of this code and of this list of kernels behind it, from the cache if it is there.
    pub(crate) fn shared_object(&self, code: &str, kernels: &str) -> Result<PathBuf, Error> {
        let unit = unit(code, kernels);
        let path = self.cache.join(format!("{}.so", self.key(&unit)));
        if !path.exists() {
            let made = path.with_extension(temporary());
            let mut command = self.command()?;
            command.args(["-shared", "-o"]).arg(&made).arg("-");
            self.compile(command, &unit)?;
            fs::rename(&made, &path).map_err(|source| Error::Cache { path: made, source })?;
        }
        Ok(path)
    }

    /// Whether this code compiles, as far as that shows before templates are instantiated.
    pub(crate) fn check(&self, code: &str) -> Result<(), Error> {
        let unit = unit(code, "");
        let path = self.cache.join(format!("{}.ok", self.key(&unit)));
        if !path.exists() {
            let mut command = self.command()?;
            command.args(["-fsyntax-only", "-"]);
            self.compile(command, &unit)?;
            fs::write(&path, "").map_err(|source| Error::Cache { path, source })?;
        }
        Ok(())
    }

    fn command(&self) -> Result<Command, Error> {
        let mut command = Command::new(&self.program);
        command.args(FLAGS).arg("-I").arg(self.headers()?);
        Ok(command)
    }

    fn compile(&self, command: Command, unit: &str) -> Result<(), Error> {
        NUM_COMPILED.fetch_add(1, Ordering::Relaxed);
        let output = self.feed(command, unit)?;
        if output.status.success() { Ok(()) } else { Err(Error::Source { message: message(&output) }) }
    }

    fn feed(&self, mut command: Command, input: &str) -> Result<Output, Error> {
        let failed = |source| Error::NoCompiler { program: self.program.clone(), source };
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(failed)?;
        let mut to_child = child.stdin.take().expect("it was asked for above");
        std::thread::scope(|scope| {
            // A compiler that gives up early closes its input; what it says is the better message.
            scope.spawn(move || to_child.write_all(input.as_bytes()).is_ok());
            child.wait_with_output().map_err(failed)
        })
    }

    /// Where the headers of this version lie.
    fn headers(&self) -> Result<PathBuf, Error> {
        let folder = self.cache.join(format!("headers-{}", digest(HEADERS.iter().map(|(_, text)| *text))));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Cache { path, source }
        };
        if !folder.exists() {
            let made = folder.with_extension(temporary());
            fs::create_dir_all(&made).map_err(failed(&made))?;
            for (name, text) in HEADERS {
                let path = made.join(name);
                fs::write(&path, text).map_err(failed(&path))?;
            }
            let is_moved = fs::rename(&made, &folder);
            // Another process may have been faster.
            if let Err(error) = is_moved.or_else(|error| if folder.exists() { Ok(()) } else { Err(error) }) {
                return Err(failed(&folder)(error));
            }
        }
        Ok(folder)
    }

    fn key(&self, unit: &str) -> String {
        let program = self.program.to_string_lossy();
        let headers = HEADERS.iter().map(|(_, text)| *text);
        digest(FLAGS.iter().copied().chain(headers).chain([program.as_ref(), unit]))
    }
}

fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// An extension that nobody else uses now.
fn temporary() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn unit(code: &str, kernels: &str) -> String {
    format!("#include \"msl.h\"\n#line 1 \"{SOURCE_NAME}\"\n{code}\n#line 1 \"kernels\"\n{kernels}\n")
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Metal's headers are the runtime's, which is included anyway.
fn without_includes(source: &str) -> String {
    let is_include = |line: &str| {
        let directive = line.trim_start().strip_prefix('#').map(str::trim_start);
        directive.and_then(|text| text.strip_prefix("include")).is_some_and(|text| text.contains("<metal"))
            || line.trim_start().starts_with("#pragma once")
    };
    source.lines().flat_map(|line| [if is_include(line) { "" } else { line }, "\n"]).collect()
}

/// Takes out the preprocessor's notes about lines by moving each line to where it says.
fn at_their_lines(preprocessed: &str) -> String {
    let mut out = String::with_capacity(preprocessed.len());
    let (mut line, mut is_ours) = (1, false);
    for text in preprocessed.lines() {
        if let Some((number, file)) = text.strip_prefix("# ").and_then(|note| note.split_once(' ')) {
            is_ours = file.starts_with(&format!("\"{SOURCE_NAME}\""));
            let target: usize = number.parse().unwrap_or(line);
            while is_ours && line < target {
                out.push('\n');
                line += 1;
            }
        } else if is_ours {
            out.push_str(text);
            out.push('\n');
            line += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_about_lines_become_empty_lines() {
        let preprocessed = "# 1 \"<stdin>\"\n# 1 \"program_source\"\na\n# 4 \"program_source\"\nb\n";
        assert_eq!(at_their_lines(preprocessed), "a\n\n\nb\n");
    }

    #[test]
    fn metal_headers_are_left_out_in_place() {
        assert_eq!(without_includes("#include <metal_stdlib>\nx\n# include  <metal_math>"), "\nx\n\n");
        assert_eq!(without_includes("#include \"mine.h\"\n"), "#include \"mine.h\"\n");
    }

    #[test]
    fn a_missing_compiler_is_named_with_its_package() {
        let compiler = Compiler::new("no-such-compiler", std::env::temp_dir());
        let error = compiler.preprocess("").expect_err("there is none").to_string();
        assert!(error.contains("no-such-compiler") && error.contains("clang-19"), "{error}");
    }

    #[test]
    fn macros_are_expanded_at_their_lines() {
        let compiler = Compiler::from_environment();
        let source = "#define F(x) x x\n\n\n\n\n\n\n\n\n\n\n\nF(a)\n";
        let out = compiler.preprocess(source).expect("it is well formed");
        assert_eq!(out.lines().nth(12), Some("a a"), "{out:?}");
    }
}
