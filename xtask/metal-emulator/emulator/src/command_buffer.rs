//! [`CommandBuffer`]: what encoders have recorded, and how it ended.

use std::sync::{Arc, Mutex};

use crate::blit_encoder::BlitEncoder;
use crate::command::Encoded;
use crate::compute_encoder::{ComputeEncoder, DispatchType};
use crate::queue::Queue;
use crate::{lock, run};

/// How far a command buffer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is being recorded.
    Recording,
    /// It waits to run.
    Committed,
    /// It ran to its end.
    Completed,
    /// It failed, and what came after the fault did not run.
    Error,
}

/// Commands that run together.
pub struct CommandBuffer {
    queue: Arc<Queue>,
    state: Mutex<State>,
}

struct State {
    status: Status,
    is_encoder_open: bool,
    encoders: Vec<Encoded>,
    handlers: Vec<Box<dyn FnOnce() + Send>>,
    error: Option<String>,
}

impl CommandBuffer {
    pub(crate) fn new(queue: Arc<Queue>) -> Arc<CommandBuffer> {
        let state = State {
            status: Status::Recording,
            is_encoder_open: false,
            encoders: Vec::new(),
            handlers: Vec::new(),
            error: None,
        };
        Arc::new(CommandBuffer { queue, state: Mutex::new(state) })
    }

    /// The queue that it runs in.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Begins to record dispatches.
    pub fn compute_encoder(self: &Arc<Self>, dispatch_type: DispatchType) -> Arc<ComputeEncoder> {
        self.open();
        ComputeEncoder::new(Arc::clone(self), dispatch_type)
    }

    /// Begins to record copies and fills.
    pub fn blit_encoder(self: &Arc<Self>) -> Arc<BlitEncoder> {
        self.open();
        BlitEncoder::new(Arc::clone(self))
    }

    fn open(&self) {
        let is_open = std::mem::replace(&mut lock(&self.state).is_encoder_open, true);
        if is_open {
            self.fail("an encoder was begun while another is open");
        }
        if self.status() != Status::Recording {
            self.fail("an encoder was begun after the commands were committed");
        }
    }

    pub(crate) fn close(&self, encoded: Encoded) {
        let mut state = lock(&self.state);
        state.is_encoder_open = false;
        state.encoders.push(encoded);
    }

    /// Notes a wrong use; it becomes the error when the commands run.
    pub(crate) fn fail(&self, fault: &str) {
        lock(&self.state).error.get_or_insert_with(|| fault.to_owned());
    }

    /// Calls this when the commands have ended, well or not.
    pub fn on_completed(&self, handler: Box<dyn FnOnce() + Send>) {
        lock(&self.state).handlers.push(handler);
    }

    /// Lets the commands run: at once in natural order, else at a time that the seed chooses.
    pub fn commit(self: &Arc<Self>) {
        if self.status() != Status::Recording {
            return self.fail("commands were committed twice");
        }
        if lock(&self.state).is_encoder_open {
            self.fail("commands were committed while an encoder is open");
        }
        lock(&self.state).status = Status::Committed;
        self.queue.enqueue(Arc::clone(self));
    }

    /// Waits until the commands have ended.
    pub fn wait(self: &Arc<Self>) {
        match self.status() {
            Status::Recording => self.fail("somebody waits for commands that are not committed"),
            Status::Committed => self.queue.run_until(self),
            Status::Completed | Status::Error => {}
        }
    }

    /// How far it has come.
    pub fn status(&self) -> Status {
        lock(&self.state).status
    }

    /// What went wrong.
    pub fn error(&self) -> Option<String> {
        lock(&self.state).error.clone()
    }

    /// Runs the commands and calls the handlers.
    pub(crate) fn run(&self) {
        let (encoders, error) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.encoders), state.error.clone())
        };
        let ended = match error {
            Some(error) => Err(error),
            None => encoders.iter().try_for_each(run::encoder),
        };
        let handlers = {
            let mut state = lock(&self.state);
            state.status = if ended.is_ok() { Status::Completed } else { Status::Error };
            state.error = ended.err();
            std::mem::take(&mut state.handlers)
        };
        for handler in handlers {
            handler();
        }
    }
}
