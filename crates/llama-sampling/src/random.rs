//! Random numbers by counter: the n-th number of a stream depends on seed and n alone.
//!
//! So a request that is preempted and computed again, or that shares its steps with others, draws the same numbers.

/// The `draw_idx`-th number of stream `seed`, uniform in [0, 1) with 53 bits.
///
/// Two rounds of the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, figure 16) over seed and counter.
pub fn uniform(seed: u64, draw_idx: u64) -> f64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let stream = mix(seed.wrapping_add(GAMMA));
    let bits = mix(stream.wrapping_add(draw_idx.wrapping_add(1).wrapping_mul(GAMMA)));
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
        check_uniform(|i| uniform(1, i));
        check_uniform(|i| uniform(u64::MAX, i));
        check_uniform(|i| uniform(i, 0));
        check_uniform(|i| uniform(i, 5));
    }
}
