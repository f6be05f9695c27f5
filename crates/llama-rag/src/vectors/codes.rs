//! [`Codes`]: rows of components as they are kept, and how a query is compared with one.
//!
//! Sums run over sixteen lanes that are added up in a fixed order, so compilers can use vector instructions and the bits do not depend on
//! which. Eight-bit products are summed as whole numbers: exactly.

use half::{f16, slice::HalfFloatSliceExt};
use serde::{Deserialize, Serialize};

/// What a component is kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorType {
    /// Four bytes, as the model gave it.
    F32,
    /// Two bytes.
    F16,
    /// One byte, and four for each vector: its largest component is 127.
    #[default]
    Int8,
}

/// Rows of components.
#[derive(Clone, Debug)]
pub(super) enum Codes {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Int8 { codes: Vec<i8>, scales: Vec<f32> },
}

/// A query, ready for rows of one type.
pub(super) enum Query {
    Float(Vec<f32>),
    Int8 { codes: Vec<i8>, scale: f32 },
}

impl Codes {
    pub(super) fn new(kind: VectorType) -> Self {
        match kind {
            VectorType::F32 => Self::F32(Vec::new()),
            VectorType::F16 => Self::F16(Vec::new()),
            VectorType::Int8 => Self::Int8 { codes: Vec::new(), scales: Vec::new() },
        }
    }

    pub(super) fn emptied(&self) -> Self {
        Self::new(match self {
            Self::F32(_) => VectorType::F32,
            Self::F16(_) => VectorType::F16,
            Self::Int8 { .. } => VectorType::Int8,
        })
    }

    pub(super) fn row_bytes(&self, len: usize) -> usize {
        match self {
            Self::F32(_) => 4 * len,
            Self::F16(_) => 2 * len,
            Self::Int8 { .. } => len + 4,
        }
    }

    pub(super) fn push(&mut self, vector: &[f32]) {
        match self {
            Self::F32(rows) => rows.extend_from_slice(vector),
            Self::F16(rows) => rows.extend(vector.iter().map(|x| f16::from_f32(*x))),
            Self::Int8 { codes, scales } => {
                let (row, scale) = round(vector);
                codes.extend(row);
                scales.push(scale);
            }
        }
    }

    /// `None`, and nothing pushed, if the bytes are not those of a row of finite numbers.
    pub(super) fn push_bytes(&mut self, bytes: &[u8], len: usize) -> Option<()> {
        if bytes.len() != self.row_bytes(len) {
            return None;
        }
        let floats = |bytes: &[u8]| -> Option<Vec<f32>> {
            let floats = floats(bytes);
            floats.iter().all(|x| x.is_finite()).then_some(floats)
        };
        match self {
            Self::F32(rows) => rows.extend(floats(bytes)?),
            Self::F16(rows) => {
                let row = bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes));
                rows.extend(row.clone().all(f16::is_finite).then_some(row)?);
            }
            Self::Int8 { codes, scales } => {
                let (row, scale) = bytes.split_at(len);
                scales.extend(floats(scale)?);
                codes.extend(row.iter().map(|code| i8::from_le_bytes([*code])));
            }
        }
        Some(())
    }

    pub(super) fn row_to_bytes(&self, row: usize, len: usize) -> Vec<u8> {
        let range = row * len..(row + 1) * len;
        match self {
            Self::F32(rows) => rows[range].iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F16(rows) => rows[range].iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Int8 { codes, scales } => {
                let codes = codes[range].iter().flat_map(|code| code.to_le_bytes());
                codes.chain(scales[row].to_le_bytes()).collect()
            }
        }
    }

    /// A row in eight bits a component, without its scale.
    #[cfg(feature = "approximate")]
    pub(super) fn rounded(&self, row: usize, len: usize) -> std::borrow::Cow<'_, [i8]> {
        match self {
            Self::F32(rows) => round(row_of(rows, row, len)).0.into(),
            Self::F16(rows) => round(&row_of(rows, row, len).to_f32_vec()).0.into(),
            Self::Int8 { codes, .. } => row_of(codes, row, len).into(),
        }
    }

    pub(super) fn retain(&mut self, keep: &[bool], len: usize) {
        match self {
            Self::F32(rows) => retain_rows(rows, keep, len),
            Self::F16(rows) => retain_rows(rows, keep, len),
            Self::Int8 { codes, scales } => {
                retain_rows(codes, keep, len);
                retain_rows(scales, keep, 1);
            }
        }
    }

    pub(super) fn query(&self, vector: &[f32]) -> Query {
        match self {
            Self::F32(_) | Self::F16(_) => Query::Float(vector.to_vec()),
            Self::Int8 { .. } => {
                let (codes, scale) = round(vector);
                Query::Int8 { codes, scale }
            }
        }
    }

    pub(super) fn score(&self, query: &Query, row: usize) -> f32 {
        match (self, query) {
            (Self::F32(rows), Query::Float(query)) => dot(query, row_of(rows, row, query.len())),
            (Self::F16(rows), Query::Float(query)) => dot_f16(query, row_of(rows, row, query.len())),
            (Self::Int8 { codes, scales }, Query::Int8 { codes: query, scale }) => {
                dot_int8(query, row_of(codes, row, query.len())) as f32 * (scale * scales[row])
            }
            _ => unreachable!("the query was made for these codes"),
        }
    }
}

fn row_of<T>(rows: &[T], row: usize, len: usize) -> &[T] {
    &rows[row * len..(row + 1) * len]
}

fn retain_rows<T: Copy>(rows: &mut Vec<T>, keep: &[bool], len: usize) {
    let mut next = 0;
    for (row, _) in keep.iter().enumerate().filter(|(_, keep)| **keep) {
        rows.copy_within(row * len..(row + 1) * len, next * len);
        next += 1;
    }
    rows.truncate(next * len);
}

/// Whole numbers up to 127, and what one of them stands for.
pub(super) fn round(vector: &[f32]) -> (Vec<i8>, f32) {
    let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let steps = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    (vector.iter().map(|x| (x * steps).round() as i8).collect(), scale)
}

/// Little-endian numbers of four bytes; what is left over is left out.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

const LANES: usize = 16;

/// The dot product of vectors of one length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += a * b;
    }
    add_up(sums)
}

fn dot_f16(a: &[f32], b: &[f16]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let mut wide = [0.0f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        let wide = &mut wide[..b.len()];
        b.convert_to_f32_slice(wide);
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(wide)) {
            *sum += a * *b;
        }
    }
    add_up(sums)
}

fn dot_int8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum()
}

fn add_up(mut sums: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}
