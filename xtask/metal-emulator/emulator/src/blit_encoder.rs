//! [`BlitEncoder`]: records copies and fills.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::buffer::Buffer;
use crate::command::{Command, Copy, Encoded, Part};
use crate::command_buffer::CommandBuffer;
use crate::fence::Fence;
use crate::lock;

/// Records copies and fills, which run in order.
pub struct BlitEncoder {
    commands: Arc<CommandBuffer>,
    encoded: Mutex<Option<Encoded>>,
}

impl BlitEncoder {
    pub(crate) fn new(commands: Arc<CommandBuffer>) -> Arc<BlitEncoder> {
        let encoded = Encoded { is_serial: true, ..Encoded::default() };
        Arc::new(BlitEncoder { commands, encoded: Mutex::new(Some(encoded)) })
    }

    /// Copies so many bytes from one place to another.
    pub fn copy(&self, source: (&Arc<Buffer>, usize), target: (&Arc<Buffer>, usize), num_bytes: usize) {
        let part =
            |(buffer, offset): (&Arc<Buffer>, usize)| Part { buffer: Arc::clone(buffer), offset, num_bytes };
        let copy = Copy { source: part(source), target: part(target) };
        let is_within = copy.source.is_within() && copy.target.is_within();
        self.record(is_within, Command::Copy(copy));
    }

    /// Fills a part of a buffer with a byte.
    pub fn fill(&self, buffer: &Arc<Buffer>, range: Range<usize>, value: u8) {
        let target = Part { buffer: Arc::clone(buffer), offset: range.start, num_bytes: range.len() };
        let is_within = target.is_within();
        self.record(is_within, Command::Fill { target, value });
    }

    fn record(&self, is_within: bool, command: Command) {
        let mut encoded = lock(&self.encoded);
        let Some(encoded) = &mut *encoded else { return };
        if is_within {
            encoded.commands.push(command);
        } else {
            encoded.fail(|| "a blit reaches past the end of a buffer".to_owned());
        }
    }

    /// Lets the encoder come after the one that updates the fence.
    pub fn wait_for(&self, fence: &Fence) {
        if let Some(encoded) = &mut *lock(&self.encoded) {
            encoded.waits.push(fence.id());
        }
    }

    /// Lets encoders that wait for the fence come after this one.
    pub fn update(&self, fence: &Fence) {
        if let Some(encoded) = &mut *lock(&self.encoded) {
            encoded.updates.push(fence.id());
        }
    }

    /// Hands what was recorded to the command buffer.
    pub fn end(&self) {
        match lock(&self.encoded).take() {
            Some(encoded) => self.commands.close(encoded),
            None => self.commands.fail("an encoder was ended twice"),
        }
    }
}
