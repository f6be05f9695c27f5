//! The paged KV cache: which block holds which tokens, and the tensors behind the blocks.
//!
//! [`BlockPool`] is integers only: it counts references, shares prefixes, evicts and copies on write, and never sees
//! a tensor. [`PagedCache`] is tensors only: it writes rows into slots and never knows whose they are. A
//! [`BlockTable`] ties a sequence to its blocks (Kwon et al., arXiv:2309.06180, section 4).
//!
//! ```
//! use llama_kv::{BlockPool, Holder};
//!
//! let mut pool = BlockPool::new(8, 4);
//! let tokens = [1, 2, 3, 4, 5];
//! let mut table = pool.open(&tokens, Holder::Sequence);
//! pool.reserve(&mut table, tokens.len())?;
//! // ... a forward pass writes the five slots ...
//! pool.commit(&mut table, &tokens);
//! pool.close(table);
//!
//! // The full block of four stays cached until its memory is needed.
//! assert_eq!(pool.open(&tokens, Holder::Sequence).len(), 4);
//! # Ok::<(), llama_kv::KvError>(())
//! ```

mod block;
mod cache;
mod error;
mod pool;
mod prefix;
mod table;

pub use block::{BlockCopy, BlockId};
pub use cache::{CacheConfig, PagedCache};
pub use error::KvError;
pub use pool::{BlockPool, PoolStats};
pub use table::{BlockTable, Holder};
