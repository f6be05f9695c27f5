//! Checkpoints, the decoder and the encoder: what a model is on disk, and what it computes.
//!
//! [`Checkpoint`] opens safetensors directories and GGUF files without reading a weight, and says what is in them;
//! [`DecoderConfig`] is the one description of a decoder that both give. Which families there are, and how they
//! differ, is data in [`families`].
//!
//! # Dimension key
//!
//! | letter | is | letter | is |
//! |---|---|---|---|
//! | `b` | sequences | `e` | hidden size |
//! | `t` | new tokens | `f` | feed-forward size |
//! | `s` | cached tokens | `v` | vocabulary size |
//! | `h` | query heads | `n` | blocks of the cache |
//! | `g` | KV heads | `p` | tokens per block |
//! | `d` | head size | | |
//!
//! # Example
//!
//! ```
//! use std::path::Path;
//!
//! use llama_models::Checkpoint;
//!
//! let bard = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
//! let checkpoint = Checkpoint::open(&bard)?;
//! let config = checkpoint.config();
//! assert_eq!(config.family.name, "llama");
//!
//! let shape = [config.vocab_size, config.hidden_size]; // [v, e]
//! let embedding = checkpoint.tensor("model.embed_tokens.weight", &shape)?;
//! println!("{embedding:?}, {} bytes in all", checkpoint.memory_plan().total_bytes());
//! # Ok::<_, llama_models::ModelError>(())
//! ```

mod batch;
pub mod checkpoint;
pub mod config;
mod decoder;
mod encoder;
mod error;
pub mod families;

pub use batch::{Batch, Output, Outputs, Span};
pub use checkpoint::{AnyCheckpoint, Checkpoint, Quantization, Vocabulary};
pub use config::{DecoderConfig, EncoderConfig};
pub use decoder::{Decoder, DecoderOptions};
pub use encoder::Encoder;
pub use error::ModelError;
