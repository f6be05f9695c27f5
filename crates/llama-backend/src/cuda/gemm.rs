//! Matrix products by cuBLAS.

use std::ffi::c_void;

use candle_core::{
    CudaDevice, DType,
    cuda_backend::{
        WrapErr,
        cudarc::cublas::{result::gemm_ex, sys},
    },
};

use super::Place;
use crate::BackendError;

/// `y = x Wᵀ + kept * y`, everything row by row, rounded once.
///
/// # Shapes
/// `x`: `[t, k]`; `weight`: `[n, k]`; `y`: `[t, n]`, its rows `row_len` values apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gemm {
    pub(crate) y: Place,
    pub(crate) x: Place,
    pub(crate) weight: Place,
    pub(crate) row_len: usize,
    /// Factor of what `y` holds before; with 0 it may hold anything.
    pub(crate) kept: f32,
    /// `(t, n, k)`
    pub(crate) size: (usize, usize, usize),
}

impl Gemm {
    /// Submits the product to the device's stream. Sums are f32.
    ///
    /// # Safety
    /// The places must be of live memory on `device`, as large as the shapes say.
    ///
    /// # Errors
    /// [`BackendError::Argument`] for dtypes that differ or sizes beyond 32 bits; Candle's if cuBLAS fails.
    pub(crate) unsafe fn submit(self, device: &CudaDevice) -> Result<(), BackendError> {
        let Self { y, x, weight, row_len, kept, size: (t, n, k) } = self;
        let dtype = self.data_type()?;
        let narrow = |len: usize| {
            let reason = |_| BackendError::Argument { op: "linear", reason: format!("{len} is too large") };
            i32::try_from(len).map_err(reason)
        };
        let (t, n, k, row_len) = (narrow(t)?, narrow(n)?, narrow(k)?, narrow(row_len)?);
        let one = 1f32;
        let blas = device.cublas_handle();
        // cuBLAS counts columns first, so it sees all matrices transposed: yᵀ = W xᵀ.
        // SAFETY: the caller's promise; the factors are f32, as the compute type says, and outlive the call.
        unsafe {
            gemm_ex(
                *blas.handle(),
                sys::cublasOperation_t::CUBLAS_OP_T,
                sys::cublasOperation_t::CUBLAS_OP_N,
                n,
                t,
                k,
                (&raw const one).cast(),
                weight.address as *const c_void,
                dtype,
                k,
                x.address as *const c_void,
                dtype,
                k,
                (&raw const kept).cast(),
                y.address as *mut c_void,
                dtype,
                row_len,
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
            )
        }
        .w()?;
        Ok(())
    }

    fn data_type(&self) -> Result<sys::cudaDataType_t, BackendError> {
        let dtypes = [self.y.dtype, self.x.dtype, self.weight.dtype];
        match dtypes {
            [DType::F32, DType::F32, DType::F32] => Ok(sys::cudaDataType_t::CUDA_R_32F),
            [DType::F16, DType::F16, DType::F16] => Ok(sys::cudaDataType_t::CUDA_R_16F),
            [DType::BF16, DType::BF16, DType::BF16] => Ok(sys::cudaDataType_t::CUDA_R_16BF),
            _ => Err(BackendError::Argument { op: "linear", reason: format!("a product of {dtypes:?}") }),
        }
    }
}
