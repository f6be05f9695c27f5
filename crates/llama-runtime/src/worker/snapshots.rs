//! Contexts on their way out of the cache and back.

use std::ops::Range;

use candle_core::Tensor;
use llama_backend::ops::{Kernels, kv_write::Slots};
use llama_engine::{ContextId, EngineError, PinnedContext};
use llama_kv::{BlockTable, Holder, KvError};

use super::work::Worker;
use crate::session::Snapshot;

impl Worker {
    /// Copies a pinned context, up to `len` tokens, to the CPU.
    pub(super) fn export(&mut self, id: ContextId, len: usize) -> Result<Snapshot, EngineError> {
        let pool = self.scheduler.pool_mut();
        let (tokens, table) = self.pins.fork(id, len, pool).ok_or(EngineError::ForeignContext)?;
        let slots = slots(&table, 0..table.len(), self.cache.config().block_len);
        let layers =
            (0..self.cache.config().num_layers).map(|layer_idx| self.cache.read(layer_idx, slots.as_slice()));
        let layers = layers.collect::<Result<_, _>>().map_err(failed);
        self.scheduler.pool_mut().close(table);
        Ok(Snapshot { tokens, layers: layers? })
    }

    /// Pins a context that was exported by an engine of the same model. Running sequences make room for it.
    pub(super) fn import(&mut self, snapshot: Snapshot) -> Result<PinnedContext, EngineError> {
        let Snapshot { tokens, layers } = snapshot;
        let len = layers.first().map_or(0, |(keys, _)| keys.dims()[0]);
        let mut table = self.scheduler.pool_mut().open(&tokens[..len], Holder::Pin);
        let first = table.len();
        let needed = self.scheduler.pool().blocks_for(len) - table.blocks().len();
        self.counts.num_preemptions += self.scheduler.make_room_for(needed);
        let pool = self.scheduler.pool_mut();
        if pool.reserve(&mut table, len).is_err() {
            pool.close(table);
            let stats = pool.stats();
            let available_blocks = stats.total_blocks - stats.pinned_blocks;
            let total_blocks = stats.total_blocks;
            return Err(EngineError::DoesNotFit { needed_blocks: needed, available_blocks, total_blocks });
        }
        let slots = slots(&table, first..len, self.cache.config().block_len);
        let written = layers.iter().enumerate().try_for_each(|(layer_idx, (keys, values))| {
            let device = self.cache.layer(layer_idx).keys.device().clone();
            let new = |rows: &Tensor| rows.narrow(0, first, len - first)?.to_device(&device); // [s, g, d]
            self.cache.write(layer_idx, (&new(keys)?, &new(values)?), &slots, Kernels::Native)
        });
        let pool = self.scheduler.pool_mut();
        match written {
            Ok(()) => {
                pool.commit(&mut table, &tokens[..len]);
                Ok(self.pins.keep(tokens, table))
            }
            Err(error) => {
                pool.close(table);
                Err(failed(error))
            }
        }
    }
}

/// Slots of some of a table's positions.
fn slots(table: &BlockTable, positions: Range<usize>, block_len: usize) -> Slots {
    let slot =
        |position: usize| table.blocks()[position / block_len].0 as usize * block_len + position % block_len;
    Slots::new(positions.map(|position| slot(position) as u32).collect())
}

fn failed(source: KvError) -> EngineError {
    EngineError::Model(Box::new(source))
}
