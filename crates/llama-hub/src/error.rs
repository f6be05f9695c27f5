//! Everything that can go wrong between a model's name and its files.
//!
//! [`HubError`] is what callers see. [`SourceError`] says why one source could not answer; it ends
//! the whole request only when every other source failed too, inside
//! [`HubError::EverySourceFailed`].

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::KNOWN_MODELS;

/// Why a model could not be provided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Neither a known name nor something that looks like a path. Correct the name.
    #[error("there is no model `{name}`{}; known models: {}; a path must contain a `/` or end in .gguf",
        did_you_mean(.nearest), known_names())]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The known name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The path does not exist. Correct it, or ask for a known model by name.
    #[error("no file or directory at {}; known models: {}", path.display(), known_names())]
    NoSuchPath {
        /// What was asked for.
        path: PathBuf,
    },
    /// The path exists, but is no checkpoint. Point at a `.gguf` file or at a directory in Hugging
    /// Face form.
    #[error("{} is no checkpoint: expected a .gguf file, or a directory with config.json or *.safetensors in it", path.display())]
    NotACheckpoint {
        /// What was asked for.
        path: PathBuf,
    },
    /// A bundled model's file is missing or has the wrong length: this binary runs without the
    /// checkout that it was built from. Run it there, or pass the path of a copy.
    #[error("the bundled model `{model}` is not complete: {} is missing or has the wrong length; bundled models live in the source checkout: run there, or pass the path of a copy", path.display())]
    BundledModelMissing {
        /// The model's name.
        model: &'static str,
        /// The first file that is wrong.
        path: PathBuf,
    },
    /// The platform names no cache directory. Set `LLAMA_RS_CACHE`.
    #[error("this platform names no cache directory: set LLAMA_RS_CACHE to a directory")]
    NoCacheDirectory,
    /// The cache cannot be written or locked. Free space, fix its permissions, or set
    /// `LLAMA_RS_CACHE` to another directory, on a local disk.
    #[error("cannot use the model cache at {}; LLAMA_RS_CACHE moves it", path.display())]
    Cache {
        /// The file or directory that failed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every source failed. The message lists them, with the ways out.
    #[error("{}", EverySource { model, attempts, destination })]
    EverySourceFailed {
        /// The model's name.
        model: &'static str,
        /// What was tried, in order.
        attempts: Vec<Attempt>,
        /// The model's folder in the cache.
        destination: PathBuf,
    },
}

/// One source that was tried, and why it failed.
#[derive(Debug)]
pub struct Attempt {
    /// The source, as a reader knows it.
    pub source: String,
    /// Why it failed.
    pub reason: SourceError,
}

/// Why one source could not provide a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The environment forbids this source.
    #[error("switched off by {variable}")]
    SwitchedOff {
        /// The variable that forbids it.
        variable: &'static str,
    },
    /// No connection: offline, behind a firewall, or the server is down.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system said, or that it said nothing within the limit.
        source: io::Error,
    },
    /// The transfer stood still for too long.
    #[error("no data for {} s, after {received_bytes} bytes", limit.as_secs())]
    Stalled {
        /// The limit.
        limit: Duration,
        /// What had arrived until then.
        received_bytes: u64,
    },
    /// The hub answered with an error.
    #[error("the request failed")]
    Hub(#[source] Box<hf_hub::api::sync::ApiError>),
    /// A program that this source needs could not be started. Install it.
    #[error("cannot run `{program}`")]
    MissingProgram {
        /// Its name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program that this source needs failed.
    #[error("{task} failed ({status}): {message}")]
    ProgramFailed {
        /// What it was doing.
        task: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        message: String,
    },
    /// The source delivered too little or too much: a transfer that broke off, or another file.
    #[error("{file} has {found_bytes} bytes instead of {expected_bytes}")]
    WrongLength {
        /// The file's name.
        file: String,
        /// The length in the list of known models.
        expected_bytes: u64,
        /// The length that arrived.
        found_bytes: u64,
    },
    /// The source delivered other content under the same name and length.
    #[error("{file} has SHA-256 {found} instead of {expected}")]
    WrongHash {
        /// The file's name.
        file: String,
        /// The hash in the list of known models.
        expected: &'static str,
        /// The hash of what arrived.
        found: String,
    },
    /// The source returned without delivering a file.
    #[error("{file} was not delivered")]
    NotDelivered {
        /// The file's name.
        file: String,
    },
    /// Reading or writing failed, a full disk for example.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The message of [`HubError::EverySourceFailed`].
struct EverySource<'a> {
    model: &'a str,
    attempts: &'a [Attempt],
    destination: &'a std::path::Path,
}

impl fmt::Display for EverySource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cannot fetch model `{}`; what was tried:", self.model)?;
        for attempt in self.attempts {
            writeln!(f, "  - {}: {}", attempt.source, Chain(&attempt.reason))?;
        }
        if self.attempts.is_empty() {
            writeln!(f, "  - nothing: no source is known for it")?;
        }
        let destination = self.destination.display();
        writeln!(f, "what to do, any of:")?;
        writeln!(f, "  - connect to the network and run this again")?;
        writeln!(
            f,
            "  - fetch it on another machine (`cargo xtask model fetch {}`) and copy it to {destination}",
            self.model
        )?;
        writeln!(f, "  - pass the path of a checkpoint instead of the name (--model PATH)")?;
        write!(f, "  - set LLAMA_RS_CACHE to a directory that has it")
    }
}

/// An error followed by its causes, on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

fn known_names() -> String {
    let names: Vec<&str> = KNOWN_MODELS.iter().map(|model| model.name).collect();
    names.join(", ")
}
