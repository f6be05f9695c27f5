//! Requests for embeddings.

use llama_engine::{
    Dimensions, EmbedInput, EmbedRequest, Normalization, Overlong, Pooling as EnginePooling, Priority,
};
use llama_openai::{EmbeddingExtensions, EmbeddingInput, EmbeddingRequest, Input, InputType, Pooling};

use super::count;
use crate::error::ApiError;

pub(crate) fn embed_request(request: EmbeddingRequest) -> Result<EmbedRequest, ApiError> {
    let EmbeddingRequest { input: EmbeddingInput { input, dimensions, .. }, extensions } = request;
    let EmbeddingExtensions {
        input_type,
        instruction,
        pooling,
        normalize,
        untrained_dimensions,
        truncate,
        priority,
    } = extensions;
    let dimensions = dimensions.map(count).map(|len| match untrained_dimensions {
        Some(true) => Dimensions::Untrained(len),
        _ => Dimensions::Trained(len),
    });
    Ok(EmbedRequest {
        texts: texts(input)?,
        input: match input_type.unwrap_or(InputType::Plain) {
            InputType::Plain => EmbedInput::Plain,
            InputType::Query => EmbedInput::Query,
            InputType::Document => EmbedInput::Document,
        },
        instruction,
        pooling: pooling.map(pooling_in),
        normalization: if normalize == Some(false) { Normalization::None } else { Normalization::L2 },
        dimensions,
        overlong: if truncate == Some(true) { Overlong::Cut } else { Overlong::Refuse },
        priority: Priority(priority.unwrap_or(0)),
    })
}

fn texts(input: Input) -> Result<Vec<String>, ApiError> {
    match input {
        Input::Text(text) => Ok(vec![text]),
        Input::Texts(texts) => Ok(texts),
        Input::Tokens(tokens) if tokens.is_empty() => Ok(Vec::new()),
        Input::Tokens(_) | Input::TokenLists(_) => {
            Err(ApiError::unsupported("input", "token ids; send the texts themselves"))
        }
    }
}

fn pooling_in(pooling: Pooling) -> EnginePooling {
    match pooling {
        Pooling::Mean => EnginePooling::Mean,
        Pooling::Last => EnginePooling::Last,
        Pooling::First => EnginePooling::First,
        Pooling::WeightedMean => EnginePooling::WeightedMean,
    }
}

/// The wire's name of a pooling.
pub(crate) fn pooling_out(pooling: EnginePooling) -> Pooling {
    match pooling {
        EnginePooling::Mean => Pooling::Mean,
        EnginePooling::Last => Pooling::Last,
        EnginePooling::First => Pooling::First,
        EnginePooling::WeightedMean => Pooling::WeightedMean,
    }
}
