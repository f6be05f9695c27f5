//! One run of a kernel: buffers in the order of the kernel's parameters, arguments, grid.

use candle_core::{DType, MetalDevice};
use candle_metal_kernels::metal::CommandsGuard;
use objc2_metal::MTLSize;

use super::{Kernel, Operand, Output, StoredBytes};
use crate::{BackendError, weight::WeightDtype};

/// A dispatch that is being put together. It holds Candle's encoder, so nothing else may be asked of the device
/// until it runs: outputs are allocated before.
pub(crate) struct Dispatch<'a> {
    commands: CommandsGuard<'a>,
    num_buffers: usize,
}

impl<'a> Dispatch<'a> {
    pub(crate) fn new(device: &'a MetalDevice, kernel: &Kernel) -> Result<Self, BackendError> {
        let pipeline = kernel.pipeline(device)?;
        let commands = device.command_encoder()?;
        commands.as_ref().set_compute_pipeline_state(&pipeline);
        Ok(Self { commands, num_buffers: 0 })
    }

    /// The next buffer, which the kernel reads.
    pub(crate) fn input(mut self, operand: &Operand) -> Self {
        let idx = self.next_buffer();
        self.commands.as_ref().set_input_buffer(idx, Some(operand.storage.buffer()), operand.offset_bytes());
        self
    }

    /// The next buffer: a weight. The kernel adds [`StoredBytes::offset`] itself, since offsets of buffers must be
    /// rounder than those in files are.
    pub(crate) fn stored(mut self, bytes: &StoredBytes) -> Self {
        let idx = self.next_buffer();
        self.commands.as_ref().set_input_buffer(idx, Some(bytes.buffer()), 0);
        self
    }

    /// The next buffer, which the kernel writes.
    pub(crate) fn output(mut self, output: &Output) -> Self {
        let idx = self.next_buffer();
        self.commands.as_ref().set_output_buffer(idx, Some(output.storage.buffer()), 0);
        self
    }

    /// The next buffer, which exists already and of which the kernel writes a part.
    pub(crate) fn in_place(mut self, operand: &Operand) -> Self {
        let idx = self.next_buffer();
        self.commands.as_ref().set_output_buffer(idx, Some(operand.storage.buffer()), operand.offset_bytes());
        self
    }

    /// The next buffer: the kernel's arguments.
    pub(crate) fn arguments<A: Copy>(mut self, arguments: &A) -> Self {
        let idx = self.next_buffer();
        self.commands.as_ref().set_bytes(idx, arguments);
        self
    }

    /// Memory that a threadgroup shares: its first such parameter.
    pub(crate) fn threadgroup_bytes(self, bytes: usize) -> Self {
        self.commands.as_ref().set_threadgroup_memory_length(0, bytes.next_multiple_of(16));
        self
    }

    /// Encodes the dispatch: `groups` threadgroups of `threads` threads.
    pub(crate) fn run(self, groups: [usize; 3], threads: usize) {
        if groups.contains(&0) {
            return; // nothing to compute
        }
        let [width, height, depth] = groups;
        self.commands.as_ref().dispatch_thread_groups(
            MTLSize { width, height, depth },
            MTLSize { width: threads, height: 1, depth: 1 },
        );
    }

    /// Encodes the dispatch with one thread per value.
    pub(crate) fn run_each(self, num_values: usize) {
        const THREADS: usize = 256;
        self.run([num_values.div_ceil(THREADS), 1, 1], THREADS);
    }

    fn next_buffer(&mut self) -> usize {
        self.num_buffers += 1;
        self.num_buffers - 1
    }
}

/// The end of a kernel's name: which dtype it is for.
pub(crate) fn suffix(op: &'static str, dtype: DType) -> Result<&'static str, BackendError> {
    match dtype {
        DType::F32 => Ok("f32"),
        DType::F16 => Ok("f16"),
        DType::BF16 => Ok("bf16"),
        _ => Err(BackendError::Argument { op, reason: format!("no Metal kernel for {dtype:?}") }),
    }
}

/// Number of a tensor's dtype among the stored formats: `STORED_…` in `stored.metal`.
pub(crate) fn format(op: &'static str, dtype: DType) -> Result<u16, BackendError> {
    match dtype {
        DType::F32 => Ok(WeightDtype::F32 as u16),
        DType::F16 => Ok(WeightDtype::F16 as u16),
        DType::BF16 => Ok(WeightDtype::Bf16 as u16),
        _ => Err(BackendError::Argument { op, reason: format!("no Metal kernel for {dtype:?}") }),
    }
}
