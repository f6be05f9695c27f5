//! A tensor in another format, encoded in memory by all threads.
//!
//! Invariant: rows are encoded one by one, so neither the number of threads nor their order enters the bytes.

use std::sync::{Arc, Mutex, PoisonError};

use super::{MappedTensor, Unencodable, WeightDtype, decode_row, encode_row};
use crate::{BackendError, parallel::Pool};

/// Values of one task: enough to outweigh taking it.
const TASK_VALUES: usize = 1 << 15;

impl MappedTensor {
    /// The same tensor in format `dtype`, in memory of its own.
    ///
    /// # Errors
    /// [`BackendError::WeightShape`] if its rows are no whole number of blocks, [`BackendError::WeightValue`] if the
    /// format has no place for a value.
    pub fn converted(&self, dtype: WeightDtype, pool: &Pool) -> Result<Self, BackendError> {
        let (rows, cols) = (self.rows(), self.cols());
        let row_bytes = dtype.row_bytes(cols).ok_or_else(|| BackendError::WeightShape {
            name: self.name().to_owned(),
            reason: format!("rows of {cols} are no whole number of {dtype} blocks"),
        })?;
        let mut bytes = vec![0; rows * row_bytes];
        if !bytes.is_empty() {
            self.encode_rows(dtype, &mut bytes, pool)?;
        }
        let len = bytes.len();
        Self::new(self.name(), dtype, self.shape(), Arc::new(bytes), 0..len)
    }

    fn encode_rows(&self, dtype: WeightDtype, bytes: &mut [u8], pool: &Pool) -> Result<(), BackendError> {
        let row_bytes = bytes.len() / self.rows();
        let task_rows = (TASK_VALUES / self.cols().max(1)).max(1);
        let tasks: Vec<Mutex<&mut [u8]>> = bytes.chunks_mut(task_rows * row_bytes).map(Mutex::new).collect();
        let refused = Mutex::new(None);
        pool.for_each(tasks.len(), &|task_idx| {
            let mut rows = tasks[task_idx].lock().unwrap_or_else(PoisonError::into_inner);
            let mut values = vec![0.0; self.cols()];
            for (i, row) in rows.chunks_exact_mut(row_bytes).enumerate() {
                let row_idx = task_idx * task_rows + i;
                decode_row(self.dtype(), self.row(row_idx), &mut values);
                if let Err(error) = encode_row(dtype, &values, row) {
                    return keep_first(&refused, (row_idx, error));
                }
            }
        });
        match refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((row_idx, Unencodable { col_idx, value })) => Err(BackendError::WeightValue {
                name: self.name().to_owned(),
                place: (row_idx, col_idx),
                value,
                dtype,
            }),
            None => Ok(()),
        }
    }
}

/// Keeps the refusal of the lowest row, so that the message does not depend on the threads.
fn keep_first(refused: &Mutex<Option<(usize, Unencodable)>>, found: (usize, Unencodable)) {
    let mut first = refused.lock().unwrap_or_else(PoisonError::into_inner);
    if first.is_none_or(|(row_idx, _)| found.0 < row_idx) {
        *first = Some(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(rows: usize, cols: usize, value: impl Fn(usize) -> f32) -> MappedTensor {
        let bytes: Vec<u8> = (0..rows * cols).flat_map(|i| value(i).to_le_bytes()).collect();
        let len = bytes.len();
        MappedTensor::new("w", WeightDtype::F32, &[rows, cols], Arc::new(bytes), 0..len).unwrap()
    }

    #[test]
    fn bytes_do_not_depend_on_the_threads() {
        let dense = tensor(301, 512, |i| (i * 7919 % 1013) as f32 / 506.5 - 1.0);
        for dtype in [WeightDtype::Q8_0, WeightDtype::Q4_0, WeightDtype::Q4K, WeightDtype::Q6K] {
            let alone = dense.converted(dtype, &Pool::new(1)).unwrap();
            let shared = dense.converted(dtype, &Pool::new(5)).unwrap();
            assert_eq!((alone.shape(), alone.dtype(), alone.name()), (&[301, 512][..], dtype, "w"));
            assert!(alone.bytes() == shared.bytes(), "{dtype}");
            let mut last = vec![0; alone.row_bytes()];
            let mut values = vec![0.0; 512];
            decode_row(WeightDtype::F32, dense.row(300), &mut values);
            encode_row(dtype, &values, &mut last).unwrap();
            assert!(alone.row(300) == last, "{dtype}");
        }
    }

    #[test]
    fn the_first_value_without_a_place_is_named() {
        let broken = tensor(200, 512, |i| if i == 512 * 150 + 7 || i > 512 * 190 { f32::NAN } else { 1.0 });
        for num_threads in [1, 4] {
            let error = broken.converted(WeightDtype::Q8_0, &Pool::new(num_threads)).unwrap_err();
            assert_eq!(
                error.to_string(),
                "tensor \"w\": row 150, column 7 is NaN, which Q8_0 has no place for"
            );
        }
    }

    #[test]
    fn rows_must_be_whole_blocks() {
        let error = tensor(2, 48, |_| 0.0).converted(WeightDtype::Q8_0, &Pool::new(1)).unwrap_err();
        assert_eq!(error.to_string(), "tensor \"w\": rows of 48 are no whole number of Q8_0 blocks");
        assert!(
            tensor(0, 64, |_| 0.0).converted(WeightDtype::Q8_0, &Pool::new(2)).unwrap().bytes().is_empty()
        );
    }
}
