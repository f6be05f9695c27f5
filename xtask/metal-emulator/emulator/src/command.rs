//! What encoders record.

use std::sync::Arc;

use msl::{Grid, NUM_ARGUMENTS};

use crate::buffer::Buffer;
use crate::library::Pipeline;

/// One command.
pub(crate) enum Command {
    Dispatch(Box<Dispatch>),
    /// What follows comes after what precedes.
    Barrier,
    Copy(Copy),
    Fill {
        target: Part,
        value: u8,
    },
}

/// An execution of a kernel.
pub(crate) struct Dispatch {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) bindings: Bindings,
    pub(crate) grid: Grid,
}

/// What is bound when a dispatch is encoded.
#[derive(Clone)]
pub(crate) struct Bindings {
    pub(crate) arguments: [Argument; NUM_ARGUMENTS],
    pub(crate) threadgroup_bytes: [u64; NUM_ARGUMENTS],
}

/// What is bound at one index.
#[derive(Clone)]
pub(crate) enum Argument {
    Nothing,
    Buffer { buffer: Arc<Buffer>, offset: usize },
    Bytes(Vec<u8>),
}

/// A copy from buffer to buffer.
pub(crate) struct Copy {
    pub(crate) source: Part,
    pub(crate) target: Part,
}

/// A part of a buffer.
pub(crate) struct Part {
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) offset: usize,
    pub(crate) num_bytes: usize,
}

/// What one encoder has recorded.
#[derive(Default)]
pub(crate) struct Encoded {
    pub(crate) commands: Vec<Command>,
    /// Whether each command comes after the one before it.
    pub(crate) is_serial: bool,
    /// What the encoder was used wrongly for, first of all.
    pub(crate) fault: Option<String>,
    /// Fences that it waits for.
    pub(crate) waits: Vec<u64>,
    /// Fences that it updates.
    pub(crate) updates: Vec<u64>,
}

impl Default for Bindings {
    fn default() -> Bindings {
        Bindings {
            arguments: [const { Argument::Nothing }; NUM_ARGUMENTS],
            threadgroup_bytes: [0; NUM_ARGUMENTS],
        }
    }
}

impl Encoded {
    /// Notes a fault, unless there was one before.
    pub(crate) fn fail(&mut self, fault: impl FnOnce() -> String) {
        self.fault.get_or_insert_with(fault);
    }
}

impl Part {
    pub(crate) fn is_within(&self) -> bool {
        self.offset.checked_add(self.num_bytes).is_some_and(|end| end <= self.buffer.num_bytes())
    }
}
