//! [`Pages`]: memory between two pages that must not be touched.

use std::ptr::{self, NonNull};

/// The size of a page of the host.
pub(crate) const PAGE_BYTES: usize = 4096;

/// What may be done with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

impl Protection {
    pub(crate) fn flags(self) -> i32 {
        match self {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

/// Memory between two pages that must not be touched.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    num_bytes: usize,
}

// SAFETY: it is memory with no owner but this, and whoever uses it must do so with care anyway.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// At least so many bytes, all of them zero; none when the system has no more.
    pub(crate) fn new(num_bytes: usize) -> Option<Pages> {
        let num_bytes = num_bytes.max(1).next_multiple_of(PAGE_BYTES);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let total = num_bytes + 2 * PAGE_BYTES;
        // SAFETY: this maps new memory, and touches none that is there.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), total, libc::PROT_NONE, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return None;
        }
        let start = NonNull::new(mapped.cast::<u8>().wrapping_add(PAGE_BYTES))?;
        let pages = Pages { start, num_bytes };
        pages.protect(Protection::ReadWrite);
        Some(pages)
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How long it is: whole pages.
    pub(crate) fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// Says what may be done with it.
    pub(crate) fn protect(&self, protection: Protection) {
        self.protect_part(0, self.num_bytes, protection);
    }

    /// Says what may be done with a part, given in whole pages.
    pub(crate) fn protect_part(&self, offset: usize, num_bytes: usize, protection: Protection) {
        assert!(offset + num_bytes <= self.num_bytes, "a part lies within its whole");
        let start = self.start().wrapping_add(offset);
        // SAFETY: the part lies within what was mapped.
        let status = unsafe { libc::mprotect(start.cast(), num_bytes, protection.flags()) };
        assert_eq!(status, 0, "the system lets memory be protected: {}", std::io::Error::last_os_error());
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let start = self.start().wrapping_sub(PAGE_BYTES);
        // SAFETY: this is what was mapped, and nothing refers to it any more.
        unsafe { libc::munmap(start.cast(), self.num_bytes + 2 * PAGE_BYTES) };
    }
}
