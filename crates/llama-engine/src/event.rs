//! What a generation reports while it runs and when it ends.

use std::time::Duration;

use crate::{Citation, PinnedContext};

/// An item of a [`crate::TokenStream`]: the prompt, if that was asked for, any number of tokens, then one end.
#[derive(Clone, Debug)]
pub enum Event {
    /// What the model thinks of the prompt. Comes first, to requests with [`crate::Logprobs::prompt`] only.
    Prompt(PromptEvent),
    /// The next token.
    Token(TokenEvent),
    /// A citation, after the event with the end of its marker; before the end, if that is where the marker is. Under
    /// [`crate::Grammar::Citations`] only.
    Citation(Citation),
    /// The end; nothing follows.
    Finished(Finished),
}

/// A prompt as the model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptEvent {
    /// All tokens of the prompt, without those of a context.
    pub tokens: Vec<PromptToken>,
}

/// A token of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptToken {
    /// Its id.
    pub id: u32,
    /// Its own log-probability, then those of the most likely ones in its place, falling. `None` for a token that
    /// nothing comes before: the first one, unless there is a context.
    pub logprobs: Option<Vec<TokenLogprob>>,
}

/// The id of tokens whose server does not name it: the OpenAI API sends text alone. No vocabulary is so large.
pub const UNKNOWN_TOKEN: u32 = u32::MAX;

/// A generated token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEvent {
    /// Its id; [`UNKNOWN_TOKEN`] from an engine over a network that is not told, which may also send several tokens as one.
    pub id: u32,
    /// The text that became certain with it: whole characters, and nothing that may belong to a stop text. Often
    /// empty, and not always of this token alone. The texts of all tokens make up the answer.
    pub text: String,
    /// Log-probabilities, if asked for: the token's own first, then the most likely ones, falling.
    pub logprobs: Option<Vec<TokenLogprob>>,
}

/// A token and the natural logarithm of its probability under the model, before sampling changes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// ln p.
    pub logprob: f32,
}

/// Why a generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model said so.
    EndOfText,
    /// A stop text appeared: this one.
    Stop(String),
    /// The model chose one of [`crate::TokenRules::stop`]: this one.
    StopToken(u32),
    /// The token limit, or the context's end, was reached.
    MaxTokens,
    /// The caller asked for an early end with [`crate::TokenStream::stop`].
    Interrupted,
    /// [`crate::Urgency::deadline`] passed.
    Deadline,
}

/// The end of a generation.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Why it ended.
    pub reason: FinishReason,
    /// Text that was held back until the end was certain.
    pub text: String,
    /// Tokens in and out.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
    /// The whole sequence, prompt and answer, still cached: start from it to continue without computing it again.
    /// Present if the request asked for it, see [`crate::KeepContext`].
    pub context: Option<PinnedContext>,
}

/// Token counts of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of context and prompt.
    pub prompt_tokens: usize,
    /// Those of them that did not have to be computed.
    pub cached_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
    /// Those of them that the grammar left no choice about, and that were appended without a step of the model.
    pub forced_tokens: usize,
    /// What drafting ahead has brought.
    pub speculation: SpeculationUsage,
}

/// Most tokens of a draft, in any engine.
pub const MAX_DRAFT_LEN: usize = 16;

/// Drafts of one request, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpeculationUsage {
    /// Steps that verified a draft.
    pub num_drafts: usize,
    /// Tokens drafted and verified.
    pub drafted_tokens: usize,
    /// Those of them that are part of the answer.
    pub accepted_tokens: usize,
    /// The same by place in the draft.
    pub by_place: [DraftPlace; MAX_DRAFT_LEN],
    /// Wall-clock time that this request saved, in microseconds, by the costs of steps that were measured when the
    /// engine was loaded. Negative where drafting cost more than it brought.
    pub saved_us: i64,
}

/// Tokens at one place of the drafts. They are counted up to 65,535.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DraftPlace {
    /// Tokens drafted.
    pub drafted: u16,
    /// Those of them that are part of the answer.
    pub accepted: u16,
}

impl SpeculationUsage {
    /// Share of the drafted tokens that are part of the answer; `None` if there were none.
    pub fn acceptance(&self) -> Option<f64> {
        (self.drafted_tokens > 0).then(|| self.accepted_tokens as f64 / self.drafted_tokens as f64)
    }

    /// Counts a draft of `num_drafted` tokens, the first `num_accepted` of which are part of the answer.
    pub fn count(&mut self, num_drafted: usize, num_accepted: usize) {
        self.num_drafts += 1;
        self.drafted_tokens += num_drafted;
        self.accepted_tokens += num_accepted;
        for (i, place) in self.by_place.iter_mut().take(num_drafted).enumerate() {
            place.drafted = place.drafted.saturating_add(1);
            place.accepted = place.accepted.saturating_add(u16::from(i < num_accepted));
        }
    }
}

/// Wall-clock times of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From arrival to the first step that worked on it.
    pub queued: Duration,
    /// From arrival to the first token.
    pub time_to_first_token: Duration,
    /// From arrival to the end.
    pub total: Duration,
}

impl Timings {
    /// Tokens per second after the first; `None` where there were fewer than two.
    pub fn decode_tokens_per_second(&self, usage: &Usage) -> Option<f64> {
        let seconds = self.total.saturating_sub(self.time_to_first_token).as_secs_f64();
        (usage.completion_tokens > 1 && seconds > 0.0).then(|| (usage.completion_tokens - 1) as f64 / seconds)
    }
}
