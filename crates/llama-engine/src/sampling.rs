//! How tokens are chosen: plain data. Whoever samples checks the ranges and refuses what is outside.

use crate::Penalties;

/// How the next token is chosen from the model's distribution. Everything is off unless asked for.
///
/// | | here | llama.cpp | transformers |
/// |---|---|---|---|
/// | temperature | 0 (greedy) | 0.8 | 1 |
/// | top-k | off | 40 | 50 |
/// | top-p | off | 0.95 | off |
/// | min-p | off | 0.05 | off |
/// | window of the penalties | everything | 64 tokens | everything |
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; at least 0, finite. At 0 the most likely token is taken, after token rules and penalties;
    /// nothing else applies.
    pub temperature: f32,
    /// Moves the temperature with the model's uncertainty.
    pub dynamic_temperature: Option<DynamicTemperature>,
    /// Keeps the `k` most likely tokens. At least 1.
    pub top_k: Option<usize>,
    /// Keeps the fewest most likely tokens whose probabilities reach this sum. Above 0, at most 1.
    pub top_p: Option<f32>,
    /// Keeps tokens at least this fraction as likely as the most likely. From 0 to 1.
    pub min_p: Option<f32>,
    /// Keeps the tokens whose surprise is closest to the expected one, until their probabilities reach this sum. Above
    /// 0, at most 1.
    pub typical_p: Option<f32>,
    /// Keeps tokens whose logits are at most this many standard deviations below the largest. Above 0, finite.
    pub top_n_sigma: Option<f32>,
    /// Sometimes excludes the most likely tokens.
    pub xtc: Option<Xtc>,
    /// Makes what was said before less likely.
    pub penalties: Penalties,
    /// Steers the surprise of the text.
    pub mirostat: Option<Mirostat>,
    /// In which order all this is applied; [`Stage::STANDARD`] if absent. Each stage at most once, and none left out
    /// that the request uses.
    pub order: Option<Vec<Stage>>,
    /// Starts the request's random streams: the same seed gives the same tokens. Chosen by the engine if absent.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            dynamic_temperature: None,
            top_k: None,
            top_p: None,
            min_p: None,
            typical_p: None,
            top_n_sigma: None,
            xtc: None,
            penalties: Penalties::default(),
            mirostat: None,
            order: None,
            seed: None,
        }
    }
}

/// A temperature between `temperature - range` (at least 0) and `temperature + range`: low where the model is sure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicTemperature {
    /// How far it moves. At least 0, finite.
    pub range: f32,
    /// The normalised entropy is raised to this power. Above 0, finite; 1 unless asked for.
    pub exponent: f32,
}

impl Default for DynamicTemperature {
    fn default() -> Self {
        Self { range: 0.5, exponent: 1.0 }
    }
}

/// Exclude top choices: of the tokens that reach a threshold only the least likely stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Xtc {
    /// How often it acts. From 0 to 1.
    pub probability: f32,
    /// What counts as a top choice, as a probability. Above 0, at most 0.5, since two must reach it.
    pub threshold: f32,
}

impl Default for Xtc {
    /// As its author recommends.
    fn default() -> Self {
        Self { probability: 0.5, threshold: 0.1 }
    }
}

/// A text of constant surprise: what is too surprising is cut off, at a limit that follows the tokens chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mirostat {
    /// Which of the two.
    pub version: MirostatVersion,
    /// The surprise to hold, in bits per token. Above 0, finite.
    pub tau: f32,
    /// How fast the limit follows. Above 0, at most 1.
    pub eta: f32,
}

impl Default for Mirostat {
    /// Version 2 with the values of llama.cpp.
    fn default() -> Self {
        Self { version: MirostatVersion::Two, tau: 5.0, eta: 0.1 }
    }
}

/// The two ways to cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirostatVersion {
    /// The `k` most likely tokens, for a `k` that follows from a fitted Zipf distribution.
    One,
    /// Tokens below a surprise.
    Two,
}

/// A step of the way from the model's distribution to the one that is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Repetition, frequency and presence.
    Penalties,
    /// [`crate::Dry`].
    Dry,
    /// The temperature, plain or dynamic.
    Temperature,
    /// [`Sampling::top_n_sigma`].
    TopNSigma,
    /// [`Sampling::top_k`].
    TopK,
    /// [`Sampling::typical_p`].
    TypicalP,
    /// [`Sampling::top_p`].
    TopP,
    /// [`Sampling::min_p`].
    MinP,
    /// [`Sampling::xtc`].
    Xtc,
    /// [`Sampling::mirostat`].
    Mirostat,
}

impl Stage {
    /// The order of transformers: penalties, then the temperature, then what cuts off. (llama.cpp applies the
    /// temperature last: there, top-p and min-p see the model's own probabilities.)
    pub const STANDARD: [Self; 10] = [
        Self::Penalties,
        Self::Dry,
        Self::Temperature,
        Self::TopNSigma,
        Self::TopK,
        Self::TypicalP,
        Self::TopP,
        Self::MinP,
        Self::Xtc,
        Self::Mirostat,
    ];

    /// Its name, as in [`Sampling`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Penalties => "penalties",
            Self::Dry => "dry",
            Self::Temperature => "temperature",
            Self::TopNSigma => "top_n_sigma",
            Self::TopK => "top_k",
            Self::TypicalP => "typical_p",
            Self::TopP => "top_p",
            Self::MinP => "min_p",
            Self::Xtc => "xtc",
            Self::Mirostat => "mirostat",
        }
    }

    /// The stage of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::STANDARD.into_iter().find(|stage| stage.name() == name)
    }
}
