//! Text to tokens and back for llama.rs: tokenizer.json, GGUF vocabularies, chat templates, and incremental decoding that never splits a
//! character.
//!
//! Token ids are plain `u32`. A [`Tokenizer`] is built once from plain data and is immutable; a [`StreamDecoder`] follows one growing
//! sequence; a [`ChatTemplate`] turns [`Message`]s into the text to tokenize. Invariant: `decode`, the stream decoder and `token_bytes`
//! always agree, and special tokens come out of text only where the caller asked for it. The crate deliberately knows nothing of tensors,
//! of weight files or of the other crates, and it reads no clock.
//!
//! ```
//! use llama_tokenizer::{AddSpecial, ChatTemplate, DecodeSpecial, GenerationPrompt, Message, ParseSpecial, RenderOptions, Tokenizer};
//!
//! # fn main() -> Result<(), llama_tokenizer::TokenizerError> {
//! let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard/tokenizer.json");
//! let tokenizer = Tokenizer::from_file(path)?;
//!
//! let ids = tokenizer.encode("HAMLET.\n", AddSpecial::Yes, ParseSpecial::No)?;
//! assert_eq!(ids, [0, 41, 34, 46, 636, 53, 15, 200]);
//! assert_eq!(tokenizer.decode(&ids, DecodeSpecial::Skip)?, "HAMLET.\n");
//!
//! let mut stream = tokenizer.stream_decoder(DecodeSpecial::Skip);
//! let mut text = String::new();
//! for id in ids {
//!     text += &stream.push(id)?;
//! }
//! assert_eq!(text + &stream.finish(), "HAMLET.\n");
//!
//! let prompt = ChatTemplate::chatml().render(&[Message::user("Who's there?")], &RenderOptions::new(GenerationPrompt::Add))?;
//! assert_eq!(prompt, "<|im_start|>user\nWho's there?<|im_end|>\n<|im_start|>assistant\n");
//! # Ok(())
//! # }
//! ```

mod special;
mod stream;
mod tokenizer;

mod gguf;
mod hub;

mod byte_level;
mod pieces;
mod pipeline;
mod spm;

mod template;

mod error;

pub use error::{Source, TokenizerError};
pub use gguf::GgufVocabulary;
pub use special::{AddSpecial, DecodeSpecial, ParseSpecial, SpecialIds};
pub use stream::StreamDecoder;
pub use template::{ChatTemplate, GenerationPrompt, LocalTime, Message, RenderOptions, SpecialTokens};
pub use tokenizer::Tokenizer;
