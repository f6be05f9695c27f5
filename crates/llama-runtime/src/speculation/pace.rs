//! How many tokens are drafted for a sequence: as many as pay, by what was accepted and what steps cost.
//!
//! Invariant: what drafting costs more than it brings stays within an allowance: two steps at once, and then one step in
//! fifty; reading what the drafter has not seen is weighed on its own. It reads no clock, and under the same costs the same
//! acceptances give the same lengths.

use llama_engine::Speculation;

use super::CostTable;

/// A token that was seen so many tokens ago counts this much less.
const DECAY: f64 = 0.9;
/// As many tokens are as if seen before the first.
const PRIOR_WEIGHT: f64 = 3.0;
/// A draft must be expected to make an answer this much faster.
const LEAST_GAIN: f64 = 1.03;
/// What may be lost, in steps: at once, and for each token of the answer.
const ALLOWANCE: (f64, f64) = (2.0, 0.02);
/// A drafter that costs less than this share of a step can be watched for nothing.
const FREE: f64 = 0.005;
/// An answer is expected to go on for this many tokens, or to its limit.
const HORIZON: usize = 128;

/// What the length of a draft is chosen by, besides the past of its sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prospect<'a> {
    pub(crate) costs: &'a CostTable,
    /// Sequences that decode at the same time.
    pub(crate) num_sequences: usize,
    /// Longest draft.
    pub(crate) most: usize,
    /// Tokens of the sequence.
    pub(crate) len: usize,
    /// Tokens of the answer, so far and at most.
    pub(crate) answer: (usize, usize),
}

/// What a sequence does in the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    Nothing,
    /// A token is drafted and not verified, but compared with the one that comes.
    Watch,
    Draft(usize),
}

/// The pace of one sequence.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    choice: Speculation,
    /// Of the drafted tokens seen, the accepted ones; the later, the more they count.
    num_accepted: f64,
    num_seen: f64,
    /// Lost by drafting so far, in microseconds; a gain counts up to what is allowed to be lost at once.
    lost_us: f64,
    saved_us: f64,
    /// A step without drafts, when the last draft was paid.
    step_us: f64,
    /// Tokens of the sequence that the drafter has read.
    read_len: usize,
    /// What was decided last, and for how many tokens of the sequence.
    last: (Ahead, usize),
    watched: Option<u32>,
}

impl Pace {
    pub(crate) fn new(choice: Speculation) -> Self {
        Self {
            choice,
            num_accepted: 0.0,
            num_seen: 0.0,
            lost_us: 0.0,
            saved_us: 0.0,
            step_us: 0.0,
            read_len: 0,
            last: (Ahead::Nothing, 0),
            watched: None,
        }
    }

    /// Time saved so far, in microseconds.
    pub(crate) fn saved_us(&self) -> f64 {
        self.saved_us
    }

    /// What to do next, paid at once, verification included. Asked again before another token came, it says the same and
    /// costs nothing more. `prior` is the share of tokens that is expected to be accepted as long as none was seen.
    pub(crate) fn ahead(&mut self, prospect: &Prospect<'_>, prior: f64) -> Ahead {
        let (last, last_len) = self.last;
        if last_len == prospect.len {
            return last;
        }
        if self.num_seen == 0.0 {
            (self.num_accepted, self.num_seen) = (prior * PRIOR_WEIGHT, PRIOR_WEIGHT);
        }
        let ahead = self.decide(prospect);
        self.last = (ahead, prospect.len);
        if let Ahead::Draft(len) = ahead {
            let reading = prospect.read_cost(self.unread(prospect));
            // The first reading is no part of what may be lost: whether it is worth it has been weighed.
            let (first, later) = if self.read_len == 0 { (reading, 0.0) } else { (0.0, reading) };
            self.saved_us -= first;
            (self.read_len, self.step_us) = (prospect.len, prospect.step());
            self.gain(-prospect.draft_cost(len) - later);
        }
        ahead
    }

    fn decide(&self, prospect: &Prospect<'_>) -> Ahead {
        let most = prospect.most.min(prospect.answer.1.saturating_sub(prospect.answer.0 + 1));
        match (self.choice, most) {
            (Speculation::Off, _) | (_, 0) => Ahead::Nothing,
            (Speculation::Fixed(len), _) => match len.min(most) {
                0 => Ahead::Nothing,
                len => Ahead::Draft(len),
            },
            (Speculation::Auto, _) => match self.best_len(prospect, most) {
                0 if prospect.is_free() => Ahead::Watch,
                0 => Ahead::Nothing,
                len => Ahead::Draft(len),
            },
        }
    }

    /// Tokens that the drafter has not read.
    fn unread(&self, prospect: &Prospect<'_>) -> usize {
        prospect.len - self.read_len.min(prospect.len)
    }

    /// The length that is expected to be the fastest, of those that may be tried; 0 if none is faster than without.
    fn best_len(&self, prospect: &Prospect<'_>, most: usize) -> usize {
        let unread = self.unread(prospect);
        let (num_tokens, max_tokens) = prospect.answer;
        let (at_once, per_token) = ALLOWANCE;
        let allowed = prospect.step() * (at_once + per_token * num_tokens as f64) - self.lost_us;
        let gains = (1..=most)
            .filter(|&len| prospect.draft_cost(len) <= allowed)
            .map(|len| (len, prospect.gain(len, self.num_accepted / self.num_seen)));
        let best = gains.max_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|(_, gain)| *gain > LEAST_GAIN);
        match best {
            Some((len, gain)) => {
                // Reading is paid once, by half of what is to come at most.
                let to_come = (max_tokens - num_tokens).min(HORIZON) as f64 * prospect.step();
                let is_worth_reading = prospect.read_cost(unread) <= 0.5 * to_come * (1.0 - 1.0 / gain);
                if is_worth_reading { len } else { 0 }
            }
            // Whether things have changed, watching tells, and if that is too dear, only trying.
            None if prospect.is_free() => 0,
            None => usize::from(prospect.draft_cost(1) + prospect.read_cost(unread) <= allowed),
        }
    }

    /// Notes a token that was drafted, and is only watched for.
    pub(crate) fn watch(&mut self, token: Option<u32>) {
        self.watched = token;
    }

    /// Whether what was drafted last is not to be verified.
    pub(crate) fn is_watching(&self) -> bool {
        self.last.0 == Ahead::Watch
    }

    /// Notes the token that came.
    pub(crate) fn see(&mut self, token: u32) {
        if let Some(watched) = self.watched.take() {
            self.observe(token == watched);
        }
    }

    /// Notes what became of a draft: tokens accepted, and whether another token came instead of the next.
    pub(crate) fn settle(&mut self, num_accepted: usize, was_refuted: bool) {
        (0..num_accepted).for_each(|_| self.observe(true));
        if was_refuted {
            self.observe(false);
        }
        self.read_len += num_accepted;
        self.gain(num_accepted as f64 * self.step_us);
    }

    fn observe(&mut self, is_accepted: bool) {
        self.num_accepted = self.num_accepted * DECAY + f64::from(u8::from(is_accepted));
        self.num_seen = self.num_seen * DECAY + 1.0;
    }

    fn gain(&mut self, us: f64) {
        self.saved_us += us;
        self.lost_us = (self.lost_us - us).max(-ALLOWANCE.0 * self.step_us);
    }
}

impl Prospect<'_> {
    /// A step of all sequences, one row each.
    fn step(&self) -> f64 {
        self.costs.step(self.num_sequences)
    }

    /// What drafts of `len` tokens cost more than steps without, if all sequences do likewise.
    fn draft_cost(&self, len: usize) -> f64 {
        let step = self.costs.step(self.num_sequences * (len + 1));
        step - self.step() + self.costs.draft(len, self.num_sequences)
    }

    /// Whether a token can be drafted without being verified, just to see whether it would have been right.
    fn is_free(&self) -> bool {
        self.costs.draft(1, self.num_sequences) < FREE * self.step()
    }

    /// What it costs to make so many tokens known to the drafter; one in each step is part of drafting.
    fn read_cost(&self, unread: usize) -> f64 {
        unread.saturating_sub(1) as f64 * self.costs.draft_read_us
    }

    /// How many times as fast tokens come with drafts of this length: those expected of a step (Leviathan et al., ICML
    /// 2023, equation 1) by what it costs.
    fn gain(&self, len: usize, acceptance: f64) -> f64 {
        let expected: f64 = (0..=len as i32).map(|place| acceptance.powi(place)).sum();
        expected * self.step() / (self.step() + self.draft_cost(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drafter of a fifth of the model's cost.
    const COSTS: CostTable = CostTable {
        step_us: [100.0, 105.0, 115.0, 140.0, 200.0],
        draft_us: 0.0,
        draft_token_us: 20.0,
        draft_read_us: 1.0,
    };
    const LOOKUP: CostTable = CostTable { draft_token_us: 0.0, draft_read_us: 0.0, ..COSTS };

    fn prospect(costs: &CostTable, num_tokens: usize) -> Prospect<'_> {
        Prospect { costs, num_sequences: 1, most: 8, len: 30 + num_tokens, answer: (num_tokens, 1000) }
    }

    /// Lets a sequence generate 400 tokens, of which `is_accepted` says whether a draft has them right. Returns the time
    /// that it takes, in steps, and the lengths of its drafts.
    fn run(costs: &CostTable, is_accepted: impl Fn(usize) -> bool) -> (f64, Vec<usize>) {
        let mut pace = Pace::new(Speculation::Auto);
        let (mut num_tokens, mut us, mut lens) = (0, 0.0, Vec::new());
        while num_tokens < 400 {
            let prospect = prospect(costs, num_tokens);
            let unread = pace.unread(&prospect);
            let ahead = pace.ahead(&prospect, 0.7);
            assert_eq!(pace.ahead(&prospect, 0.7), ahead, "asked again");
            us += 100.0;
            let mut num_accepted = 0;
            match ahead {
                Ahead::Nothing => lens.push(0),
                Ahead::Watch => {
                    pace.watch(Some(u32::from(is_accepted(num_tokens))));
                    pace.see(1);
                    lens.push(0);
                }
                Ahead::Draft(len) => {
                    us += prospect.draft_cost(len) + prospect.read_cost(unread);
                    num_accepted = (0..len).take_while(|place| is_accepted(num_tokens + place)).count();
                    pace.settle(num_accepted, num_accepted < len);
                    lens.push(len);
                }
            }
            num_tokens += 1 + num_accepted;
        }
        assert!(
            (pace.saved_us() - (num_tokens as f64 * 100.0 - us)).abs() < 1e-6,
            "what was saved is counted"
        );
        (us / 100.0, lens)
    }

    #[test]
    fn what_is_never_accepted_costs_little() {
        for costs in [COSTS, LOOKUP] {
            let (steps, lens) = run(&costs, |_| false);
            assert!(steps < 400.0 * 1.03, "{steps} steps, {lens:?}");
        }
    }

    #[test]
    fn what_is_always_accepted_is_drafted_as_far_as_it_goes() {
        let (steps, lens) = run(&LOOKUP, |_| true);
        assert!(steps < 400.0 / 5.0, "{steps} steps");
        assert!(lens[5..].iter().all(|&len| len == 8), "{lens:?}");
        let (steps, _) = run(&COSTS, |_| true);
        assert!(steps < 400.0 / 2.5, "{steps} steps");
    }

    #[test]
    fn reading_a_long_prompt_does_not_keep_from_drafting() {
        let costs = CostTable { draft_read_us: 20.0, ..COSTS };
        let (steps, lens) = run(&costs, |_| true);
        assert!(steps < 400.0 / 2.3 && lens[5..].iter().all(|&len| len > 2), "{steps} steps, {lens:?}");
    }

    #[test]
    fn a_draft_is_as_long_as_pays() {
        // Of ten tokens, three are wrong, one after another or apart.
        for is_accepted in [|i: usize| i % 10 > 2, |i| i * 7 % 10 > 2] {
            let (steps, lens) = run(&COSTS, is_accepted);
            assert!(steps < 400.0 / 1.15, "{steps} steps, {lens:?}");
            let most = lens.iter().filter(|&&len| (1..=5).contains(&len)).count();
            assert!(most * 2 > lens.len(), "{lens:?}");
        }
    }

    #[test]
    fn a_cheap_drafter_is_taken_up_again_when_it_is_right() {
        let (_, lens) = run(&LOOKUP, |i| i > 200);
        let (before, after) = lens.split_at(200);
        assert!(before.iter().filter(|&&len| len > 0).count() < 20, "{before:?}");
        assert!(after[10..].iter().all(|&len| len > 0), "{after:?}");
    }

    #[test]
    fn a_dear_drafter_is_tried_again() {
        let (steps, lens) = run(&COSTS, |i| i > 100);
        assert!(steps < 300.0, "{steps} steps, {lens:?}");
    }

    #[test]
    fn many_sequences_leave_no_room_for_drafts() {
        let costs = CostTable { step_us: [100.0, 200.0, 400.0, 800.0, 1600.0], ..LOOKUP };
        let mut pace = Pace::new(Speculation::Auto);
        let alone = prospect(&LOOKUP, 0);
        assert_eq!(pace.ahead(&alone, 0.9), Ahead::Draft(8));
        let together = Prospect { costs: &costs, num_sequences: 8, len: 31, ..alone };
        assert_ne!(pace.ahead(&together, 0.9), Ahead::Draft(8));
    }

    #[test]
    fn requests_have_their_say() {
        let prospect = prospect(&COSTS, 0);
        let check = |choice, expected| assert_eq!(Pace::new(choice).ahead(&prospect, 0.0), expected);
        check(Speculation::Off, Ahead::Nothing);
        check(Speculation::Fixed(3), Ahead::Draft(3));
        check(Speculation::Fixed(99), Ahead::Draft(8));
        check(Speculation::Fixed(0), Ahead::Nothing);
        let last = Prospect { answer: (9, 10), ..prospect };
        assert_eq!(Pace::new(Speculation::Fixed(3)).ahead(&last, 0.0), Ahead::Nothing);
        let third_last = Prospect { answer: (7, 10), ..prospect };
        assert_eq!(Pace::new(Speculation::Fixed(3)).ahead(&third_last, 0.0), Ahead::Draft(2));
    }
}
