//! Sixteen whole numbers as a plain array: the definition that the other instruction sets must match.

use half::f16;

use super::{ByteLanes, Ints, LANE_BYTES, LANES, SixteenRows};
use crate::simd::{Kernel, portable::Portable};

fn lane(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Ints for Portable {
    type I32s = [i32; LANES];

    fn splat_i32s(self, value: i32) -> Self::I32s {
        [value; LANES]
    }
    fn load_i32s(self, from: &[u8; LANE_BYTES]) -> Self::I32s {
        std::array::from_fn(|i| lane(from, 4 * i))
    }
    fn store_i32s(self, value: Self::I32s, to: &mut [u8; LANE_BYTES]) {
        for (value, to) in value.iter().zip(to.as_chunks_mut::<4>().0) {
            *to = value.to_le_bytes();
        }
    }
    fn and(self, a: Self::I32s, b: Self::I32s) -> Self::I32s {
        std::array::from_fn(|i| a[i] & b[i])
    }
    fn xor(self, a: Self::I32s, b: Self::I32s) -> Self::I32s {
        std::array::from_fn(|i| a[i] ^ b[i])
    }
    fn shift(self, value: Self::I32s, left: i32) -> Self::I32s {
        value.map(|lane| if left < 0 { (lane as u32 >> -left) as i32 } else { lane << left })
    }
}

impl ByteLanes for Portable {
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    fn gather(self, rows: SixteenRows<'_>, at: usize) -> Self::I32s {
        let bytes = rows.checked::<4>(at);
        std::array::from_fn(|i| lane(bytes, i * rows.row_bytes + at))
    }
    fn transpose(self, rows: SixteenRows<'_>, at: usize) -> [Self::I32s; 4] {
        let bytes = rows.checked::<16>(at);
        std::array::from_fn(|part| std::array::from_fn(|i| lane(bytes, i * rows.row_bytes + at + 4 * part)))
    }
    fn dot(self, sums: Self::I32s, unsigned: Self::I32s, signed: Self::I32s) -> Self::I32s {
        std::array::from_fn(|i| {
            let pairs = unsigned[i].to_le_bytes().into_iter().zip(signed[i].to_le_bytes());
            sums[i].wrapping_add(pairs.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum())
        })
    }
    fn to_f32s(self, value: Self::I32s) -> Self::F32s {
        value.map(|lane| lane as f32)
    }
    fn halves_to_f32s(self, value: Self::I32s) -> Self::F32s {
        value.map(|lane| f16::from_bits(lane as u16).to_f32())
    }
}
