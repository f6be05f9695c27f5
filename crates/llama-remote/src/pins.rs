//! Contexts that servers keep for this engine. A context lives at one endpoint, and what starts from it is asked there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use llama_engine::{ContextId, EngineError, PinnedContext};
use llama_openai::{ContextAnswer, ContextField};
use reqwest::Method;
use tokio::runtime::Handle;

use crate::{
    events,
    transport::{Call, Effect, Transport},
};

/// The contexts of one engine.
pub(crate) struct Pins {
    engine: u64,
    next: AtomicU64,
    places: Mutex<HashMap<ContextId, Place>>,
    transport: Arc<Transport>,
    runtime: Handle,
}

/// Where a context is, and what it is called there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) endpoint: usize,
    id: String,
}

impl Pins {
    pub(crate) fn new(transport: Arc<Transport>, runtime: Handle) -> Self {
        let engine = llama_engine::unique_engine();
        Self { engine, next: AtomicU64::new(0), places: Mutex::default(), transport, runtime }
    }

    /// A handle on a context that an endpoint keeps. Its last clone lets it go there.
    pub(crate) fn adopt(self: &Arc<Self>, endpoint: usize, context: ContextAnswer) -> PinnedContext {
        let id = ContextId(self.next.fetch_add(1, Ordering::Relaxed));
        self.places().insert(id, Place { endpoint, id: context.id });
        let pins = self.clone();
        PinnedContext::new(id, self.engine, context.tokens as usize, move |id| pins.release(id))
    }

    /// Where a context is, and how to name it in a request.
    ///
    /// # Errors
    /// [`EngineError::ForeignContext`] for one of another engine.
    pub(crate) fn find(&self, context: &PinnedContext) -> Result<(usize, ContextField), EngineError> {
        let id = context.id_in(self.engine)?;
        let place = self.places().get(&id).cloned().ok_or(EngineError::ForeignContext)?;
        Ok((place.endpoint, ContextField::Beginning { id: place.id, tokens: context.len() as u64 }))
    }

    fn release(&self, id: ContextId) {
        let Some(place) = self.places().remove(&id) else { return };
        let transport = self.transport.clone();
        let call = Call {
            method: Method::DELETE,
            path: format!("/v1/contexts/{}", place.id),
            body: None,
            // A second deletion finds nothing, and that is fine.
            effect: Effect::None,
        };
        self.runtime.spawn(async move {
            if let Err(error) = transport.send_to(place.endpoint, &call).await {
                // A server that is gone keeps nothing.
                events::context_not_released(&error);
            }
        });
    }

    fn places(&self) -> MutexGuard<'_, HashMap<ContextId, Place>> {
        // Each change is one call.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
