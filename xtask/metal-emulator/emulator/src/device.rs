//! [`Device`]: makes buffers and libraries.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use msl::Compiler;

use crate::buffer::{Buffer, Storage, Tracking};
use crate::library::Library;
use crate::pages::PAGE_BYTES;
use crate::substitution;

/// The device.
pub struct Device {
    compiler: Compiler,
    allocated_bytes: Arc<AtomicUsize>,
}

/// Bytes that count as allocated for as long as this lives.
pub(crate) struct Allocated {
    num_bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Device {
    /// The one device there is.
    pub fn system() -> Arc<Device> {
        static DEVICE: OnceLock<Arc<Device>> = OnceLock::new();
        let make = || Device { compiler: Compiler::from_environment(), allocated_bytes: Arc::default() };
        Arc::clone(DEVICE.get_or_init(|| Arc::new(make())))
    }

    /// A new buffer, untracked and full of poison; none when there is no room, or no length.
    pub fn buffer(&self, num_bytes: usize, storage: Storage) -> Option<Arc<Buffer>> {
        self.buffer_with(num_bytes, storage, Tracking::Untracked)
    }

    /// A new buffer, full of poison; none when there is no room, or no length.
    pub fn buffer_with(&self, num_bytes: usize, storage: Storage, tracking: Tracking) -> Option<Arc<Buffer>> {
        if num_bytes == 0 {
            return None;
        }
        self.allocated_bytes.fetch_add(num_bytes, Ordering::Relaxed);
        let allocated = Allocated { num_bytes, total: Arc::clone(&self.allocated_bytes) };
        Buffer::new(num_bytes, storage, tracking, allocated)
    }

    /// The host's memory as a buffer: whole pages, which stay the host's. `release` is called at the end.
    ///
    /// What the memory is good for is not checked: a kernel that writes where the host may only read is
    /// stopped by the system.
    pub fn buffer_of_host(
        &self,
        start: NonNull<c_void>,
        num_bytes: usize,
        tracking: Tracking,
        release: Option<Box<dyn Fn() + Send + Sync>>,
    ) -> Option<Arc<Buffer>> {
        let is_whole = start.addr().get().is_multiple_of(PAGE_BYTES) && num_bytes.is_multiple_of(PAGE_BYTES);
        (is_whole && num_bytes > 0).then(|| Buffer::of_host(start, num_bytes, tracking, release))
    }

    /// Compiles a library.
    ///
    /// # Errors
    ///
    /// When it does not compile, with the compiler's messages; when there is no compiler or no cache.
    pub fn library(&self, source: &str) -> Result<Arc<Library>, msl::Error> {
        Library::new(self.compiler.clone(), &substitution::apply(source))
    }

    /// How many bytes its buffers have in all.
    pub fn allocated_bytes(&self) -> usize {
        self.allocated_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Allocated {
    fn drop(&mut self) {
        self.total.fetch_sub(self.num_bytes, Ordering::Relaxed);
    }
}
