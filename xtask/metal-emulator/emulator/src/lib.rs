//! A Metal device on the CPU that looks for faults.
//!
//! The stand-ins for `objc2-metal` and its siblings put this device under programs that were written for
//! Apple's, Candle above all. Kernels run one after another on the thread that waits for them, and slowly:
//! the point is to find what is wrong with a kernel, or with the code that encodes it.
//!
//! What a program says to the emulator itself is small: [`set_seed`] chooses an order of execution, and
//! [`Counters`] say what has run, so that a test can prove that something did.
//!
//! ```
//! metal_emulator::set_seed(3);
//! let device = metal_emulator::Device::system();
//! let library = device.library("kernel void f(device uint *x, uint i [[thread_position_in_grid]]) { x[i] = i; }")?;
//! let buffer = device.buffer(16, metal_emulator::Storage::Shared).expect("there is room");
//!
//! let commands = metal_emulator::Queue::new(&device).commands();
//! let encoder = commands.compute_encoder(metal_emulator::DispatchType::Concurrent);
//! encoder.set_pipeline(&library.pipeline("f", &[])?);
//! encoder.bind_buffer(0, Some((&buffer, 0)));
//! encoder.dispatch_threads([4, 1, 1], [4, 1, 1]);
//! encoder.end();
//! commands.commit();
//! commands.wait();
//! assert_eq!(commands.error(), None);
//! assert_eq!(metal_emulator::Counters::now().dispatches, 1);
//! # Ok::<(), metal_emulator::Error>(())
//! ```

mod access;
mod blit_encoder;
mod buffer;
mod command;
mod command_buffer;
mod compute_encoder;
mod counters;
mod crash;
mod device;
mod fence;
mod hazards;
mod library;
mod pages;
mod queue;
mod run;
mod seed;
mod substitution;
mod workspace;

pub use blit_encoder::BlitEncoder;
pub use buffer::{Buffer, Storage, Tracking};
pub use command_buffer::{CommandBuffer, Status};
pub use compute_encoder::{ComputeEncoder, DispatchType};
pub use counters::Counters;
pub use device::Device;
pub use fence::Fence;
pub use library::{Constant, Library, Pipeline};
pub use msl::Error;
pub use queue::Queue;
pub use seed::{seed, set_seed};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a thread that panicked has left behind is as good as before: all changes here are single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
