//! What a dispatch does with each buffer: memory is closed before it runs, and the first read and the first
//! write of a buffer open it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::buffer::Buffer;
use crate::pages::Protection;

/// What was done with memory. Writing counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Read,
    Write,
}

/// What a command did with a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// The buffer's number.
    pub(crate) buffer: usize,
    /// The most that was done.
    pub(crate) kind: Kind,
}

const UNTOUCHED: u8 = 0;
const READ: u8 = 1;
const WRITTEN: u8 = 2;

/// What is watched now, for the signal handler. One dispatch runs at a time.
static WATCHED: [Watched; msl::NUM_ARGUMENTS] = [const { Watched::empty() }; msl::NUM_ARGUMENTS];

struct Watched {
    start: AtomicUsize,
    num_bytes: AtomicUsize,
    state: AtomicU8,
}

impl Watched {
    const fn empty() -> Watched {
        Watched {
            start: AtomicUsize::new(0),
            num_bytes: AtomicUsize::new(0),
            state: AtomicU8::new(UNTOUCHED),
        }
    }

    fn contains(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Relaxed);
        start != 0 && (start..start + self.num_bytes.load(Ordering::Relaxed)).contains(&address)
    }
}

/// Opens watched memory for an access. False when it is not watched, or open already.
///
/// Safe in a signal handler.
pub(crate) fn observe(address: usize, kind: Kind) -> bool {
    let Some(watched) = WATCHED.iter().find(|watched| watched.contains(address)) else { return false };
    let state = watched.state.load(Ordering::Relaxed);
    let (state, protection) = match (state, kind) {
        (UNTOUCHED, Kind::Read) => (READ, Protection::Read),
        (UNTOUCHED | READ, Kind::Write) => (WRITTEN, Protection::ReadWrite),
        _ => return false,
    };
    let start = watched.start.load(Ordering::Relaxed);
    let num_bytes = watched.num_bytes.load(Ordering::Relaxed);
    let pages = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: these pages belong to a buffer that `Watch` keeps alive.
    let status = unsafe { libc::mprotect(pages, num_bytes, protection.flags()) };
    watched.state.store(state, Ordering::Relaxed);
    status == 0
}

/// Buffers that are watched, until [`Watch::finish`].
pub(crate) struct Watch(Vec<Arc<Buffer>>);

impl Watch {
    /// Closes these buffers. The host's own memory is left alone: others may be reading it.
    pub(crate) fn new<'a>(bound: impl Iterator<Item = &'a Arc<Buffer>>) -> Watch {
        let own = bound.filter(|buffer| buffer.pages().is_some());
        let buffers: BTreeMap<usize, Arc<Buffer>> =
            own.map(|buffer| (buffer.id(), Arc::clone(buffer))).collect();
        let buffers: Vec<Arc<Buffer>> = buffers.into_values().collect();
        for (watched, buffer) in WATCHED.iter().zip(&buffers) {
            let Some(pages) = buffer.pages() else { continue };
            watched.state.store(UNTOUCHED, Ordering::Relaxed);
            watched.num_bytes.store(pages.num_bytes(), Ordering::Relaxed);
            watched.start.store(pages.start().expose_provenance(), Ordering::Relaxed);
            pages.protect(Protection::None);
        }
        Watch(buffers)
    }

    /// Opens the buffers, and says what was done with each.
    pub(crate) fn finish(self) -> Vec<Access> {
        let mut accesses = Vec::new();
        for (watched, buffer) in WATCHED.iter().zip(&self.0) {
            let Some(pages) = buffer.pages() else { continue };
            pages.protect(Protection::ReadWrite);
            watched.start.store(0, Ordering::Relaxed);
            let kind = match watched.state.load(Ordering::Relaxed) {
                UNTOUCHED => continue,
                READ => Kind::Read,
                _ => Kind::Write,
            };
            accesses.push(Access { buffer: buffer.id(), kind });
        }
        accesses
    }
}
