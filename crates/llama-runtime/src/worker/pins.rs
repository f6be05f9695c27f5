//! Pinned contexts: tokens and the blocks that hold them.

use std::{
    collections::HashMap,
    sync::mpsc::{self, Sender},
};

use llama_engine::{ContextId, PinnedContext};
use llama_kv::{BlockPool, BlockTable, Holder};

use super::Command;

/// The pins of one engine.
pub(super) struct Pins {
    engine: u64,
    next_id: u64,
    contexts: HashMap<ContextId, Pinned>,
    /// Where a handle's last drop is announced.
    commands: mpsc::Sender<Command>,
}

struct Pinned {
    tokens: Vec<u32>,
    /// Holds the first of them; the last sampled token may not be cached.
    table: BlockTable,
}

impl Pins {
    pub(super) fn new(engine: u64, commands: Sender<Command>) -> Self {
        Self { engine, next_id: 0, contexts: HashMap::new(), commands }
    }

    /// Keeps `tokens`, the first of which `table` holds, and returns their handle.
    pub(super) fn keep(&mut self, tokens: Vec<u32>, table: BlockTable) -> PinnedContext {
        let id = ContextId(self.next_id);
        self.next_id += 1;
        let len = tokens.len();
        self.contexts.insert(id, Pinned { tokens, table });
        let commands = self.commands.clone();
        PinnedContext::new(id, self.engine, len, move |id| {
            // If the worker is gone, so are its pins.
            let _ = commands.send(Command::Release(id));
        })
    }

    /// The tokens of a context, up to `len`, and a table that shares their blocks.
    pub(super) fn fork(
        &self,
        id: ContextId,
        len: usize,
        pool: &mut BlockPool,
    ) -> Option<(Vec<u32>, BlockTable)> {
        let Pinned { tokens, table } = self.contexts.get(&id)?;
        let mut table = pool.fork(table, Holder::Sequence);
        pool.truncate(&mut table, len);
        Some((tokens[..len].to_vec(), table))
    }

    /// Contexts that are kept.
    pub(super) fn len(&self) -> usize {
        self.contexts.len()
    }

    pub(super) fn release(&mut self, id: ContextId, pool: &mut BlockPool) {
        if let Some(pinned) = self.contexts.remove(&id) {
            pool.close(pinned.table);
        }
    }
}
