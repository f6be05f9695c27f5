//! [`Queue`]: command buffers in the order in which they were committed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::command_buffer::CommandBuffer;
use crate::device::Device;
use crate::{lock, seed};

/// No more than so many are left waiting.
const MAX_PENDING: usize = 16;

/// Command buffers in the order in which they were committed.
///
/// In natural order they run when they are committed. Under a seed some are left until somebody waits, so
/// that a host that does not wait finds memory as it was.
pub struct Queue {
    device: Arc<Device>,
    pending: Mutex<VecDeque<Arc<CommandBuffer>>>,
    /// Held while commands run, so that they run in order whoever waits.
    running: Mutex<()>,
}

impl Queue {
    /// An empty queue.
    pub fn new(device: &Arc<Device>) -> Arc<Queue> {
        Arc::new(Queue { device: Arc::clone(device), pending: Mutex::default(), running: Mutex::default() })
    }

    /// Its device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Begins a command buffer.
    pub fn commands(self: &Arc<Self>) -> Arc<CommandBuffer> {
        CommandBuffer::new(Arc::clone(self))
    }

    pub(crate) fn enqueue(&self, commands: Arc<CommandBuffer>) {
        let num_pending = {
            let mut pending = lock(&self.pending);
            pending.push_back(commands);
            pending.len()
        };
        let is_left_waiting = seed::next_random() >> 1 & 1 == 1;
        if !is_left_waiting || num_pending > MAX_PENDING {
            self.run_while(|_| true);
        }
    }

    /// Runs what was committed up to and with these commands.
    pub(crate) fn run_until(&self, commands: &Arc<CommandBuffer>) {
        let mut is_over = false;
        self.run_while(|next| !std::mem::replace(&mut is_over, Arc::ptr_eq(next, commands)));
    }

    fn run_while(&self, mut is_wanted: impl FnMut(&Arc<CommandBuffer>) -> bool) {
        let _running = lock(&self.running);
        loop {
            let next = lock(&self.pending).pop_front();
            let Some(next) = next else { return };
            if !is_wanted(&next) {
                lock(&self.pending).push_front(next);
                return;
            }
            next.run();
        }
    }
}
