//! A matrix written by many threads at once, each in tiles of its own.
//!
//! Invariant: tiles do not overlap and cover the matrix, so handing each to one task is a split of one `&mut`.

use std::{marker::PhantomData, ops::Range};

use super::Pool;

/// One task's part of a row-major matrix.
pub struct TileMut<'a, T = f32> {
    /// Rows of the matrix that this tile covers.
    pub rows: Range<usize>,
    /// Columns of the matrix that this tile covers.
    pub cols: Range<usize>,
    start: *mut T,
    stride: usize,
    matrix: PhantomData<&'a mut [T]>,
}

impl<'a, T> TileMut<'a, T> {
    /// A whole matrix of `[rows, cols]` as one tile.
    ///
    /// # Panics
    /// If `matrix` is not `rows * cols` long.
    pub fn whole(matrix: &'a mut [T], (num_rows, num_cols): (usize, usize)) -> Self {
        assert_eq!(matrix.len(), num_rows * num_cols, "matrix of {num_rows} x {num_cols}");
        let start = matrix.as_mut_ptr();
        Self { rows: 0..num_rows, cols: 0..num_cols, start, stride: num_cols, matrix: PhantomData }
    }

    /// The tile's part of row `row_idx`, counted from the tile's first row.
    #[inline(always)]
    pub fn row_mut(&mut self, row_idx: usize) -> &mut [T] {
        assert!(row_idx < self.rows.len(), "row {row_idx} of a tile of {}", self.rows.len());
        // SAFETY: the row is inside the matrix, because `for_each_tile` made the tile's ranges inside it.
        let row = unsafe { self.start.add(row_idx * self.stride) };
        // SAFETY: no other tile covers these columns of this row, and `&mut self` keeps this tile's caller alone.
        unsafe { std::slice::from_raw_parts_mut(row, self.cols.len()) }
    }
}

struct Start<T>(*mut T);
// SAFETY: the pointer is only used for tiles, which do not overlap, and `T` may be sent to their threads.
unsafe impl<T: Send> Sync for Start<T> {}

/// Splits `matrix` of `[rows, cols]` into tiles of at most `tile = (rows, cols)` and runs `work` on each, in parallel.
///
/// # Panics
/// If `matrix` is not `rows * cols` long, or a tile side is zero.
pub fn for_each_tile<T: Send>(
    pool: &Pool,
    matrix: &mut [T],
    (num_rows, num_cols): (usize, usize),
    tile: (usize, usize),
    work: &(dyn Fn(TileMut<'_, T>) + Sync),
) {
    assert_eq!(matrix.len(), num_rows * num_cols, "matrix of {num_rows} x {num_cols}");
    let tiles_across = num_cols.div_ceil(tile.1);
    let start = Start(matrix.as_mut_ptr());
    let start = &start;
    pool.for_each(tiles_across * num_rows.div_ceil(tile.0), &|i| {
        let (row, col) = (i / tiles_across * tile.0, i % tiles_across * tile.1);
        // SAFETY: row < num_rows and col < num_cols, so the offset is inside the matrix.
        let at = unsafe { start.0.add(row * num_cols + col) };
        work(TileMut {
            rows: row..(row + tile.0).min(num_rows),
            cols: col..(col + tile.1).min(num_cols),
            start: at,
            stride: num_cols,
            matrix: PhantomData,
        });
    });
}

/// A new matrix of `[rows, cols]` that tiles of at most `tile = (rows, cols)` are written to, in parallel. `work` must
/// write all of its tile: what it leaves out is arbitrary (NaN in this crate's tests). To clear a prompt's matrices first
/// would take a tenth as long as to compute them.
///
/// # Panics
/// If a tile side is zero.
pub fn new_matrix(
    pool: &Pool,
    shape: (usize, usize),
    tile: (usize, usize),
    work: &(dyn Fn(TileMut<'_>) + Sync),
) -> Vec<f32> {
    let mut matrix = arbitrary(shape.0 * shape.1);
    for_each_tile(pool, &mut matrix, shape, tile, work);
    matrix
}

/// Values of which nothing is known.
fn arbitrary(len: usize) -> Vec<f32> {
    let mut values = Vec::<f32>::with_capacity(len);
    let start = values.as_mut_ptr();
    if cfg!(any(test, miri)) || cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64"))) {
        values.resize(len, f32::NAN);
        return values;
    }
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: no instruction is run. To the compiler the block may write anything to the memory that it is told of, so
    // the memory is initialised from here on, with bytes that nobody knows; and any bytes are an f32.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) start, options(nostack, preserves_flags));
    }
    // SAFETY: the capacity is `len`, and the memory is initialised, as above.
    unsafe { values.set_len(len) };
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_a_new_matrix_is_there_and_what_is_not_shows() {
        let pool = Pool::new(3);
        for (rows, cols, tile) in [(1, 1, (1, 1)), (5, 7, (2, 3)), (40, 64, (4, 16)), (3, 0, (1, 1))] {
            let matrix = new_matrix(&pool, (rows, cols), tile, &|mut tile| {
                let first_row = tile.rows.start;
                for i in (0..tile.rows.len()).filter(|i| (first_row + i).is_multiple_of(2)) {
                    tile.row_mut(i).fill(2.0);
                }
            });
            assert_eq!(matrix.len(), rows * cols);
            let is_written = |i: usize| (i / cols).is_multiple_of(2);
            assert!((0..).zip(matrix).all(|(i, value)| if is_written(i) {
                value == 2.0
            } else {
                value.is_nan()
            }));
        }
    }

    #[test]
    fn tiles_cover_the_matrix_once() {
        let pool = Pool::new(3);
        for (rows, cols, tile) in [(1, 1, (1, 1)), (5, 7, (2, 3)), (4, 64, (4, 16)), (3, 0, (1, 1))] {
            let mut matrix = vec![0.0; rows * cols];
            for_each_tile(&pool, &mut matrix, (rows, cols), tile, &|mut tile| {
                for i in 0..tile.rows.len() {
                    let (row, first) = (tile.rows.start + i, tile.cols.start);
                    for (j, value) in tile.row_mut(i).iter_mut().enumerate() {
                        *value += (row * cols + first + j + 1) as f32;
                    }
                }
            });
            assert!(matrix.iter().enumerate().all(|(i, &value)| value == (i + 1) as f32));
        }
    }
}
