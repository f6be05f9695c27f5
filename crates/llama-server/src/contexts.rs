//! Contexts that clients have pinned, by names that nobody can guess.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::http::StatusCode;
use llama_engine::PinnedContext;
use llama_openai::{ContextAnswer, ContextField};

use crate::{auth::Client, error::ApiError, state::unguessable};

/// The contexts of all clients. Each sees its own.
pub(crate) struct Contexts {
    kept: Mutex<HashMap<String, Kept>>,
    max_kept: usize,
}

struct Kept {
    context: PinnedContext,
    owner: Client,
}

impl Contexts {
    pub(crate) fn new(max_kept: usize) -> Self {
        Self { kept: Mutex::default(), max_kept }
    }

    /// Refuses if no further one would be kept.
    pub(crate) fn check_room(&self) -> Result<(), ApiError> {
        self.room(&self.lock())
    }

    /// Keeps a context and names it.
    pub(crate) fn keep(&self, context: PinnedContext, owner: Client) -> Result<ContextAnswer, ApiError> {
        let mut kept = self.lock();
        self.room(&kept)?;
        let id = unguessable("ctx-");
        let answer = answer(&id, &context);
        kept.insert(id, Kept { context, owner });
        Ok(answer)
    }

    /// The context that a request starts from.
    pub(crate) fn find(&self, field: &ContextField, owner: Client) -> Result<PinnedContext, ApiError> {
        let kept = self.lock();
        let find = |id: &str| match kept.get(id) {
            Some(kept) if kept.owner == owner => Ok(&kept.context),
            _ => Err(ApiError::unknown_context(StatusCode::NOT_FOUND)),
        };
        match field {
            ContextField::Whole(id) => Ok(find(id)?.clone()),
            ContextField::Beginning { id, tokens } => {
                Ok(find(id)?.rewind(usize::try_from(*tokens).unwrap_or(usize::MAX))?)
            }
        }
    }

    /// This client's contexts, in the order of their names.
    pub(crate) fn list(&self, owner: Client) -> Vec<ContextAnswer> {
        let kept = self.lock();
        let own = kept.iter().filter(|(_, kept)| kept.owner == owner);
        let mut list: Vec<_> = own.map(|(id, kept)| answer(id, &kept.context)).collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// Lets a context go. Answers that start from it keep it until they end.
    pub(crate) fn delete(&self, id: &str, owner: Client) -> Result<(), ApiError> {
        let mut kept = self.lock();
        match kept.get(id) {
            Some(found) if found.owner == owner => {
                kept.remove(id);
                Ok(())
            }
            _ => Err(ApiError::unknown_context(StatusCode::NOT_FOUND)),
        }
    }

    fn room(&self, kept: &HashMap<String, Kept>) -> Result<(), ApiError> {
        if kept.len() < self.max_kept {
            return Ok(());
        }
        let message = format!("{} contexts are kept already; delete one", self.max_kept);
        Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_contexts", message))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(id: &str, context: &PinnedContext) -> ContextAnswer {
    ContextAnswer { id: id.to_owned(), object: "context".to_owned(), tokens: context.len() as u64 }
}
