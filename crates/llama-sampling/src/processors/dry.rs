//! DRY: against phrases that are said again.

use candle_core::Tensor;
use llama_engine::Dry as Config;

use crate::{
    History, Processor, SamplingError,
    error::{at_least_one, in_range},
    row::map_row,
};

/// Lowers the logit of a token by `multiplier * base^(n - allowed_len)` if it would continue the repetition of a phrase
/// of n >= `allowed_len` tokens: if the last n tokens stood before it already (p-e-w, text-generation-webui#5677, 2024).
/// The longest such phrase counts, and no phrase contains a breaker.
#[derive(Clone, Debug)]
pub struct Dry {
    multiplier: f64,
    base: f64,
    allowed_len: usize,
    last_n: usize,
    /// Sorted.
    breakers: Vec<u32>,
}

impl Dry {
    /// `breakers` are the tokens for the texts in `config`.
    ///
    /// # Errors
    /// [`SamplingError::OutOfRange`]; the ranges stand at [`llama_engine::Dry`].
    pub fn new(config: &Config, mut breakers: Vec<u32>) -> Result<Self, SamplingError> {
        let Config { multiplier, base, allowed_len, last_n, .. } = *config;
        let inside = (multiplier.is_finite() && multiplier >= 0.0, "a finite number of at least 0");
        in_range("penalties.dry.multiplier", multiplier, inside)?;
        in_range(
            "penalties.dry.base",
            base,
            (base.is_finite() && base >= 1.0, "a finite number of at least 1"),
        )?;
        breakers.sort_unstable();
        Ok(Self {
            multiplier: multiplier.into(),
            base: base.into(),
            allowed_len: at_least_one("penalties.dry.allowed_len", allowed_len)?,
            last_n: at_least_one("penalties.dry.last_n", last_n.unwrap_or(usize::MAX))?,
            breakers,
        })
    }

    fn is_breaker(&self, token: u32) -> bool {
        self.breakers.binary_search(&token).is_ok()
    }

    /// For each place where a phrase ended before: the token that followed it, and the length that it has in common
    /// with the end of `tokens`.
    fn repetitions(&self, tokens: &[u32]) -> impl Iterator<Item = (u32, usize)> {
        let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
        let phrase_len = reversed.iter().position(|&token| self.is_breaker(token)).unwrap_or(reversed.len());
        let lens = common_prefixes(&reversed);
        (1..reversed.len()).map(move |i| (reversed[i - 1], lens[i].min(phrase_len)))
    }
}

impl Processor for Dry {
    fn name(&self) -> &'static str {
        "dry"
    }

    fn process(&mut self, logits: Tensor, history: &History<'_>) -> Result<Tensor, SamplingError> {
        let tokens = history.tokens();
        let start = tokens.len().saturating_sub(self.last_n);
        let mut repeated: Vec<(u32, usize)> = self
            .repetitions(&tokens[start..])
            .filter(|&(token, len)| len >= self.allowed_len && !self.is_breaker(token))
            .collect();
        if repeated.is_empty() {
            return Ok(logits);
        }
        // Of each token the longest.
        repeated.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        repeated.dedup_by_key(|&mut (token, _)| token);
        map_row(&logits, |row| {
            for (token, len) in repeated {
                let growth = self.base.powf((len - self.allowed_len) as f64);
                if let Some(logit) = row.get_mut(token as usize).filter(|logit| logit.is_finite()) {
                    // A penalty that leaves the numbers does not rule out.
                    *logit = (f64::from(*logit) - self.multiplier * growth).max(f32::MIN.into()) as f32;
                }
            }
        })
    }
}

/// For each place how far what begins there equals the beginning of everything: the Z function (Gusfield, Algorithms on
/// Strings, Trees and Sequences, 1997, section 1.4), in linear time.
fn common_prefixes(tokens: &[u32]) -> Vec<usize> {
    let mut lens = vec![0; tokens.len()];
    // The known piece that reaches furthest.
    let (mut start, mut end) = (0, 0);
    for i in 1..tokens.len() {
        let mut len = if i < end { lens[i - start].min(end - i) } else { 0 };
        while i + len < tokens.len() && tokens[len] == tokens[i + len] {
            len += 1;
        }
        if i + len > end {
            (start, end) = (i, i + len);
        }
        lens[i] = len;
    }
    lens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::*, *};

    /// How many of the last tokens stand before position `end`, breakers apart, counted one by one.
    fn matching(tokens: &[u32], end: usize, breakers: &[u32]) -> usize {
        let last = tokens.len();
        let is_common = |n: &usize| {
            *n < end
                && tokens[end - 1 - n] == tokens[last - 1 - n]
                && !breakers.contains(&tokens[end - 1 - n])
        };
        (0..end).take_while(is_common).count()
    }

    proptest! {
        #[test]
        fn lowers_what_would_repeat_a_phrase(
            logits in logits(),
            tokens in prop::collection::vec(0u32..4, 0..40),
            (multiplier, base, allowed_len) in (0.0f32..2.0, 1.0f32..2.0, 1usize..4),
            (last_n, breakers) in (prop::option::of(1usize..50), prop::collection::vec(0u32..12, 0..2)),
        ) {
            let window = &tokens[tokens.len() - last_n.unwrap_or(99).min(tokens.len())..];
            let mut expected = wide(&logits);
            for (token, logit) in expected.iter_mut().enumerate() {
                let follows = |&end: &usize| window[end] as usize == token && !breakers.contains(&window[end]);
                let lens = (1..window.len()).filter(follows).map(|end| matching(window, end, &breakers));
                if let Some(len) = lens.max().filter(|&len| len >= allowed_len) {
                    *logit -= f64::from(multiplier) * f64::from(base).powi((len - allowed_len) as i32);
                }
            }
            let config = Config { multiplier, base, allowed_len, last_n, breakers: Vec::new() };
            let history = History::new(&tokens, tokens.len() / 2);
            check(Dry::new(&config, breakers).unwrap(), (&logits, &history), &softmax(&expected))?;
        }
    }

    #[test]
    fn the_longer_the_phrase_the_more_it_costs() {
        let config = Config { multiplier: 1.0, base: 2.0, allowed_len: 2, ..Config::default() };
        let tokens = [1, 2, 3, 4, 0, 1, 2, 3];
        let lowered = |len: usize, breakers: &[u32]| {
            let mut dry = Dry::new(&config, breakers.to_vec()).unwrap();
            processed(&mut dry, &[0.0; 5], &History::new(&tokens[..len], 1))
        };
        assert_eq!(lowered(6, &[]), [0.0; 5], "a single token may be repeated");
        assert_eq!(lowered(7, &[]), [0.0, 0.0, 0.0, -1.0, 0.0]);
        assert_eq!(lowered(8, &[]), [0.0, 0.0, 0.0, 0.0, -2.0]);
        assert_eq!(lowered(8, &[2]), [0.0; 5], "only one token since the breaker");
        assert_eq!(lowered(8, &[1]), [0.0, 0.0, 0.0, 0.0, -1.0], "two tokens since the breaker");
        assert_eq!(lowered(8, &[4]), [0.0; 5], "a breaker is never penalised");
    }

    #[test]
    fn endless_repetition_stays_a_number() {
        let row = processed(
            &mut Dry::new(&Config { base: 9.0, ..Config::default() }, Vec::new()).unwrap(),
            &[0.0, 1.0],
            &History::new(&[0; 3000], 1),
        );
        assert_eq!(row, [f32::MIN, 1.0]);
    }

    #[test]
    fn ranges_are_checked() {
        let usual = Config::default();
        for config in [
            Config { multiplier: -0.1, ..usual.clone() },
            Config { multiplier: f32::NAN, ..usual.clone() },
            Config { base: 0.9, ..usual.clone() },
            Config { base: f32::INFINITY, ..usual.clone() },
            Config { allowed_len: 0, ..usual.clone() },
            Config { last_n: Some(0), ..usual.clone() },
        ] {
            assert!(Dry::new(&config, Vec::new()).is_err(), "{config:?}");
        }
    }
}
