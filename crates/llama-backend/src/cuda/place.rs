//! Tensors as places in device memory.

use candle_core::{
    CudaDevice, DType, Device, Shape, Storage, Tensor,
    cuda_backend::{CudaStorageSlice, cudarc::driver::DevicePtr},
};

use crate::BackendError;

/// Where a tensor's first value lies, and how far its rows are apart. Valid as long as the tensor lives: no storage
/// here is ever exchanged for another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) address: u64,
    pub(crate) dtype: DType,
}

/// The device of a tensor whose operation takes the CUDA path.
///
/// # Errors
/// Candle's, if the tensor is elsewhere.
pub(crate) fn device_of(tensor: &Tensor) -> Result<CudaDevice, BackendError> {
    Ok(tensor.device().as_cuda_device()?.clone())
}

/// Where `tensor` lies. The caller minds its strides.
///
/// # Errors
/// [`BackendError::Argument`] if it is not on a GPU or holds something that no kernel reads.
pub(crate) fn place(op: &'static str, tensor: &Tensor) -> Result<Place, BackendError> {
    let wrong = |reason: String| BackendError::Argument { op, reason };
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(wrong(format!("a tensor on {:?}", tensor.device().location())));
    };
    let stream = storage.device.cuda_stream();
    let address = match &storage.slice {
        CudaStorageSlice::F32(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::F16(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::BF16(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::U32(slice) => slice.device_ptr(&stream).0,
        _ => return Err(wrong(format!("no kernel for {:?}", tensor.dtype()))),
    };
    let offset = layout.start_offset() * tensor.dtype().size_in_bytes();
    Ok(Place { address: address + offset as u64, dtype: tensor.dtype() })
}

/// A tensor whose values the caller's kernel writes, every one.
///
/// # Errors
/// Candle's, if the device has no memory.
pub(crate) fn uninitialized(
    device: &CudaDevice,
    shape: impl Into<Shape>,
    dtype: DType,
) -> Result<Tensor, BackendError> {
    // SAFETY: device memory that nobody reads before a kernel has written it.
    let tensor = unsafe { Tensor::empty(shape, dtype, &Device::Cuda(device.clone())) }?;
    Ok(tensor)
}

/// How many values a thread may move at once: the largest power of two that fits 16 bytes, divides `len`, and to
/// which all places are aligned.
pub(crate) fn vector_len(places: &[Place], len: usize) -> usize {
    let bytes = places.iter().map(|place| place.dtype.size_in_bytes()).max().unwrap_or(1);
    let fits = |step: &usize| {
        let width = (step * bytes) as u64;
        len.is_multiple_of(*step) && places.iter().all(|place| place.address.is_multiple_of(width))
    };
    [8, 4, 2].into_iter().filter(|step| step * bytes <= 16).find(fits).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_fit_lengths_and_addresses() {
        let at = |address, dtype| Place { address, dtype };
        assert_eq!(vector_len(&[at(256, DType::BF16)], 64), 8);
        assert_eq!(vector_len(&[at(256, DType::F32)], 64), 4);
        assert_eq!(vector_len(&[at(256, DType::BF16), at(264, DType::BF16)], 64), 4);
        assert_eq!(vector_len(&[at(256, DType::F16)], 6), 2);
        assert_eq!(vector_len(&[at(258, DType::F16)], 8), 1);
    }
}
