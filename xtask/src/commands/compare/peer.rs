//! llama.cpp through its Python package, and the script that drives it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Reports what `examples/bench.rs` reports. Handed over as text, so that it need not be found.
const SCRIPT: &str = include_str!("peer_llama_cpp.py");
const VERSION: &str = "import llama_cpp; print(llama_cpp.__version__)";
const INSTALL: &str = "python3 -m venv PEER && CMAKE_ARGS=-DGGML_NATIVE=ON PEER/bin/pip install llama-cpp-python \
                       (compiles llama.cpp: some minutes), then --python PEER/bin/python";

/// A Python interpreter that has the package.
#[derive(Debug)]
pub(super) struct LlamaCpp {
    python: PathBuf,
    /// Of the package.
    pub(super) version: String,
}

impl LlamaCpp {
    pub(super) fn find(python: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(python);
        let asked = command.args(["-c", VERSION]).stdin(Stdio::null()).output();
        let asked = asked.with_context(|| {
            format!("cannot start {}; llama.cpp is installed by: {INSTALL}", python.display())
        })?;
        ensure!(
            asked.status.success(),
            "{} has no llama-cpp-python; it is installed by: {INSTALL}\n{}",
            python.display(),
            String::from_utf8_lossy(&asked.stderr).lines().last().unwrap_or_default()
        );
        let version = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        Ok(Self { python: python.to_owned(), version })
    }

    /// Without asking for it.
    #[cfg(test)]
    pub(super) fn named(python: &str, version: &str) -> Self {
        Self { python: python.into(), version: version.to_owned() }
    }

    /// Measures `file`. Quantised files are run without the extra buffer types: the repacking into AMX tiles among them
    /// crashes on some CPUs (llama.cpp#20824).
    pub(super) fn command(&self, file: &Path, is_quantised: bool) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-c", SCRIPT]).arg(file);
        if is_quantised {
            command.arg("--plain-buffers");
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_peer_says_how_to_install_it() {
        let error = LlamaCpp::find(Path::new("no-such-python-anywhere")).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot start no-such-python-anywhere; llama.cpp is installed by:"),
            "{error}"
        );
        // A program that runs and is no interpreter with the package.
        let error = LlamaCpp::find(Path::new("false")).unwrap_err().to_string();
        assert!(error.contains("pip install llama-cpp-python"), "{error}");
    }

    #[test]
    fn quantised_files_run_in_plain_buffers() {
        let peer = LlamaCpp::named("python3", "");
        let last = |is_quantised| {
            let command = peer.command(Path::new("a.gguf"), is_quantised);
            command.get_args().last().unwrap().to_owned()
        };
        assert_eq!((last(false), last(true)), ("a.gguf".into(), "--plain-buffers".into()));
    }
}
