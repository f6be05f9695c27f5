//! What one request costs.

use std::time::Duration;

use llama_engine::Usage;

use super::Phase;

/// A request's share of the device's time, and of its joules as far as power is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestEnergy {
    prefill: Account,
    decode: Account,
}

/// Joules per token; absent where nobody measures, or there were no tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct JoulesPerToken {
    /// Per token of the prompt that was computed.
    pub(crate) prefill: Option<f64>,
    /// Per token of the answer after the first, which the prompt's computation brings.
    pub(crate) decode: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    joules: f64,
    /// Time of the interval that has not ended.
    unpriced: Duration,
}

impl RequestEnergy {
    /// Adds a share of a step's time.
    pub(crate) fn spend(&mut self, phase: Phase, time: Duration) {
        match phase {
            Phase::Decode => self.decode.unpriced += time,
            Phase::Prefill | Phase::Embed => self.prefill.unpriced += time,
        }
    }

    /// Turns time into joules.
    pub(crate) fn price(&mut self, watts: f64) {
        for account in [&mut self.prefill, &mut self.decode] {
            account.joules += watts * std::mem::take(&mut account.unpriced).as_secs_f64();
        }
    }

    /// What has been priced, by the tokens it was for.
    pub(crate) fn per_token(&self, usage: &Usage) -> JoulesPerToken {
        let num_computed = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
        JoulesPerToken {
            prefill: self.prefill.per_token(num_computed),
            decode: self.decode.per_token(usage.completion_tokens.saturating_sub(1)),
        }
    }
}

impl Account {
    fn per_token(&self, num_tokens: usize) -> Option<f64> {
        (num_tokens > 0 && self.joules > 0.0).then(|| self.joules / num_tokens as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage {
        prompt_tokens: 10,
        cached_tokens: 6,
        completion_tokens: 5,
        forced_tokens: 0,
        speculation: llama_engine::SpeculationUsage {
            num_drafts: 0,
            drafted_tokens: 0,
            accepted_tokens: 0,
            by_place: [llama_engine::DraftPlace { drafted: 0, accepted: 0 }; llama_engine::MAX_DRAFT_LEN],
            saved_us: 0,
        },
    };

    #[test]
    fn time_costs_the_power_of_its_interval() {
        let mut energy = RequestEnergy::default();
        energy.spend(Phase::Prefill, Duration::from_millis(500));
        energy.price(16.0);
        energy.spend(Phase::Decode, Duration::from_millis(250));
        energy.price(8.0);
        energy.spend(Phase::Decode, Duration::from_millis(500));
        energy.price(4.0);
        assert_eq!(energy.per_token(&USAGE), JoulesPerToken { prefill: Some(2.0), decode: Some(1.0) });
    }

    #[test]
    fn what_nobody_measured_is_absent() {
        let mut energy = RequestEnergy::default();
        energy.spend(Phase::Prefill, Duration::from_millis(500));
        assert_eq!(energy.per_token(&USAGE), JoulesPerToken::default());
        energy.price(16.0);
        let usage = Usage { completion_tokens: 1, ..USAGE };
        assert_eq!(energy.per_token(&usage), JoulesPerToken { prefill: Some(2.0), decode: None });
    }
}
