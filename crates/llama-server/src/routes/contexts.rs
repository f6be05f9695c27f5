//! `/v1/contexts`: prompts computed once, from which any number of answers start.

use axum::{
    Extension,
    extract::{Path, State},
};
use llama_engine::{LlamaEngine, Prompt};
use llama_openai::{ContextAnswer, ContextDeleted, ContextInput, ContextList, ContextRequest};

use crate::{auth::Client, body::Json, convert, error::ApiError, state::App};

pub(crate) async fn pin<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Extension(client): Extension<Client>,
    Json(request): Json<ContextRequest>,
) -> Result<axum::Json<ContextAnswer>, ApiError> {
    let prompt = prompt(request.input)?;
    convert::check_prompt(&app, &prompt).await?;
    app.contexts.check_room()?;
    let _place = app.admission.enter(1).await?;
    let pinned = tokio::time::timeout(app.config.limits.max_time, app.engine.pin(prompt)).await;
    let context = pinned.map_err(|_| ApiError::out_of_time())??;
    Ok(axum::Json(app.contexts.keep(context, client)?))
}

fn prompt(input: ContextInput) -> Result<Prompt, ApiError> {
    match (input.prompt, input.messages) {
        (Some(prompt), None) => {
            if input.tools.is_some() || input.chat_template_kwargs.is_some() {
                return Err(ApiError::invalid("tools", "they belong to a conversation, in `messages`"));
            }
            let mut prompts = convert::prompts(prompt)?;
            match (prompts.pop(), prompts.is_empty()) {
                (Some(prompt), true) => Ok(prompt),
                _ => Err(ApiError::invalid("prompt", "one is expected")),
            }
        }
        (None, Some(messages)) => {
            convert::conversation(messages, input.tools, input.chat_template_kwargs).map(Prompt::Chat)
        }
        _ => Err(ApiError::invalid("prompt", "expected `prompt` or `messages`, and not both")),
    }
}

pub(crate) async fn list<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Extension(client): Extension<Client>,
) -> axum::Json<ContextList> {
    axum::Json(ContextList { object: "list".to_owned(), data: app.contexts.list(client) })
}

pub(crate) async fn delete<E: LlamaEngine + 'static>(
    State(app): State<App<E>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<axum::Json<ContextDeleted>, ApiError> {
    app.contexts.delete(&id, client)?;
    Ok(axum::Json(ContextDeleted { id, object: "context.deleted".to_owned(), deleted: true }))
}
