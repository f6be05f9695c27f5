//! Which model the endpoints serve, and what they say of it.

use llama_engine::{EmbeddingInfo, EngineInfo, ModelKind, Pooling};
use llama_openai as wire;
use reqwest::Method;

use crate::{
    ConnectError, Dialect, RemoteError,
    reply::{ModelEntry, ModelList},
    transport::{Call, CallError, Effect, Transport},
};

/// Most bytes of a list of models.
const LIST_LIMIT_BYTES: usize = 16 << 20;

/// What the endpoints have agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) dialect: Dialect,
    pub(crate) info: EngineInfo,
}

/// What was asked for; what is absent is found out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) model: Option<String>,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) info: Option<EngineInfo>,
}

/// Asks every endpoint for its models. One answer is enough; all answers must agree.
pub(crate) async fn find(transport: &Transport, wanted: &Wanted) -> Result<Model, ConnectError> {
    let call = Call { method: Method::GET, path: "/v1/models".to_owned(), body: None, effect: Effect::None };
    let (mut found, mut last_error) = (None::<Model>, None);
    for endpoint in 0..transport.urls.len() {
        let url = &transport.urls[endpoint];
        let list = match list(transport, endpoint, &call).await {
            Ok(list) => list,
            Err(error) => {
                last_error = Some(error);
                continue;
            }
        };
        let model = choose(url, list, wanted)?;
        match &found {
            Some(first) => check_same(url, first, &model)?,
            None => found = Some(model),
        }
    }
    match (found, last_error) {
        (Some(model), _) => Ok(model),
        (None, Some(source)) => {
            Err(ConnectError::Unreachable { num_endpoints: transport.urls.len(), source })
        }
        (None, None) => Err(ConnectError::NoEndpoint),
    }
}

async fn list(transport: &Transport, endpoint: usize, call: &Call) -> Result<ModelList, RemoteError> {
    let url = || transport.urls[endpoint].clone();
    let reply = transport.send_to(endpoint, call).await.map_err(|error| match error {
        CallError::Failed(error) => error,
        CallError::Refused(refusal) => refusal.into_error(),
    })?;
    let body = transport.read(reply, LIST_LIMIT_BYTES).await?;
    serde_json::from_slice(&body).map_err(|error| RemoteError::Protocol {
        url: url(),
        reason: format!("what should be a list of models is none: {error}"),
    })
}

fn choose(url: &str, list: ModelList, wanted: &Wanted) -> Result<Model, ConnectError> {
    let entry = list.data.iter().find(|entry| wanted.model.as_ref().is_none_or(|model| *model == entry.id));
    let Some(entry) = entry else {
        let available = list.data.into_iter().map(|entry| entry.id).collect();
        let model = wanted.model.clone().unwrap_or_default();
        return Err(ConnectError::UnknownModel { url: url.to_owned(), model, available });
    };
    let shown = if entry.engine.is_some() { Dialect::LlamaRs } else { Dialect::OpenAi };
    let dialect = wanted.dialect.unwrap_or(shown);
    Ok(Model { dialect, info: described(entry, wanted.info.as_ref())? })
}

/// What is known of a model: what the caller says, or else what the server says.
fn described(entry: &ModelEntry, said: Option<&EngineInfo>) -> Result<EngineInfo, ConnectError> {
    if let Some(info) = said {
        return Ok(EngineInfo { model: entry.id.clone(), ..info.clone() });
    }
    if let (Some(details), Some(context_len)) = (&entry.engine, entry.max_model_len) {
        return Ok(detailed(entry.id.clone(), context_len, details));
    }
    let none = Default::default();
    let meta = entry.meta.as_ref().unwrap_or(&none);
    let missing = |field| ConnectError::MissingInfo { field };
    let context_len = entry.max_model_len.or(meta.n_ctx).or(meta.n_ctx_train);
    let context_len = context_len.ok_or(missing("context_len"))?;
    let embedding = EmbeddingInfo {
        len: meta.n_embd.ok_or(missing("embedding.len"))?,
        max_tokens: context_len,
        pooling: Pooling::Mean,
        query_prefix: String::new(),
        document_prefix: String::new(),
        trained_dimensions: Vec::new(),
    };
    Ok(EngineInfo {
        model: entry.id.clone(),
        context_len,
        vocab_size: meta.n_vocab.ok_or(missing("vocab_size"))?,
        kind: ModelKind::Decoder,
        embedding,
        device: "remote".to_owned(),
        block_len: 1,
    })
}

/// What our own server says.
fn detailed(model: String, context_len: usize, details: &wire::EngineDetails) -> EngineInfo {
    let embedding = &details.embedding;
    EngineInfo {
        model,
        context_len,
        vocab_size: details.vocab_size as usize,
        kind: if details.generates { ModelKind::Decoder } else { ModelKind::Encoder },
        embedding: EmbeddingInfo {
            len: embedding.len as usize,
            max_tokens: embedding.max_tokens as usize,
            pooling: match embedding.pooling {
                wire::Pooling::Mean => Pooling::Mean,
                wire::Pooling::Last => Pooling::Last,
                wire::Pooling::First => Pooling::First,
                wire::Pooling::WeightedMean => Pooling::WeightedMean,
            },
            query_prefix: embedding.query_prefix.clone(),
            document_prefix: embedding.document_prefix.clone(),
            trained_dimensions: embedding.trained_dimensions.iter().map(|len| *len as usize).collect(),
        },
        device: details.device.clone(),
        block_len: details.block_len as usize,
    }
}

fn check_same(url: &str, first: &Model, other: &Model) -> Result<(), ConnectError> {
    // Where a model runs may differ.
    let comparable =
        |model: &Model| (model.dialect, EngineInfo { device: String::new(), ..model.info.clone() });
    let (found, expected) = (comparable(other), comparable(first));
    if found == expected {
        return Ok(());
    }
    Err(ConnectError::EndpointsDiffer {
        url: url.to_owned(),
        found: format!("{found:?}"),
        expected: format!("{expected:?}"),
    })
}
