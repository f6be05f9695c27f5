//! llama.rs: Llama-family inference on Candle tensors: paged, deterministic, readable.

pub use llama_backend as backend;
pub use llama_engine as engine;
pub use llama_kv as kv;
pub use llama_models as models;
pub use llama_runtime as runtime;
pub use llama_sampling as sampling;
pub use llama_tokenizer as tokenizer;
