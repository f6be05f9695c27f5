//! What all requests share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use llama_engine::LlamaEngine;

use crate::{ServerConfig, admission::Admission, answers::Answers, contexts::Contexts, metrics::Metrics};

/// The engine, and everything that is counted across requests. Clones are the same.
pub(crate) struct App<E> {
    shared: Arc<Shared<E>>,
}

pub(crate) struct Shared<E> {
    pub(crate) engine: E,
    pub(crate) config: ServerConfig,
    pub(crate) admission: Admission,
    pub(crate) contexts: Contexts,
    pub(crate) answers: Answers,
    pub(crate) metrics: Metrics,
    /// When the server was made, in seconds since 1970.
    pub(crate) created: u64,
    is_stopping: AtomicBool,
}

impl<E: LlamaEngine> App<E> {
    pub(crate) fn new(engine: E, config: ServerConfig) -> Self {
        let admission = Admission::new(&config.limits);
        let contexts = Contexts::new(config.limits.max_contexts);
        let is_stopping = AtomicBool::new(false);
        let answers = Answers::default();
        let metrics = Metrics::new(&engine.info().model);
        let created = now();
        let shared = Shared { engine, config, admission, contexts, answers, metrics, created, is_stopping };
        Self { shared: Arc::new(shared) }
    }

    /// From now on the server says that it is stopping.
    pub(crate) fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.is_stopping.load(Ordering::Relaxed)
    }
}

impl<E> Clone for App<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E> std::ops::Deref for App<E> {
    type Target = Shared<E>;

    fn deref(&self) -> &Shared<E> {
        &self.shared
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A name that nobody can guess: 128 random bits.
pub(crate) fn unguessable(prefix: &str) -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("every supported system has a source of randomness");
    bytes.iter().fold(prefix.to_owned(), |name, byte| format!("{name}{byte:02x}"))
}
