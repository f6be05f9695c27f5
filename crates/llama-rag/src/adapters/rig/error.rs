//! What becomes of errors on their way to rig.

use std::sync::Arc;

use llama_engine::EngineError;
use rig_core::{ProviderError, http_client};

/// What a completion request asks for, and is not done. It comes as the source of [`ProviderError::Request`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request names another model than the engine's. Leave the name out.
    #[error("the model is {ours}, not {asked}")]
    OtherModel {
        /// The engine's model.
        ours: String,
        /// The one asked for.
        asked: String,
    },
    /// The request has parameters that are no fields of rig's. Set them in the options of the model.
    #[error("additional parameters are not read: {names}")]
    AdditionalParameters {
        /// Their names.
        names: String,
    },
    /// A turn holds something that is neither text nor a tool call nor its answer. Leave it out.
    #[error("a turn with {what}")]
    Media {
        /// What it holds.
        what: &'static str,
    },
    /// Tools were given to a model whose prompts are plain text. Use [`crate::adapters::PromptForm::Chat`].
    #[error("tools without a chat template")]
    ToolsWithoutTemplate,
    /// An answer cannot follow a schema and call tools as it likes. Choose no tool or require one.
    #[error("an output schema together with tools")]
    SchemaWithTools,
    /// A tool is required that the request does not define.
    #[error("the required tool {name} is not defined")]
    UnknownTool {
        /// Its name; `any` if one of several was asked for and there is none.
        name: String,
    },
}

/// The error as rig has it: retryable if the queue was full, and with its source in any case.
pub(super) fn provider_error(error: EngineError) -> ProviderError {
    match error {
        EngineError::Overloaded { .. } => {
            ProviderError::Http(Arc::new(http_client::Error::Instance(Box::new(error))))
        }
        _ => ProviderError::request(error),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn engine_errors_stay_in_the_chain() {
        let refused = provider_error(EngineError::ContextTooLong { needed: 9, context_len: 8 });
        let source = refused.source().and_then(|source| source.downcast_ref::<EngineError>());
        assert!(matches!(source, Some(EngineError::ContextTooLong { needed: 9, .. })), "{refused:?}");
        assert!(!refused.is_retryable());
        assert!(provider_error(EngineError::Overloaded { limit: 1 }).is_retryable());
    }
}
