//! Threads for the CPU paths: a pool that spins between regions, and disjoint tiles of an output.

mod affinity;
mod pool;
mod tiles;

pub use affinity::Affinity;
pub use pool::Pool;
pub use tiles::{TileMut, for_each_tile, new_matrix};
