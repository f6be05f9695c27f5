//! [`Error`]: why a library could not be made.

use std::io;
use std::path::PathBuf;

/// Why a library could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The compiler is not installed: install it, or name another in `METAL_EMULATOR_CXX`.
    #[error(
        "cannot run {program}: install the Debian package clang-19, or name a clang of version 16 or later in METAL_EMULATOR_CXX"
    )]
    NoCompiler {
        /// What was tried.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The source does not compile: its lines are named.
    #[error("{message}")]
    Source {
        /// What the compiler said.
        message: String,
    },
    /// The cache cannot be used: name a folder that can be written in `METAL_EMULATOR_CACHE`.
    #[error("cannot use the cache at {path}")]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Compiled code cannot be loaded: delete it from the cache.
    #[error("cannot load {path}: {message}")]
    Load {
        /// The shared object.
        path: PathBuf,
        /// What the loader said.
        message: String,
    },
    /// There is no such kernel in the library.
    #[error("there is no kernel `{name}`")]
    NoKernel {
        /// What was asked for.
        name: String,
    },
}
