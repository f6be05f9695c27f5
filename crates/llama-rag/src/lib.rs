//! Retrieval for llama.rs: from a folder of texts to an answer that cites them.
//!
//! ```text
//!  Document ─ Splitter ─► chunks ─ Embedder (LlamaEngine::embed) ─► vectors ─► Store (one file, whole documents at a time)
//!                                                                                │ read when opened, followed at each commit
//!  question ─► VectorIndex ─┐                                                    ▼
//!           └► WordIndex ───┴─► fuse ─► hits ─► Reader: pinned chunks ─► CitedAnswer (LlamaEngine::generate)
//! ```
//!
//! ```
//! use std::sync::Arc;
//! use llama_rag::{Collection, CollectionSettings, Reader, ReaderSettings, Document, SearchOptions, Style};
//! use llama_runtime::{CandleEngine, EngineOptions};
//!
//! # futures::executor::block_on(async {
//! # let bard = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/bard");
//! let engine = Arc::new(CandleEngine::load(bard, EngineOptions::default()).await?);
//! let mut plays = Collection::in_memory(engine.clone(), CollectionSettings::default())?;
//! plays.add(vec![
//!     Document::new("hamlet", "To be, or not to be, that is the question."),
//!     Document::new("lear", "Nothing will come of nothing."),
//! ]).await?;
//!
//! let question = "What is the question?";
//! let hits = plays.search(question, &SearchOptions::default()).await?;
//! let settings = ReaderSettings { style: Style::Plain, max_answer_tokens: 16, ..ReaderSettings::default() };
//! let mut reader = Reader::new(engine, settings);
//! reader.read(hits.into_iter().map(|hit| hit.chunk)).await?;
//! let answer = reader.ask(question).await?.collect().await?;
//! for citation in &answer.citations {
//!     println!("[{}] is bytes {:?} of {}", citation.number, citation.range, citation.source);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Generic over [`LlamaEngine`](llama_engine::LlamaEngine): one engine embeds, one answers, and they may be the same. Knows no Candle, no async
//! runtime and no HTTP.
//!
//! Invariants:
//! - A chunk's text is exactly its byte range of the document, and a citation says that range.
//! - A store holds whole documents. Killed at any moment and started again, an index run ends in what an undisturbed one makes: nothing
//!   is lost, nothing is there twice.
//! - What a search finds depends on documents, settings and question alone: ties are broken by the order in which chunks came in.
//! - Filters apply before ranking, so a search finds as many as there are.
//! - Files, stores and names may be hostile: they end in typed errors or reported skips.
//!
//! Deliberately absent: no chains of prompts, no agents, no rewriting of questions, no language-dependent stemming.
//!
//! # Why these parts
//!
//! - **Splitting**: `text-splitter` knows Unicode sentences and CommonMark, gives slices of the text with their offsets, and takes any measure of
//!   length.
//! - **Store**: `redb` is a B-tree in Rust, copied on write, with transactions that survive a crash and a lock against other processes, in one
//!   package. SQLite would do, with a C compiler; a log of our own would have to be proved.
//! - **Words**: the inverted index is our own. `bm25` 2.3 scores sparse vectors but cannot save them, nor keep them apart by filter; `tantivy` 0.27 is a
//!   search engine with a store of its own, so a crash could part what two stores hold. What is needed is a map from words to rows, made again
//!   from the stored chunks when a collection is opened.
//! - **Vectors**: a scan, and for large collections `usearch` (feature `approximate`, off by default because it is C++). Measured with 20,000 vectors of 384
//!   components in f32, clustered, on one thread of a server CPU; M = 16, 128 nodes looked at when adding and 64 when searching; recall of the ten nearest
//!   of 500 queries was 1.0 for each:
//!
//!   | crate | packages | cold build | adds 20,000 | a query | removes | saves |
//!   |---|---:|---:|---:|---:|---|---|
//!   | `usearch` 2.26 (C++) | 15 | 29 s | 7.5 s | 0.24 ms | yes | yes |
//!   | `hnsw_rs` 0.3.5 | 81 | 105 s | 32.4 s | 0.91 ms | no | yes |
//!   | `instant-distance` 0.6 | 26 | 19 s | 42.0 s | 0.30 ms | no, nor adds later | with serde |
//!   | a scan in f32 | | | | 1.6 ms | yes | |
//!
//!   It also filters while it searches. `sqlite-vec` scans, too, as of 0.1, and needs SQLite. In eight bits, rounded as in a scan, a graph misses nothing that
//!   the scan finds, and answers in 0.2 ms of 10,000 vectors and 0.8 ms of 100,000 where the scan takes 0.9 and 9 (`benches/LOG.md`). A question is embedded
//!   in some 4 ms, so a graph is felt from about 50,000 chunks on. It costs half a millisecond a chunk, once; embedding the chunk costs fifty times that.

#[cfg(any(feature = "graphrag", feature = "rig"))]
pub mod adapters;
mod bm25;
mod cited;
mod collection;
mod context;
mod document;
mod embedder;
mod error;
mod filter;
mod fusion;
mod reader;
mod splitter;
mod store;
mod top;
mod vectors;

pub use bm25::WordIndex;
pub use cited::{AnswerEnd, AnswerEvent, CitedAnswer, SourceCitation};
pub use collection::{
    Collection, CollectionSettings, FolderOptions, Hit, IndexReport, Links, Ranking, SearchOptions,
    SkipReason, Skipped,
};
pub use context::{PinnedSources, Reading, Style, Turn};
pub use document::{Chunk, ChunkId, Document, Format, Metadata};
pub use embedder::{Embedded, Embedder};
pub use error::RagError;
pub use filter::Filter;
pub use fusion::fuse;
pub use reader::{Reader, ReaderSettings};
pub use splitter::{SplitSettings, Splitter, TokenCounter};
#[cfg(feature = "approximate")]
pub use vectors::VectorGraph;
pub use vectors::{Rescoring, VectorIndex, VectorSettings, VectorType, rescore};
