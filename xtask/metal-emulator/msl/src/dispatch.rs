//! [`Dispatch`]: what the host hands to compiled code. `runtime/dispatch.h` has the same fields in the
//! same order.

use std::ffi::CStr;
use std::ffi::c_void;

/// How many arguments of each kind a kernel can have.
pub const NUM_ARGUMENTS: usize = 31;

/// What memory holds before it is written: bytes of it are NaN in every floating-point type.
pub const POISON: u8 = 0xFF;

/// One execution of a kernel.
#[repr(C)]
#[derive(Debug)]
pub struct Dispatch {
    /// What is bound.
    pub arguments: Arguments,
    /// How many threads there are.
    pub grid: Grid,
    /// Function constants.
    pub constants: Constants,
    /// What threads work in.
    pub memory: Memory,
    /// Chooses the order of threads, simdgroups and threadgroups; 0 is the natural one.
    pub seed: u64,
    /// Where execution stands.
    pub progress: Progress,
    pub(crate) fault: [u8; 512],
}

/// What is bound to a kernel's parameters.
#[repr(C)]
#[derive(Debug)]
pub struct Arguments {
    /// Where each buffer's binding begins; null where nothing is bound.
    pub buffers: [*mut c_void; NUM_ARGUMENTS],
    /// How many bytes follow from there.
    pub buffer_bytes: [u64; NUM_ARGUMENTS],
    /// Lengths of threadgroup memory.
    pub threadgroup_bytes: [u64; NUM_ARGUMENTS],
}

/// How many threads there are, along x, y and z.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grid {
    /// Threadgroups.
    pub groups: [u32; 3],
    /// Threads of each, but for the last along a side.
    pub threads_per_group: [u32; 3],
    /// Threads in all.
    pub threads: [u32; 3],
}

/// Function constants, by index.
#[repr(C)]
#[derive(Debug)]
pub struct Constants {
    /// Their indices.
    pub indices: *const u32,
    /// Their values, in the low bytes.
    pub values: *const u64,
    /// How many there are.
    pub count: u64,
}

/// What threads work in.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// 1,024 stacks, each above a page that must not be touched.
    pub stacks: *mut u8,
    /// From one stack to the next.
    pub stack_stride: u64,
    /// Slots of threadgroup memory, each between pages that must not be touched.
    pub slots: *mut u8,
    /// From one slot to the next.
    pub slot_stride: u64,
    /// Bytes of a slot, and the most that a threadgroup may use in all.
    pub slot_bytes: u64,
    /// How many slots there are.
    pub num_slots: u64,
    /// Poison that can be read, for constants that are not bound, and arguments that are switched off.
    pub nothing: *mut u8,
    /// Stretches that must not be touched, one for each argument that is not bound.
    pub unbound: *mut u8,
    /// From one stretch to the next.
    pub unbound_stride: u64,
}

/// Where execution stands.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// The threadgroup's position in the grid.
    pub group: [u32; 3],
    /// The thread's index in it.
    pub thread: u32,
}

impl Dispatch {
    /// A dispatch in which nothing is bound.
    pub fn new(grid: Grid, constants: Constants, memory: Memory, seed: u64) -> Dispatch {
        let arguments = Arguments {
            buffers: [std::ptr::null_mut(); NUM_ARGUMENTS],
            buffer_bytes: [0; NUM_ARGUMENTS],
            threadgroup_bytes: [0; NUM_ARGUMENTS],
        };
        let progress = Progress::default();
        Dispatch { arguments, grid, constants, memory, seed, progress, fault: [0; 512] }
    }

    pub(crate) fn fault(&self) -> Option<String> {
        let text = CStr::from_bytes_until_nul(&self.fault).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_string_lossy().into_owned())
    }
}
