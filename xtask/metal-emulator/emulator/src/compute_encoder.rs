//! [`ComputeEncoder`]: records dispatches.

use std::sync::{Arc, Mutex};

use msl::{Grid, NUM_ARGUMENTS};

use crate::buffer::Buffer;
use crate::command::{Argument, Bindings, Command, Dispatch, Encoded};
use crate::command_buffer::CommandBuffer;
use crate::fence::Fence;
use crate::library::Pipeline;
use crate::lock;
use crate::workspace::{MAX_THREADGROUP_BYTES, MAX_THREADS};

/// The most bytes that an encoder copies for an argument.
const MAX_BYTES: usize = 4096;

/// Whether dispatches of an encoder wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DispatchType {
    /// Each comes after the one before it.
    Serial,
    /// Only barriers order them.
    Concurrent,
}

/// Records dispatches. What is wrong with them becomes the error of the command buffer.
pub struct ComputeEncoder {
    commands: Arc<CommandBuffer>,
    state: Mutex<State>,
}

struct State {
    pipeline: Option<Arc<Pipeline>>,
    bindings: Bindings,
    encoded: Option<Encoded>,
}

impl ComputeEncoder {
    pub(crate) fn new(commands: Arc<CommandBuffer>, dispatch_type: DispatchType) -> Arc<ComputeEncoder> {
        let encoded = Encoded { is_serial: dispatch_type == DispatchType::Serial, ..Encoded::default() };
        let state = State { pipeline: None, bindings: Bindings::default(), encoded: Some(encoded) };
        Arc::new(ComputeEncoder { commands, state: Mutex::new(state) })
    }

    /// Chooses the kernel of what follows.
    pub fn set_pipeline(&self, pipeline: &Arc<Pipeline>) {
        lock(&self.state).pipeline = Some(Arc::clone(pipeline));
    }

    /// Binds a buffer from an offset on, or nothing.
    pub fn bind_buffer(&self, index: usize, buffer: Option<(&Arc<Buffer>, usize)>) {
        self.bind(index, |fault| match buffer {
            Some((buffer, offset)) if offset > buffer.num_bytes() => {
                *fault = Some(format!(
                    "buffer({index}): offset {offset} is past the end of buffer {} ({} bytes)",
                    buffer.id(),
                    buffer.num_bytes()
                ));
                Argument::Nothing
            }
            Some((buffer, offset)) => Argument::Buffer { buffer: Arc::clone(buffer), offset },
            None => Argument::Nothing,
        });
    }

    /// Binds a copy of some bytes.
    pub fn bind_bytes(&self, index: usize, bytes: &[u8]) {
        self.bind(index, |fault| {
            if bytes.len() > MAX_BYTES {
                let num_bytes = bytes.len();
                *fault = Some(format!("buffer({index}): {num_bytes} bytes are set, {MAX_BYTES} may be"));
            }
            Argument::Bytes(bytes.to_vec())
        });
    }

    fn bind(&self, index: usize, argument: impl FnOnce(&mut Option<String>) -> Argument) {
        let state = &mut *lock(&self.state);
        let Some(encoded) = &mut state.encoded else { return };
        let mut fault = None;
        match state.bindings.arguments.get_mut(index) {
            Some(slot) => *slot = argument(&mut fault),
            None => fault = Some(format!("buffer({index}): there are {NUM_ARGUMENTS} arguments")),
        }
        if let Some(fault) = fault {
            encoded.fail(|| fault);
        }
    }

    /// Sets how much threadgroup memory an argument has.
    pub fn set_threadgroup_bytes(&self, index: usize, num_bytes: usize) {
        let state = &mut *lock(&self.state);
        let Some(encoded) = &mut state.encoded else { return };
        if !num_bytes.is_multiple_of(16) {
            encoded.fail(|| format!("threadgroup({index}): {num_bytes} bytes are no multiple of 16"));
        }
        match state.bindings.threadgroup_bytes.get_mut(index) {
            Some(slot) => *slot = num_bytes as u64,
            None => encoded.fail(|| format!("threadgroup({index}): there are {NUM_ARGUMENTS} arguments")),
        }
    }

    /// Runs the kernel on so many threadgroups, of so many threads each.
    pub fn dispatch_groups(&self, groups: [usize; 3], threads_per_group: [usize; 3]) {
        let threads = [0, 1, 2].map(|k| groups[k].saturating_mul(threads_per_group[k]));
        self.dispatch(groups, threads_per_group, threads);
    }

    /// Runs the kernel on so many threads, in threadgroups of so many; the last along a side may be smaller.
    pub fn dispatch_threads(&self, threads: [usize; 3], threads_per_group: [usize; 3]) {
        let groups = [0, 1, 2].map(|k| threads[k].div_ceil(threads_per_group[k].max(1)));
        self.dispatch(groups, threads_per_group, threads);
    }

    fn dispatch(&self, groups: [usize; 3], threads_per_group: [usize; 3], threads: [usize; 3]) {
        let state = &mut *lock(&self.state);
        let Some(encoded) = &mut state.encoded else { return };
        let Some(pipeline) = &state.pipeline else {
            return encoded.fail(|| "a dispatch without a pipeline".to_owned());
        };
        if let Err(fault) = check(&state.bindings, threads_per_group) {
            return encoded.fail(|| format!("kernel `{}`: {fault}", pipeline.name()));
        }
        let narrow = |size: [usize; 3]| size.map(|side| u32::try_from(side).ok());
        let [Some(gx), Some(gy), Some(gz)] = narrow(groups) else {
            return encoded.fail(|| format!("kernel `{}`: {groups:?} threadgroups", pipeline.name()));
        };
        let [Some(tx), Some(ty), Some(tz)] = narrow(threads) else {
            return encoded.fail(|| format!("kernel `{}`: {threads:?} threads", pipeline.name()));
        };
        let threads_per_group = threads_per_group.map(|side| side as u32);
        let grid = Grid { groups: [gx, gy, gz], threads_per_group, threads: [tx, ty, tz] };
        let (pipeline, bindings) = (Arc::clone(pipeline), state.bindings.clone());
        encoded.commands.push(Command::Dispatch(Box::new(Dispatch { pipeline, bindings, grid })));
    }

    /// Lets what follows come after what precedes.
    pub fn barrier(&self) {
        self.record(|encoded| encoded.commands.push(Command::Barrier));
    }

    /// Lets the encoder come after the one that updates the fence.
    pub fn wait_for(&self, fence: &Fence) {
        self.record(|encoded| encoded.waits.push(fence.id()));
    }

    /// Lets encoders that wait for the fence come after this one.
    pub fn update(&self, fence: &Fence) {
        self.record(|encoded| encoded.updates.push(fence.id()));
    }

    fn record(&self, record: impl FnOnce(&mut Encoded)) {
        if let Some(encoded) = &mut lock(&self.state).encoded {
            record(encoded);
        }
    }

    /// Hands what was recorded to the command buffer.
    pub fn end(&self) {
        match lock(&self.state).encoded.take() {
            Some(encoded) => self.commands.close(encoded),
            None => self.commands.fail("an encoder was ended twice"),
        }
    }
}

fn check(bindings: &Bindings, threads_per_group: [usize; 3]) -> Result<(), String> {
    let num_threads: usize = threads_per_group.iter().product();
    if num_threads == 0 || num_threads > MAX_THREADS {
        return Err(format!("a threadgroup of {num_threads} threads, where 1 to {MAX_THREADS} may be"));
    }
    let num_bytes: u64 = bindings.threadgroup_bytes.iter().sum();
    if num_bytes > MAX_THREADGROUP_BYTES as u64 {
        return Err(format!("{num_bytes} bytes of threadgroup memory, where {MAX_THREADGROUP_BYTES} may be"));
    }
    Ok(())
}
