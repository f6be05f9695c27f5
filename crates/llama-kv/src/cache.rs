//! The tensors behind the blocks: keys and values of every layer.
//!
//! Invariant: allocated once, never moved or grown; the operating system gives memory only to blocks that were
//! written. It does not know which sequence a block belongs to.

use candle_core::{DType, Device, Tensor};
use llama_backend::{
    Backend,
    ops::{
        Kernels,
        kv_write::{Slots, kv_write},
        paged_attention::CachedHeads,
    },
};

use crate::{BlockCopy, KvError};

/// Size and precision of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Layers of the model.
    pub num_layers: usize,
    /// KV heads of a layer.
    pub num_kv_heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// Blocks of the pool.
    pub num_blocks: usize,
    /// Tokens per block.
    pub block_len: usize,
    /// Precision of the stored keys and values.
    pub dtype: DType,
}

impl CacheConfig {
    /// Bytes of keys and values of one token on all layers.
    pub fn bytes_per_token(&self) -> usize {
        2 * self.num_layers * self.num_kv_heads * self.head_dim * self.dtype.size_in_bytes()
    }

    /// Bytes of the whole cache.
    pub fn total_bytes(&self) -> usize {
        self.bytes_per_token() * self.num_blocks * self.block_len
    }
}

/// Keys and values of all layers.
///
/// # Shapes
/// Per layer, keys and values: `[n * p, g, d]`; slot `b * p + i` is token `i` of block `b`.
#[derive(Debug)]
pub struct PagedCache {
    config: CacheConfig,
    layers: Vec<(Tensor, Tensor)>,
}

impl PagedCache {
    /// Allocates the cache on the backend's device.
    ///
    /// # Errors
    /// [`KvError::OutOfMemory`] or [`KvError::Backend`] if the device has no memory for it.
    pub fn new(config: CacheConfig, backend: &dyn Backend) -> Result<Self, KvError> {
        if backend.device().is_cpu() {
            check_memory(config.total_bytes())?;
        }
        let shape = [config.num_blocks * config.block_len, config.num_kv_heads, config.head_dim];
        let zeros = || backend.zeros(&shape, config.dtype);
        let layers = (0..config.num_layers).map(|_| Ok((zeros()?, zeros()?)));
        Ok(Self { config, layers: layers.collect::<Result<_, KvError>>()? })
    }

    /// Its size and precision.
    pub fn config(&self) -> &CacheConfig {
        &self.config
    }

    /// Keys and values of a layer, for attention to read.
    pub fn layer(&self, layer_idx: usize) -> CachedHeads<'_> {
        let (keys, values) = &self.layers[layer_idx];
        CachedHeads { keys, values }
    }

    /// Writes the new keys and values of a layer.
    ///
    /// # Shapes
    /// `keys`, `values`: `[t, g, d]`; `slots`: `[t]`.
    ///
    /// # Errors
    /// [`KvError::Backend`] if shapes or slots do not fit.
    pub fn write(
        &mut self,
        layer_idx: usize,
        (keys, values): (&Tensor, &Tensor),
        slots: &Slots,
        kernels: Kernels,
    ) -> Result<(), KvError> {
        let (key_cache, value_cache) = &self.layers[layer_idx];
        kv_write(key_cache, keys, slots, kernels)?;
        kv_write(value_cache, values, slots, kernels)?;
        Ok(())
    }

    /// Copies the keys and values of a layer out of the cache, to the CPU.
    ///
    /// # Shapes
    /// `slots`: `[s]`; result: keys and values `[s, g, d]`.
    ///
    /// # Errors
    /// [`KvError::Backend`] if a slot is outside the cache.
    pub fn read(&self, layer_idx: usize, slots: &[u32]) -> Result<(Tensor, Tensor), KvError> {
        let (keys, values) = &self.layers[layer_idx];
        let slots = Tensor::new(slots, keys.device())?;
        let rows = |cache: &Tensor| cache.index_select(&slots, 0)?.to_device(&Device::Cpu); // [s, g, d]
        Ok((rows(keys)?, rows(values)?))
    }

    /// Copies whole blocks on all layers.
    ///
    /// # Errors
    /// [`KvError::Backend`] if a block is outside the cache.
    pub fn copy_block(&mut self, copy: BlockCopy) -> Result<(), KvError> {
        let len = self.config.block_len;
        let first = copy.to.0 * len as u32;
        let slots = Slots::new((first..first + len as u32).collect());
        for (keys, values) in &self.layers {
            for cache in [keys, values] {
                let rows = cache.narrow(0, copy.from.idx() * len, len)?.copy()?; // [p, g, d]
                kv_write(cache, &rows, &slots, Kernels::Native)?;
            }
        }
        Ok(())
    }
}

/// Asks the operating system for as much memory at once and gives it back untouched: a tensor that gets none ends the
/// process.
fn check_memory(bytes: usize) -> Result<(), KvError> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| KvError::OutOfMemory { bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockId;

    fn cache() -> PagedCache {
        let config = CacheConfig {
            num_layers: 2,
            num_kv_heads: 1,
            head_dim: 2,
            num_blocks: 3,
            block_len: 2,
            dtype: DType::F32,
        };
        PagedCache::new(config, &*llama_backend::Device::Cpu.backend().unwrap()).unwrap()
    }

    #[test]
    fn blocks_are_copied_on_all_layers() {
        let mut cache = cache();
        let rows = Tensor::new(&[[[1f32, 2.0]], [[3.0, 4.0]]], &Device::Cpu).unwrap(); // [2, 1, 2]
        let doubled = (&rows * 2.0).unwrap();
        for layer_idx in 0..2 {
            cache.write(layer_idx, (&rows, &doubled), &Slots::new(vec![0, 1]), Kernels::Native).unwrap();
        }
        cache.copy_block(BlockCopy { from: BlockId(0), to: BlockId(2) }).unwrap();
        for layer_idx in 0..2 {
            let CachedHeads { keys, values } = cache.layer(layer_idx);
            let block = |tensor: &Tensor| tensor.narrow(0, 4, 2).unwrap().to_vec3::<f32>().unwrap();
            assert_eq!(block(keys), rows.to_vec3::<f32>().unwrap());
            assert_eq!(block(values), doubled.to_vec3::<f32>().unwrap());
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let mut cache = cache();
        let rows = Tensor::new(&[[[1f32, 2.0]], [[3.0, 4.0]]], &Device::Cpu).unwrap(); // [2, 1, 2]
        let doubled = (&rows * 2.0).unwrap();
        cache.write(1, (&rows, &doubled), &Slots::new(vec![5, 2]), Kernels::Native).unwrap();
        let (keys, values) = cache.read(1, &[2, 5, 0]).unwrap();
        assert_eq!(keys.to_vec3::<f32>().unwrap(), [[[3.0, 4.0]], [[1.0, 2.0]], [[0.0, 0.0]]]);
        assert_eq!(values.to_vec3::<f32>().unwrap(), [[[6.0, 8.0]], [[2.0, 4.0]], [[0.0, 0.0]]]);
        assert!(cache.read(0, &[6]).is_err());
    }

    #[test]
    fn sizes_are_counted() {
        assert_eq!(cache().config().bytes_per_token(), 2 * 2 * 2 * 4);
        assert_eq!(cache().config().total_bytes(), 32 * 6);
    }
}
