//! Compiles the Metal Shading Language for the CPU.
//!
//! A [`Library`] is made from source text: preprocessed and compiled by clang, with a translation into C++
//! in between (`translate`) and headers that give C++ the types and functions of Metal (`runtime/`).
//! [`Library::kernel`] finds a kernel, and [`Kernel::run`] executes all threadgroups of one [`Dispatch`].
//!
//! Compiled code is cached by content, so that it is compiled once per machine.
//!
//! This is not Apple's compiler: what it accepts is C++ with Metal's names, and it rounds as C++ does.
//!
//! ```
//! let compiler = msl::Compiler::from_environment();
//! let source = "kernel void nothing(uint i [[thread_position_in_grid]]) {}";
//! let library = msl::Library::from_source(compiler, source).expect("this compiles");
//! assert!(library.has_kernel("nothing"));
//! ```

mod compiler;
mod dispatch;
mod error;
mod headers;
mod library;
mod shared_object;
mod token;
mod translate;

pub use compiler::Compiler;
pub use dispatch::{Arguments, Constants, Dispatch, Grid, Memory, NUM_ARGUMENTS, POISON, Progress};
pub use error::Error;
pub use library::{Kernel, Library};

/// How many libraries or kernels this process has compiled, rather than found in the cache.
pub fn num_compiled() -> u64 {
    compiler::NUM_COMPILED.load(std::sync::atomic::Ordering::Relaxed)
}
