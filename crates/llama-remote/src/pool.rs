//! Which endpoint gets the next request: round robin over those that answer.
//!
//! Owns what is known of each endpoint's health, and the circuits: an endpoint that fails goes out, for a time that doubles with
//! each failure; after that one request, or one probe, may try it, and brings it back in or sends it out again. Knows no HTTP and
//! has no clock: callers say what happened, and when. When all endpoints are out, the one that would be back first
//! is tried all the same: an engine never refuses without having asked.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// When an endpoint goes out, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthPolicy {
    /// Failures in a row after which an endpoint is out. A connection that is refused counts for all of them.
    pub max_failures: usize,
    /// For how long it is out at first; twice as long after each further failure.
    pub first_outage: Duration,
    /// Longest time out.
    pub max_outage: Duration,
    /// How often all endpoints are probed; `None` probes only those that are out, when their time has come.
    pub probe_interval: Option<Duration>,
}

impl Default for HealthPolicy {
    /// Out after three failures, for 0.5 to 30 seconds; probed every 15 seconds.
    fn default() -> Self {
        Self {
            max_failures: 3,
            first_outage: Duration::from_millis(500),
            max_outage: Duration::from_secs(30),
            probe_interval: Some(Duration::from_secs(15)),
        }
    }
}

/// How an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens there.
    Unreachable,
    /// It took the request and failed: a time-out, a broken answer, a fault of the server.
    Faulty,
}

/// Where one endpoint stands.
#[derive(Clone, Copy, Debug)]
struct Health {
    num_failures: usize,
    num_outages: u32,
    /// Until when it is out.
    out: Option<Instant>,
    /// Somebody is trying whether it is back.
    is_tried: bool,
}

/// All endpoints, by number.
#[derive(Debug)]
pub(crate) struct EndpointPool {
    policy: HealthPolicy,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    endpoints: Vec<Health>,
    next: usize,
}

impl EndpointPool {
    /// `num_endpoints`, all of them in.
    pub(crate) fn new(num_endpoints: usize, policy: HealthPolicy) -> Self {
        let healthy = Health { num_failures: 0, num_outages: 0, out: None, is_tried: false };
        Self { policy, state: Mutex::new(State { endpoints: vec![healthy; num_endpoints], next: 0 }) }
    }

    /// The next endpoint to ask, of those that are not in `tried`. `None` if all have been tried, but for those that are out
    /// while another is in.
    pub(crate) fn pick(&self, now: Instant, tried: &[usize]) -> Option<usize> {
        let mut state = self.state();
        let num_endpoints = state.endpoints.len();
        let next = state.next;
        let order = (0..num_endpoints).map(|i| (next + i) % num_endpoints);
        let candidates: Vec<usize> = order.filter(|idx| !tried.contains(idx)).collect();
        let is_in = |idx: &usize| state.endpoints[*idx].is_in(now);
        let chosen = candidates.iter().copied().find(is_in).or_else(|| {
            let are_all_out = state.endpoints.iter().all(|health| health.out.is_some());
            let first_back = candidates.iter().copied().min_by_key(|&idx| state.endpoints[idx].out);
            first_back.filter(|_| are_all_out)
        })?;
        state.next = (chosen + 1) % num_endpoints;
        let endpoint = &mut state.endpoints[chosen];
        endpoint.is_tried = endpoint.out.is_some();
        Some(chosen)
    }

    /// An endpoint answered. True if it was out.
    pub(crate) fn succeeded(&self, idx: usize) -> bool {
        let endpoint = &mut self.state().endpoints[idx];
        let was_out = endpoint.out.is_some();
        *endpoint = Health { num_failures: 0, num_outages: 0, out: None, is_tried: false };
        was_out
    }

    /// An endpoint failed. True if that sends it out.
    pub(crate) fn failed(&self, idx: usize, failure: Failure, now: Instant) -> bool {
        let policy = &self.policy;
        let endpoint = &mut self.state().endpoints[idx];
        endpoint.num_failures += 1;
        let was_in = endpoint.out.is_none();
        if was_in && failure == Failure::Faulty && endpoint.num_failures < policy.max_failures {
            return false;
        }
        // Requests that were under way when it went out say nothing new.
        if was_in || endpoint.is_tried {
            let outage =
                policy.first_outage.saturating_mul(1 << endpoint.num_outages.min(20)).min(policy.max_outage);
            endpoint.out = Some(now + outage);
            endpoint.num_outages += 1;
            endpoint.is_tried = false;
        }
        was_in
    }

    /// A try that was given up tells nothing.
    pub(crate) fn abandoned(&self, idx: usize) {
        self.state().endpoints[idx].is_tried = false;
    }

    /// Endpoints that are out and whose time has come. They count as being tried from now on.
    pub(crate) fn due(&self, now: Instant) -> Vec<usize> {
        let mut state = self.state();
        let is_due = |health: &Health| health.out.is_some() && health.is_in(now);
        let due: Vec<usize> =
            (0..state.endpoints.len()).filter(|&idx| is_due(&state.endpoints[idx])).collect();
        due.iter().for_each(|&idx| state.endpoints[idx].is_tried = true);
        due
    }

    /// Whether each endpoint is in.
    pub(crate) fn are_in(&self) -> Vec<bool> {
        self.state().endpoints.iter().map(|health| health.out.is_none()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code between lock and unlock can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    /// Whether it may be asked: it is in, or its time out is over and nobody tries it yet.
    fn is_in(&self, now: Instant) -> bool {
        self.out.is_none_or(|until| now >= until && !self.is_tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pool(num_endpoints: usize) -> (EndpointPool, Instant) {
        let policy = HealthPolicy {
            max_failures: 3,
            first_outage: 100 * MS,
            max_outage: 350 * MS,
            probe_interval: None,
        };
        (EndpointPool::new(num_endpoints, policy), Instant::now())
    }

    fn picks(pool: &EndpointPool, now: Instant, num: usize) -> Vec<usize> {
        (0..num).filter_map(|_| pool.pick(now, &[])).collect()
    }

    #[test]
    fn healthy_endpoints_take_turns_and_none_is_tried_twice() {
        let (pool, now) = pool(3);
        assert_eq!(picks(&pool, now, 5), [0, 1, 2, 0, 1]);
        assert_eq!(pool.pick(now, &[2]), Some(0));
        assert_eq!(pool.pick(now, &[0, 1]), Some(2));
        assert_eq!(pool.pick(now, &[0, 1, 2]), None);
    }

    #[test]
    fn faults_in_a_row_send_out_and_a_refused_connection_does_at_once() {
        let (pool, now) = pool(2);
        assert!(!pool.failed(0, Failure::Faulty, now));
        assert!(!pool.failed(0, Failure::Faulty, now));
        assert!(!pool.succeeded(0), "it was in");
        assert!(!pool.failed(0, Failure::Faulty, now), "counted from the last success");
        assert_eq!(pool.are_in(), [true, true]);
        assert!(pool.failed(0, Failure::Unreachable, now));
        assert_eq!(pool.are_in(), [false, true]);
        assert_eq!(picks(&pool, now, 3), [1, 1, 1]);
        for expected in [false, false, true] {
            assert_eq!(pool.failed(1, Failure::Faulty, now), expected);
        }
    }

    #[test]
    fn one_request_tries_whether_it_is_back() {
        let (pool, start) = pool(2);
        pool.failed(0, Failure::Unreachable, start);
        let later = start + 100 * MS;
        assert_eq!(picks(&pool, later - MS, 2), [1, 1], "still out");
        assert_eq!(picks(&pool, later, 3), [0, 1, 1], "one try");
        assert!(!pool.failed(0, Failure::Unreachable, later), "it was out already");
        assert_eq!(picks(&pool, later + 199 * MS, 2), [1, 1], "out for twice as long");
        assert_eq!(picks(&pool, later + 200 * MS, 2), [0, 1]);
        assert!(pool.succeeded(0), "it was out");
        assert_eq!(picks(&pool, later + 200 * MS, 4), [0, 1, 0, 1]);
        pool.failed(0, Failure::Unreachable, later);
        assert_eq!(picks(&pool, later + 100 * MS, 2), [0, 1], "outages are counted from the last success");
        pool.abandoned(0);
        assert_eq!(
            picks(&pool, later + 100 * MS, 2),
            [0, 1],
            "a try that was given up leaves room for another"
        );
    }

    #[test]
    fn outages_have_a_limit_and_late_failures_add_nothing() {
        let (pool, mut now) = pool(1);
        pool.failed(0, Failure::Unreachable, now);
        pool.failed(0, Failure::Unreachable, now);
        assert_eq!(pool.due(now + 100 * MS), [0], "the second was under way when the first sent it out");
        for _ in 0..40 {
            now += 350 * MS;
            pool.due(now);
            pool.failed(0, Failure::Faulty, now);
        }
        assert_eq!(pool.due(now + 349 * MS), [0; 0]);
        assert_eq!(pool.due(now + 350 * MS), [0]);
        assert_eq!(pool.due(now + 350 * MS), [0; 0], "it is being tried");
    }

    #[test]
    fn when_all_are_out_the_one_back_first_is_tried_and_otherwise_none_that_is_out() {
        let (pool, now) = pool(3);
        for (i, idx) in [1, 2, 0].into_iter().enumerate() {
            assert_eq!(pool.pick(now, &[0, 1, 2]), None);
            pool.failed(idx, Failure::Unreachable, now + MS * i as u32);
            if i < 2 {
                assert_eq!(
                    pool.pick(now + 3 * MS, &[0]),
                    (i == 0).then_some(2),
                    "0 is in, and has been tried"
                );
            }
        }
        assert_eq!(pool.pick(now + 3 * MS, &[]), Some(1));
        assert_eq!(pool.pick(now + 3 * MS, &[1]), Some(2));
        pool.failed(1, Failure::Unreachable, now + 3 * MS);
        assert_eq!(pool.pick(now + 3 * MS, &[]), Some(2), "1 is out for longer now");
    }
}
