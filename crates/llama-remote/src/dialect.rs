//! What servers understand, and what the standard has no words for.

use llama_engine::{
    EmbedInput, EmbedRequest, EndOfText, EngineError, GenerateRequest, Grammar, KeepContext, Normalization,
    Overlong, Priority, Prompt, Speculation,
};

/// What a server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Everything that an engine can be asked: the standard and the extensions of `llama-server`.
    LlamaRs,
    /// The fields of the OpenAI API alone, as vLLM, SGLang, llama.cpp and many others serve it. What they cannot
    /// carry is refused with [`EngineError::Unsupported`], never left out; see [`Dialect::refused`].
    OpenAi,
}

impl Dialect {
    /// What is refused in this dialect: fields of requests, and methods.
    pub fn refused(self) -> impl Iterator<Item = &'static str> {
        let (generations, embeddings, methods) = match self {
            Self::LlamaRs => (NOT_IN_OUR_GENERATIONS, &[][..], &[][..]),
            Self::OpenAi => (NOT_IN_GENERATIONS, NOT_IN_EMBEDDINGS, NOT_THERE),
        };
        let generations = generations.iter().map(|(what, _)| *what);
        let embeddings = embeddings.iter().map(|(what, _)| *what);
        generations.chain(embeddings).chain(methods.iter().copied())
    }

    pub(crate) fn check(self, request: &GenerateRequest) -> Result<(), EngineError> {
        match self {
            Self::LlamaRs => check(NOT_IN_OUR_GENERATIONS, request),
            Self::OpenAi => check(NOT_IN_GENERATIONS, request),
        }
    }

    pub(crate) fn check_embedding(self, request: &EmbedRequest) -> Result<(), EngineError> {
        match self {
            Self::LlamaRs => Ok(()),
            Self::OpenAi => check(NOT_IN_EMBEDDINGS, request),
        }
    }
}

/// Something that a request may ask for, and whether it does.
type Feature<R> = (&'static str, fn(&R) -> bool);

/// What even our own server takes in another form only: as `tools` and `tool_choice` of a conversation, which answers calls apart from the
/// text.
const NOT_IN_OUR_GENERATIONS: &[Feature<GenerateRequest>] =
    &[("grammar of tool calls", |request| matches!(request.grammar, Some(Grammar::ToolCalls(_))))];

/// What a generation may ask for that the standard has no field for.
const NOT_IN_GENERATIONS: &[Feature<GenerateRequest>] = &[
    ("context", |request| request.context.is_some()),
    ("keep", |request| request.keep != KeepContext::No),
    ("end (end-of-text ignored)", |request| request.end != EndOfText::Stops),
    ("max_tokens absent after a text or tokens", |request| request.max_tokens.is_none() && !is_chat(request)),
    (
        "prompt.tools (called in the answer's text)",
        |request| matches!(&request.prompt, Prompt::Chat(chat) if !chat.tools.is_empty()),
    ),
    (
        "prompt.variables",
        |request| matches!(&request.prompt, Prompt::Chat(chat) if !chat.variables.is_empty()),
    ),
    ("grammar other than a JSON schema", |request| {
        !matches!(request.grammar, None | Some(Grammar::JsonSchema(_)))
    }),
    ("grammar after a text or tokens", |request| request.grammar.is_some() && !is_chat(request)),
    ("sampling.dynamic_temperature", |request| request.sampling.dynamic_temperature.is_some()),
    ("sampling.top_k", |request| request.sampling.top_k.is_some()),
    ("sampling.min_p", |request| request.sampling.min_p.is_some()),
    ("sampling.typical_p", |request| request.sampling.typical_p.is_some()),
    ("sampling.top_n_sigma", |request| request.sampling.top_n_sigma.is_some()),
    ("sampling.xtc", |request| request.sampling.xtc.is_some()),
    ("sampling.mirostat", |request| request.sampling.mirostat.is_some()),
    ("sampling.order", |request| request.sampling.order.is_some()),
    ("sampling.penalties.repetition", |request| request.sampling.penalties.repetition != 1.0),
    ("sampling.penalties.last_n", |request| request.sampling.penalties.last_n.is_some()),
    ("sampling.penalties.dry", |request| request.sampling.penalties.dry.is_some()),
    ("rules.allowed", |request| request.rules.allowed.is_some()),
    ("rules.banned", |request| !request.rules.banned.is_empty()),
    ("rules.stop", |request| !request.rules.stop.is_empty()),
    ("rules.min_tokens", |request| request.rules.min_tokens != 0),
    ("logprobs.prompt", |request| request.logprobs.prompt.is_some()),
    ("urgency.priority", |request| request.urgency.priority != Priority::default()),
    ("urgency.deadline", |request| request.urgency.deadline.is_some()),
    ("speculation", |request| request.speculation != Speculation::Auto),
];

/// What texts to embed may ask for that the standard has no field for. Instructions are put before the texts here, and
/// vectors are cut and normalised here.
const NOT_IN_EMBEDDINGS: &[Feature<EmbedRequest>] = &[
    ("embed: input for queries or documents", |request| {
        request.input != EmbedInput::Plain && request.instruction.is_none()
    }),
    ("embed: pooling", |request| request.pooling.is_some()),
    ("embed: normalization left out", |request| request.normalization != Normalization::L2),
    ("embed: overlong texts cut", |request| request.overlong != Overlong::Refuse),
    ("embed: priority", |request| request.priority != Priority::default()),
];

/// Methods that the standard has no route for.
const NOT_THERE: &[&str] = &["pin"];

pub(crate) fn unsupported(what: &str) -> EngineError {
    EngineError::Unsupported { what: format!("{what}, in this dialect of a remote engine") }
}

fn check<R>(features: &[Feature<R>], request: &R) -> Result<(), EngineError> {
    match features.iter().find(|(_, is_used)| is_used(request)) {
        Some((what, _)) => Err(unsupported(what)),
        None => Ok(()),
    }
}

fn is_chat(request: &GenerateRequest) -> bool {
    matches!(request.prompt, Prompt::Chat(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_what_is_refused_and_nothing_else() {
        let page = include_str!("dialects.md");
        let first_cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let mut documented: Vec<&str> = first_cells
            .flat_map(|cell| cell.trim_end_matches(" |").trim_end_matches('`').split("`, `"))
            .collect();
        let mut refused: Vec<&str> = Dialect::OpenAi.refused().collect();
        documented.sort_unstable();
        refused.sort_unstable();
        assert_eq!(documented, refused);
        assert_eq!(Dialect::LlamaRs.refused().collect::<Vec<_>>(), ["grammar of tool calls"]);
        assert!(page.contains("`grammar of tool calls`"));
    }

    #[test]
    fn usual_requests_are_not_refused() {
        let request = GenerateRequest::new("x").with_max_tokens(1).with_stop(".").with_logprobs(1);
        assert!(Dialect::OpenAi.check(&request).is_ok());
        assert!(Dialect::OpenAi.check_embedding(&EmbedRequest::new(["x"])).is_ok());
    }
}
