//! When a request is sent again, and after how long.
//!
//! Owns the arithmetic alone: no clock, no sleep. What may be repeated at all is decided in [`crate::transport`].

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// How often and how soon a request that failed is sent again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Most rounds, the first one included; in each, every endpoint is asked at most once, without a pause between them. 1 asks each
    /// endpoint once; 0 counts as 1.
    pub max_rounds: usize,
    /// Pause before the second round; each further one is twice as long.
    pub first_pause: Duration,
    /// Longest pause. A server that asks for a longer one, with `Retry-After`, is not asked again.
    pub max_pause: Duration,
}

impl Default for RetryPolicy {
    /// Four rounds, with pauses of 0.1, 0.2 and 0.4 seconds, and up to 10 where the server says so.
    fn default() -> Self {
        Self { max_rounds: 4, first_pause: Duration::from_millis(100), max_pause: Duration::from_secs(10) }
    }
}

impl RetryPolicy {
    /// A single round.
    pub fn never() -> Self {
        Self { max_rounds: 1, ..Self::default() }
    }

    /// The pause after round `round`, counted from 1; `None` if that was the last. `spread`, from 0 to 1, takes up to half of
    /// the pause away, so that clients that failed together do not come back together. What the server asks for is kept.
    pub(crate) fn pause(&self, round: usize, retry_after: Option<Duration>, spread: f64) -> Option<Duration> {
        if round >= self.max_rounds {
            return None;
        }
        if let Some(asked) = retry_after {
            return (asked <= self.max_pause).then_some(asked);
        }
        let doublings = u32::try_from(round - 1).unwrap_or(u32::MAX).min(30);
        let pause = self.first_pause.saturating_mul(1 << doublings).min(self.max_pause);
        Some(pause.mul_f64(1.0 - spread.clamp(0.0, 1.0) / 2.0))
    }
}

/// A number from 0 to 1, another one each time.
pub(crate) fn spread() -> f64 {
    // The keys of the standard library's hash tables are random.
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> RetryPolicy {
        RetryPolicy { max_rounds: 5, first_pause: SECOND, max_pause: 3 * SECOND }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_rounds_end() {
        let pauses: Vec<_> = (1..7).map(|round| policy().pause(round, None, 0.0)).collect();
        let expected = [Some(SECOND), Some(2 * SECOND), Some(3 * SECOND), Some(3 * SECOND), None, None];
        assert_eq!(pauses, expected);
        assert_eq!(RetryPolicy::never().pause(1, None, 0.0), None);
        let many = RetryPolicy { max_rounds: usize::MAX, ..policy() };
        assert_eq!(many.pause(usize::MAX - 1, None, 0.0), Some(3 * SECOND), "no overflow");
    }

    #[test]
    fn clients_spread_but_never_come_before_half_of_the_pause() {
        assert_eq!(policy().pause(1, None, 1.0), Some(SECOND / 2));
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&spread()));
        }
        assert!((0..100).any(|_| spread() != spread()), "always the same number");
    }

    #[test]
    fn what_the_server_asks_for_is_kept_or_the_request_given_up() {
        assert_eq!(policy().pause(1, Some(2 * SECOND), 1.0), Some(2 * SECOND));
        assert_eq!(policy().pause(1, Some(4 * SECOND), 1.0), None);
        assert_eq!(policy().pause(5, Some(Duration::ZERO), 0.0), None, "rounds are counted all the same");
    }
}
