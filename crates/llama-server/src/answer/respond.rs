//! Answers in the form of an API: as one body, or as server-sent events.

use std::convert::Infallible;

use axum::{
    Json,
    body::{Body, Bytes},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use llama_engine::LlamaEngine;
use llama_openai::{Extensions, GenerationOptions, Usage};
use serde::Serialize;

use super::{Answer, Generation};
use crate::{answers::Stoppable, error::ApiError, state};

/// Names a streamed answer before its first piece, so that it can be stopped (`/v1/answers/{id}/stop`).
const ANSWER_ID: HeaderName = HeaderName::from_static("x-answer-id");

/// What is reported of an answer besides its text.
#[derive(Clone, Copy)]
pub(crate) struct Reporting {
    is_streamed: bool,
    with_usage: bool,
    with_details: bool,
    with_logprobs: bool,
}

impl Reporting {
    pub(crate) fn new(options: &GenerationOptions, extensions: &Extensions, with_logprobs: bool) -> Self {
        let stream_options = options.stream_options.as_ref();
        Self {
            is_streamed: options.stream == Some(true),
            with_usage: stream_options.and_then(|options| options.include_usage) == Some(true),
            with_details: extensions.work.details == Some(true),
            with_logprobs,
        }
    }

    /// Leaves out what was not asked for; `None` if nothing is left.
    fn reported(self, mut answer: Answer) -> Option<Answer> {
        if !self.with_details {
            answer.details.token_ids = None;
            answer.details.finish_details = None;
        }
        if !self.with_logprobs {
            answer.reports = None;
        }
        let details = &answer.details;
        let is_empty = answer.text.is_empty()
            && answer.calls.is_empty()
            && answer.reports.is_none()
            && answer.finish_reason.is_none()
            && details.token_ids.is_none()
            && details.prompt_tokens.is_none()
            && details.citations.is_none();
        (!is_empty).then_some(answer)
    }
}

/// What every answer, and every piece of one, begins with.
#[derive(Clone)]
pub(crate) struct Head {
    /// Names the answer.
    pub(crate) id: String,
    /// When it was begun.
    pub(crate) created: u64,
    /// The model.
    pub(crate) model: String,
}

/// The form that an API gives to answers.
pub(crate) trait Format: Send + 'static {
    /// All answers to a request.
    type Whole: Serialize;
    /// What is new of one of them.
    type Piece: Serialize;
    /// What names of answers begin with.
    const PREFIX: &'static str;

    /// All answers.
    fn whole(&self, head: Head, answers: Vec<Answer>, usage: Usage) -> Self::Whole;
    /// What is new of one of them; `is_first` if nothing of it came before.
    fn piece(&self, head: Head, answer: Answer, is_first: bool) -> Self::Piece;
    /// What comes after all pieces if usage is reported.
    fn last(&self, head: Head, usage: Usage) -> Self::Piece;
}

/// Answers a request, at the end or as it goes.
pub(crate) async fn respond<E: LlamaEngine + 'static, F: Format>(
    generation: Generation<E>,
    reporting: Reporting,
    format: F,
) -> Result<Response, ApiError> {
    let head = Head {
        id: state::unguessable(F::PREFIX),
        created: state::now(),
        model: generation.app.engine.info().model.clone(),
    };
    if reporting.is_streamed {
        let has_begun = vec![false; generation.num_answers()];
        let (answers, stop) = (&generation.app.answers, generation.stop.clone());
        let stoppable = answers.register(&head.id, generation.client, stop);
        let pieces = Pieces {
            generation,
            reporting,
            format,
            head,
            has_begun,
            stage: Stage::Answers,
            _stoppable: stoppable,
        };
        Ok(events(pieces))
    } else {
        whole(generation, reporting, (format, head)).await
    }
}

async fn whole<E: LlamaEngine + 'static, F: Format>(
    mut generation: Generation<E>,
    reporting: Reporting,
    (format, head): (F, Head),
) -> Result<Response, ApiError> {
    let mut answers: Vec<Answer> =
        (0..generation.num_answers()).map(|index| Answer { index, ..Answer::default() }).collect();
    while let Some(new) = generation.next().await? {
        if let Some(new) = reporting.reported(new) {
            answers[new.index].extend(new);
        }
    }
    Ok(Json(format.whole(head, answers, generation.usage())).into_response())
}

struct Pieces<E, F> {
    generation: Generation<E>,
    reporting: Reporting,
    format: F,
    head: Head,
    /// By answer.
    has_begun: Vec<bool>,
    stage: Stage,
    _stoppable: Stoppable,
}

enum Stage {
    Answers,
    Done,
    Over,
}

/// The pieces as server-sent events. Nothing is made before the connection takes it, and a client that leaves drops it all.
fn events<E: LlamaEngine + 'static, F: Format>(pieces: Pieces<E, F>) -> Response {
    let id = pieces.head.id.clone();
    let events = stream::unfold(pieces, async |mut pieces| {
        let event = pieces.next().await?;
        Some((Ok::<_, Infallible>(event), pieces))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (ANSWER_ID, id),
    ];
    (headers, Body::from_stream(events)).into_response()
}

impl<E: LlamaEngine + 'static, F: Format> Pieces<E, F> {
    /// The next event; several if several pieces were there already would save little, since tokens are steps apart.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.stage {
                Stage::Over => return None,
                Stage::Done => {
                    self.stage = Stage::Over;
                    return Some(Bytes::from_static(b"data: [DONE]\n\n"));
                }
                Stage::Answers => {}
            }
            match self.generation.next().await {
                Ok(Some(new)) => {
                    let Some(answer) = self.reporting.reported(new) else { continue };
                    let is_first = !std::mem::replace(&mut self.has_begun[answer.index], true);
                    return Some(event(&self.format.piece(self.head.clone(), answer, is_first)));
                }
                Ok(None) => {
                    self.stage = Stage::Done;
                    if self.reporting.with_usage {
                        return Some(event(&self.format.last(self.head.clone(), self.generation.usage())));
                    }
                }
                Err(error) => {
                    self.stage = Stage::Over;
                    return Some(event(&error.into_body()));
                }
            }
        }
    }
}

fn event(data: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(data).expect("wire types have nothing that JSON cannot say");
    format!("data: {json}\n\n").into()
}
