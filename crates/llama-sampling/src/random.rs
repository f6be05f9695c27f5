//! Random numbers by counter: the n-th number of a stream depends on seed, stream and n alone.
//!
//! So a request that is preempted and computed again, or that shares its steps with others, draws the same numbers.

/// Names one of the independent random streams of a request. Processors of your own take numbers of their own, from
/// 1000 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream(pub u64);

impl Stream {
    /// Draws the tokens.
    pub const TOKEN: Self = Self(0);
    /// Whether XTC acts.
    pub const XTC: Self = Self(1);
    /// Draws the tokens of a draft.
    pub const DRAFT: Self = Self(2);
    /// Whether a drafted token is accepted.
    pub const ACCEPTANCE: Self = Self(3);
}

/// The `draw_idx`-th number of a request's stream, uniform in [0, 1) with 53 bits.
///
/// Rounds of the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, figure 16) over seed, stream and counter.
pub fn uniform(seed: u64, stream: Stream, draw_idx: u64) -> f64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut key = mix(seed.wrapping_add(GAMMA));
    if stream != Stream::TOKEN {
        key = mix(key ^ mix(stream.0.wrapping_mul(GAMMA)));
    }
    let bits = mix(key.wrapping_add(draw_idx.wrapping_add(1).wrapping_mul(GAMMA)));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-square of 16 equal cells; 37.7 is exceeded once in a thousand streams.
    fn check_uniform(draw: impl Fn(u64) -> f64) {
        let mut cells = [0f64; 16];
        for i in 0..16_000 {
            cells[(draw(i) * 16.0) as usize] += 1.0;
        }
        let chi_square: f64 = cells.iter().map(|count| (count - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_square < 37.7, "{chi_square}");
    }

    #[test]
    fn uniform_along_a_stream_and_across_streams() {
        for stream in [Stream::TOKEN, Stream::XTC, Stream(1000)] {
            check_uniform(|i| uniform(1, stream, i));
            check_uniform(|i| uniform(u64::MAX, stream, i));
            check_uniform(|i| uniform(i, stream, 0));
            check_uniform(|i| uniform(i, stream, 5));
        }
        check_uniform(|i| uniform(3, Stream(i), 2));
    }

    /// Pairs from two streams fill the square evenly: 16 cells, as above.
    #[test]
    fn streams_of_a_request_do_not_follow_each_other() {
        let streams = [Stream::TOKEN, Stream::XTC, Stream::DRAFT, Stream::ACCEPTANCE];
        for (i, a) in streams.into_iter().enumerate() {
            for b in streams.into_iter().skip(i + 1) {
                let cell = |n| (uniform(9, a, n) * 4.0).floor() * 4.0 + (uniform(9, b, n) * 4.0).floor();
                check_uniform(|n| cell(n) / 16.0);
            }
        }
    }
}
