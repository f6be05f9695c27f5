//! [`Buffer`]: memory of the device, full of poison until it is written, and between guard pages.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::crash;
use crate::device::Allocated;
use crate::pages::Pages;

/// Who may look at a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// The host and the device.
    Shared,
    /// The device only.
    Private,
}

/// Whether the device orders commands by the buffers that they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// It does.
    Tracked,
    /// It does not: barriers and fences must.
    Untracked,
}

/// Memory of the device.
pub struct Buffer {
    id: usize,
    start: NonNull<u8>,
    num_bytes: usize,
    storage: Storage,
    tracking: Tracking,
    memory: Memory,
    _registration: crash::Registration,
}

/// Whose memory it is.
enum Memory {
    Own { pages: Pages, _allocated: Allocated },
    Host { release: Option<Box<dyn Fn() + Send + Sync>> },
}

// SAFETY: it is memory that host and device share under rules of their own, as on a real device.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// New memory, full of poison. It ends at a guard page, to sixteen bytes.
    pub(crate) fn new(
        num_bytes: usize,
        storage: Storage,
        tracking: Tracking,
        allocated: Allocated,
    ) -> Option<Arc<Buffer>> {
        let pages = Pages::new(num_bytes)?;
        // SAFETY: these are all the bytes of the pages, and they may be written.
        unsafe { ptr::write_bytes(pages.start(), msl::POISON, pages.num_bytes()) };
        let offset = pages.num_bytes() - num_bytes.next_multiple_of(16);
        let start = NonNull::new(pages.start().wrapping_add(offset))?;
        let memory = Memory::Own { pages, _allocated: allocated };
        Some(Buffer::of(start, num_bytes, (storage, tracking), memory))
    }

    /// The host's memory as a buffer.
    pub(crate) fn of_host(
        start: NonNull<c_void>,
        num_bytes: usize,
        tracking: Tracking,
        release: Option<Box<dyn Fn() + Send + Sync>>,
    ) -> Arc<Buffer> {
        Buffer::of(start.cast(), num_bytes, (Storage::Shared, tracking), Memory::Host { release })
    }

    fn of(
        start: NonNull<u8>,
        num_bytes: usize,
        (storage, tracking): (Storage, Tracking),
        memory: Memory,
    ) -> Arc<Buffer> {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let _registration = crash::Registration::new(id, start.as_ptr().addr(), num_bytes);
        Arc::new(Buffer { id, start, num_bytes, storage, tracking, memory, _registration })
    }

    /// Its number, counted from 1 in the order of creation.
    pub fn id(&self) -> usize {
        self.id
    }

    /// How long it is.
    pub fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// Who may look at it.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Whether the device orders what touches it.
    pub fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Its memory, for the host.
    ///
    /// # Panics
    ///
    /// If it is private: on a real device there is no such address.
    pub fn contents(&self) -> NonNull<c_void> {
        assert!(
            self.storage == Storage::Shared,
            "the host asks for the contents of buffer {}, which has private storage",
            self.id
        );
        self.start.cast()
    }

    /// Its memory, for the device.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The pages around it, if they are the device's own.
    pub(crate) fn pages(&self) -> Option<&Pages> {
        match &self.memory {
            Memory::Own { pages, .. } => Some(pages),
            Memory::Host { .. } => None,
        }
    }

    /// Whether something has been written in front of it, where a page begins.
    pub(crate) fn is_written_in_front(&self) -> bool {
        let Some(pages) = self.pages() else { return false };
        let num_bytes = self.start().addr() - pages.start().addr();
        // SAFETY: these bytes lie in the pages, and were written when the buffer was made.
        let front = unsafe { std::slice::from_raw_parts(pages.start(), num_bytes) };
        front.iter().any(|&byte| byte != msl::POISON)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Memory::Host { release: Some(release) } = &self.memory {
            release();
        }
    }
}
