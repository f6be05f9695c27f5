//! The completion model.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use llama_engine::{Event, GenerateRequest, LlamaEngine, TokenStream};
use rig_core::{
    Model, ProviderError,
    completion::{
        Accepts, CacheRetention, CompletionRequest, Media, ReplayTarget,
        options::{Mapping, OptionFields, OptionMap},
    },
    driver::{Exchange, Opened, Opening, Transport},
    error::EncodeError,
    message::Api,
    operation::Completion,
    wire::{Descriptor, Mode, Wire},
};
use serde_json::json;

use super::{
    AnswerDecoder, AnswerDocument, Frame, PROVIDER, Refusal,
    calls::{CallReader, Calls},
    conversation::encode,
    error::provider_error,
};
use crate::adapters::PromptForm;

/// An engine's answers.
pub type CompletionModel<E> = Model<CompletionWire, Generator<E>>;

/// Generates with these options; their prompt is replaced, and so are fields that a request sets itself. What rig has no field for
/// (min-p, penalties, a deadline) is set here.
///
/// Tools are told to the model by its chat template, and calls are read from its answer; a required tool and an output schema are
/// grammars, so that the answer cannot be anything else.
pub fn completion_model<E: LlamaEngine + 'static>(
    engine: Arc<E>,
    form: PromptForm,
    options: GenerateRequest,
) -> CompletionModel<E> {
    let wire = CompletionWire { model: engine.info().model.clone(), form, options: Arc::new(options) };
    Model::new(wire, Generator(engine))
}

/// Turns rig's requests into the engine's.
#[derive(Clone, Debug)]
pub struct CompletionWire {
    model: String,
    form: PromptForm,
    options: Arc<GenerateRequest>,
}

/// A request on its way to the engine.
#[derive(Debug)]
pub struct Ask {
    request: GenerateRequest,
    calls: Calls,
}

impl Wire for CompletionWire {
    type Op = Completion;
    type Payload = Ask;
    type Frame = Frame;
    type Decoder<'id> = AnswerDecoder<'id>;
    type Reassembler = AnswerDocument;

    fn describe(&self) -> Descriptor<'_> {
        Descriptor::new(PROVIDER).model(self.model.as_str()).replay(self)
    }

    fn encode(&self, request: CompletionRequest, _: Mode) -> Result<Ask, EncodeError> {
        if let Some(asked) = request.model.as_ref().filter(|&asked| *asked != self.model) {
            let refusal = Refusal::OtherModel { ours: self.model.clone(), asked: asked.clone() };
            return Err(EncodeError::request(refusal));
        }
        let (request, calls) =
            encode(request, self.form, (*self.options).clone()).map_err(EncodeError::request)?;
        Ok(Ask { request, calls })
    }

    fn decoder<'id>(&self) -> AnswerDecoder<'id> {
        AnswerDecoder::default()
    }
}

impl ReplayTarget for CompletionWire {
    fn api(&self) -> Api {
        Api::from_static(PROVIDER)
    }

    fn provider(&self) -> &str {
        PROVIDER
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn accepts(&self, _model: &str) -> Accepts {
        Accepts::TEXT
    }

    fn encodes(&self, _model: &str, _media: Media<'_>) -> bool {
        false
    }

    fn map_options(&self, _request: &CompletionRequest, fields: OptionFields<'_>) -> OptionMap {
        let OptionFields {
            reasoning,
            cache,
            service_tier,
            verbosity,
            parallel_tool_calls,
            top_p,
            seed,
            stop,
        } = fields;
        let unsupported = Mapping::unsupported;
        OptionMap {
            reasoning: Mapping::of(reasoning, |_| unsupported("whether a model reasons is its own affair")),
            cache: Mapping::of(cache, |retention| match retention {
                CacheRetention::Short => Mapping::Omit("prefixes are kept as long as there is room"),
                _ => unsupported("prefixes are kept as long as there is room"),
            }),
            service_tier: Mapping::of(service_tier, |_| unsupported("there is one tier")),
            verbosity: Mapping::of(verbosity, |_| unsupported("say it in the prompt")),
            parallel_tool_calls: Mapping::of(parallel_tool_calls, |parallel| match parallel {
                true => Mapping::Omit("every call of an answer is read"),
                false => unsupported("require one tool instead"),
            }),
            top_p: Mapping::of(top_p, |value| Mapping::Send(json!({ "top_p": value }))),
            seed: Mapping::of(seed, |value| Mapping::Send(json!({ "seed": value }))),
            stop: Mapping::of_stop(stop, |texts| Mapping::Send(json!({ "stop": texts }))),
        }
    }
}

/// Takes requests to an engine.
#[derive(Debug)]
pub struct Generator<E>(Arc<E>);

// Derived, it would ask for `E: Clone`.
impl<E> Clone for Generator<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: LlamaEngine + 'static> Transport<CompletionWire> for Generator<E> {
    fn send(&self, ask: Ask, _: Exchange) -> Opening<Frame> {
        let engine = self.0.clone();
        Opening::new(async move {
            let stream = engine.generate(ask.request).await.map_err(provider_error)?;
            Ok(Opened::new(Frames { stream, reader: CallReader::new(ask.calls), ready: VecDeque::new() }))
        })
    }
}

/// The pieces of an answer as they come.
struct Frames {
    stream: TokenStream,
    reader: CallReader,
    ready: VecDeque<Frame>,
}

impl Frames {
    fn take_in(&mut self, event: Event) {
        match event {
            Event::Token(token) => self.reader.push(&token.text, &mut self.ready),
            Event::Finished(finished) => {
                self.reader.push(&finished.text, &mut self.ready);
                self.reader.finish(&mut self.ready);
                self.ready.push_back(Frame::end(&finished));
            }
            // rig has no place for either.
            Event::Prompt(_) | Event::Citation(_) => {}
        }
    }
}

impl Stream for Frames {
    type Item = Result<Frame, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                Some(Ok(event)) => self.take_in(event),
                Some(Err(error)) => return Poll::Ready(Some(Err(provider_error(error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}
