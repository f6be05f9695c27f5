//! What threads of a threadgroup work in: stacks and threadgroup memory, between pages that must not be
//! touched.

use std::sync::OnceLock;

use msl::{Memory, NUM_ARGUMENTS};

use crate::pages::{PAGE_BYTES, Pages, Protection};

/// The most threads that a threadgroup may have.
pub(crate) const MAX_THREADS: usize = 1024;

/// The most threadgroup memory that a threadgroup may use, in bytes.
pub(crate) const MAX_THREADGROUP_BYTES: usize = 32 * 1024;

const STACK_BYTES: usize = 64 * 1024;
const NUM_SLOTS: usize = 64;
const SLOT_STRIDE: usize = MAX_THREADGROUP_BYTES + PAGE_BYTES;
const ARGUMENT_STRIDE: usize = 2 * PAGE_BYTES;
const UNBOUND_STRIDE: usize = 1 << 20;
const STACK_STRIDE: usize = STACK_BYTES + PAGE_BYTES;

/// What all dispatches share: one runs at a time.
pub(crate) struct Workspace {
    stacks: Pages,
    slots: Pages,
    /// A page for each argument that is bytes.
    arguments: Pages,
    /// Poison that can be read, for arguments that are not bound or switched off.
    nothing: Pages,
    /// Stretches of nothing, one for each argument that is not bound.
    unbound: Pages,
}

impl Workspace {
    /// The one of this process.
    pub(crate) fn shared() -> &'static Workspace {
        static WORKSPACE: OnceLock<Workspace> = OnceLock::new();
        WORKSPACE.get_or_init(Workspace::new)
    }

    fn new() -> Workspace {
        let stacks = Pages::new(MAX_THREADS * STACK_STRIDE).expect("there is room for the stacks of threads");
        for thread in 0..MAX_THREADS {
            stacks.protect_part(thread * STACK_STRIDE, PAGE_BYTES, Protection::None);
        }
        let slots = Pages::new(NUM_SLOTS * SLOT_STRIDE).expect("there is room for threadgroup memory");
        for slot in 0..NUM_SLOTS {
            slots.protect_part(slot * SLOT_STRIDE + MAX_THREADGROUP_BYTES, PAGE_BYTES, Protection::None);
        }
        let arguments = Pages::new(NUM_ARGUMENTS * ARGUMENT_STRIDE).expect("there is room for arguments");
        for argument in 0..NUM_ARGUMENTS {
            arguments.protect_part(argument * ARGUMENT_STRIDE + PAGE_BYTES, PAGE_BYTES, Protection::None);
        }
        let nothing = Pages::new(16 * PAGE_BYTES).expect("there is room for sixteen pages");
        // SAFETY: these are all the bytes of the pages, and they may be written.
        unsafe { std::ptr::write_bytes(nothing.start(), msl::POISON, nothing.num_bytes()) };
        nothing.protect(Protection::Read);
        let unbound = Pages::new(NUM_ARGUMENTS * UNBOUND_STRIDE).expect("there are addresses enough");
        unbound.protect(Protection::None);
        Workspace { stacks, slots, arguments, nothing, unbound }
    }

    /// Puts an argument's bytes where they end at a guard page, to sixteen bytes. At most a page of them.
    pub(crate) fn place_argument(&self, index: usize, bytes: &[u8]) -> *mut u8 {
        assert!(index < NUM_ARGUMENTS && bytes.len() <= PAGE_BYTES, "the encoder checks arguments");
        let page = self.arguments.start().wrapping_add(index * ARGUMENT_STRIDE);
        let room = bytes.len().next_multiple_of(16);
        let start = page.wrapping_add(PAGE_BYTES - room);
        // SAFETY: the room lies in this argument's page, and one dispatch runs at a time.
        let target = unsafe { std::slice::from_raw_parts_mut(start, room) };
        let (target, padding) = target.split_at_mut(bytes.len());
        target.copy_from_slice(bytes);
        padding.fill(msl::POISON);
        start
    }

    /// As compiled code wants it.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            stacks: self.stacks.start(),
            stack_stride: STACK_STRIDE as u64,
            slots: self.slots.start(),
            slot_stride: SLOT_STRIDE as u64,
            slot_bytes: MAX_THREADGROUP_BYTES as u64,
            num_slots: NUM_SLOTS as u64,
            nothing: self.nothing.start(),
            unbound: self.unbound.start(),
            unbound_stride: UNBOUND_STRIDE as u64,
        }
    }

    /// What lies at an address, if it is a stack or threadgroup memory.
    pub(crate) fn describe(&self, address: usize) -> Option<&'static str> {
        let within = |pages: &Pages| {
            let start = pages.start().addr() - PAGE_BYTES;
            (start..start + pages.num_bytes() + 2 * PAGE_BYTES).contains(&address)
        };
        if within(&self.unbound) {
            return Some("through an argument that is not bound");
        }
        if within(&self.stacks) {
            Some("the end of a thread's stack: its local arrays are too large")
        } else if within(&self.slots) {
            Some("beyond the end of threadgroup memory")
        } else if within(&self.arguments) {
            Some("beyond the end of bytes that were set as an argument")
        } else if within(&self.nothing) {
            Some("through an argument that is not bound or switched off")
        } else {
            None
        }
    }
}
