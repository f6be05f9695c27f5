//! What a caller asks for: plain data, checked by the engine.

use std::time::Duration;

use crate::{Conversation, Grammar, Message, PinnedContext, Sampling, TokenRules};

/// What the model continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Text, continued as it stands. The model's begin token is added when the prompt starts a sequence.
    Text(String),
    /// Token ids, taken as they are.
    Tokens(Vec<u32>),
    /// A conversation, rendered with the model's chat template, up to the point where the assistant speaks.
    Chat(Conversation),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Conversation> for Prompt {
    fn from(conversation: Conversation) -> Self {
        Self::Chat(conversation)
    }
}

impl From<Vec<Message>> for Prompt {
    fn from(messages: Vec<Message>) -> Self {
        Self::Chat(messages.into())
    }
}

impl<const N: usize> From<[Message; N]> for Prompt {
    fn from(messages: [Message; N]) -> Self {
        Self::Chat(messages.into())
    }
}

/// One generation.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// What to continue. After `context`, if there is one.
    pub prompt: Prompt,
    /// A context to start from instead of an empty one; its tokens are not computed again.
    pub context: Option<PinnedContext>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What holds for single tokens.
    pub rules: TokenRules,
    /// What the whole answer has to look like. Not together with [`EndOfText::Ignored`].
    pub grammar: Option<Grammar>,
    /// Most tokens to generate; as many as the context holds if absent.
    pub max_tokens: Option<usize>,
    /// The answer ends before the first of these texts, wherever token borders fall.
    pub stop: Vec<String>,
    /// What ends the answer besides stop texts and the token limit.
    pub end: EndOfText,
    /// Which log-probabilities to report.
    pub logprobs: Logprobs,
    /// Whether the end of the stream carries a handle on the whole sequence.
    pub keep: KeepContext,
    /// How soon it shall run, and for how long.
    pub urgency: Urgency,
    /// Whether tokens are drafted ahead.
    pub speculation: Speculation,
}

/// How soon a generation shall run, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Urgency {
    /// Who goes first when not all can.
    pub priority: Priority,
    /// Most time from arrival to the end, waiting included. What there is of the answer by then is the answer: it ends
    /// with [`crate::FinishReason::Deadline`] before the next step.
    pub deadline: Option<Duration>,
}

/// Whether tokens are drafted ahead and verified several at once, where the engine can. It changes how fast an answer
/// comes, not what is in it; only an engine that was set up to verify by rejection sampling gives other samples, of the
/// same distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speculation {
    /// As far as it pays.
    #[default]
    Auto,
    /// Not at all: one token a step.
    Off,
    /// Always this many tokens, or as many as the engine drafts at most, whether it pays or not. For measurements.
    Fixed(usize),
}

/// Which log-probabilities a generation reports: those of the model, before sampling changes anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logprobs {
    /// Of each token of the answer, and of this many most likely alternatives.
    pub answer: Option<usize>,
    /// Of each token of the prompt, in [`crate::Event::Prompt`], and of this many most likely alternatives. The prompt
    /// is computed whole then, even where it is cached; a context is not.
    pub prompt: Option<usize>,
}

/// How urgent a request is: higher ones go first, and may take the place of lower ones that run; those are computed
/// again later. It never changes an answer. Nobody starves: a request can only be overtaken by so many later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub i8);

/// Whether a finished generation leaves its context pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepContext {
    /// Its blocks may be reused at once; a later prompt that begins alike still finds what is left of them.
    #[default]
    No,
    /// [`crate::Finished::context`] holds it, so that it can be continued without computing it again.
    Yes,
}

/// Whether the model's end-of-text tokens end the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOfText {
    /// They end it and are not part of it.
    #[default]
    Stops,
    /// They are tokens like any other, as benchmarks and references need.
    Ignored,
}

impl GenerateRequest {
    /// A greedy request without limits.
    pub fn new(prompt: impl Into<Prompt>) -> Self {
        Self {
            prompt: prompt.into(),
            context: None,
            sampling: Sampling::default(),
            rules: TokenRules::default(),
            grammar: None,
            max_tokens: None,
            stop: Vec::new(),
            end: EndOfText::Stops,
            logprobs: Logprobs::default(),
            keep: KeepContext::No,
            urgency: Urgency::default(),
            speculation: Speculation::default(),
        }
    }

    /// The request of sample `i` of several: its seed is `i` further, if it has one.
    pub fn for_sample(mut self, i: usize) -> Self {
        self.sampling.seed = self.sampling.seed.map(|seed| seed.wrapping_add(i as u64));
        self
    }

    /// Goes before requests of lower priority.
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.urgency.priority = priority;
        self
    }

    /// Ends after this time, wherever the answer is then.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.urgency.deadline = Some(deadline);
        self
    }

    /// Drafts tokens ahead in this way.
    pub fn with_speculation(mut self, speculation: Speculation) -> Self {
        self.speculation = speculation;
        self
    }

    /// Starts from a pinned context.
    pub fn with_context(mut self, context: PinnedContext) -> Self {
        self.context = Some(context);
        self
    }

    /// Chooses tokens in this way.
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Applies rules to single tokens.
    pub fn with_rules(mut self, rules: TokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Constrains the whole answer.
    pub fn with_grammar(mut self, grammar: Grammar) -> Self {
        self.grammar = Some(grammar);
        self
    }

    /// Limits the answer.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = Some(max_tokens);
        self
    }

    /// Ends the answer before this text, too.
    pub fn with_stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Goes on past end-of-text tokens, or not.
    pub fn with_end(mut self, end: EndOfText) -> Self {
        self.end = end;
        self
    }

    /// Leaves the whole sequence pinned at the end.
    pub fn with_keep(mut self, keep: KeepContext) -> Self {
        self.keep = keep;
        self
    }

    /// Reports log-probabilities of the answer, with this many alternatives.
    pub fn with_logprobs(mut self, num_alternatives: usize) -> Self {
        self.logprobs.answer = Some(num_alternatives);
        self
    }

    /// Reports log-probabilities of the prompt, with this many alternatives.
    pub fn with_prompt_logprobs(mut self, num_alternatives: usize) -> Self {
        self.logprobs.prompt = Some(num_alternatives);
        self
    }
}
