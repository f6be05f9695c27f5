//! Answers that are being streamed, by their names, so that clients can end them early.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::auth::Client;

/// The running answers of all clients. Each can stop its own.
#[derive(Default)]
pub(crate) struct Answers {
    running: Arc<Mutex<Running>>,
}

type Running = HashMap<String, (Client, Arc<Notify>)>;

/// An answer that can be stopped for as long as this lives.
pub(crate) struct Stoppable {
    running: Arc<Mutex<Running>>,
    id: String,
}

impl Answers {
    /// Lets a client stop an answer: `stop` is notified then.
    pub(crate) fn register(&self, id: &str, client: Client, stop: Arc<Notify>) -> Stoppable {
        lock(&self.running).insert(id.to_owned(), (client, stop));
        Stoppable { running: self.running.clone(), id: id.to_owned() }
    }

    /// Asks one of a client's answers to end. False if there is no such answer, or no longer.
    pub(crate) fn stop(&self, id: &str, client: Client) -> bool {
        match lock(&self.running).get(id) {
            Some((owner, stop)) if *owner == client => {
                stop.notify_one();
                true
            }
            _ => false,
        }
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.id);
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    // The map is whole after every statement, so a panic elsewhere does not spoil it.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
