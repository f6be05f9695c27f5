//! A weight as the operations see it: on the CPU the mapped bytes themselves, elsewhere a tensor made on first use.
//!
//! Invariant: making a [`Weight`] reads none of its bytes.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Tensor};

use super::{MappedTensor, WeightDtype, decode_row};
use crate::BackendError;
#[cfg(feature = "metal")]
use crate::metal::StoredBytes;

/// A checkpoint's tensor together with the device it is used on. Cloning is cheap and shares the device copy.
#[derive(Clone, Debug)]
pub struct Weight {
    mapped: MappedTensor,
    device: Device,
    dtype: DType,
    resident: Arc<OnceLock<Tensor>>,
    #[cfg(feature = "metal")]
    stored: Arc<OnceLock<StoredBytes>>,
}

impl Weight {
    /// Prepares `mapped` for use on `device`, where computing is done in `dtype`.
    pub fn new(mapped: MappedTensor, device: &Device, dtype: DType) -> Self {
        Self {
            mapped,
            device: device.clone(),
            dtype,
            resident: Arc::default(),
            #[cfg(feature = "metal")]
            stored: Arc::default(),
        }
    }

    /// The stored form.
    pub fn mapped(&self) -> &MappedTensor {
        &self.mapped
    }

    /// Where it is used.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Dtype of what is computed with it.
    #[cfg(feature = "metal")]
    pub(crate) fn compute_dtype(&self) -> DType {
        self.dtype
    }

    /// The stored bytes where Metal kernels read them; placed there on first use.
    ///
    /// # Errors
    /// [`BackendError::Argument`] if it is used on another device; Candle's, if there is no memory for a copy.
    #[cfg(feature = "metal")]
    pub(crate) fn stored(&self) -> Result<&StoredBytes, BackendError> {
        if let Some(stored) = self.stored.get() {
            return Ok(stored);
        }
        let Device::Metal(device) = &self.device else {
            let reason = format!("{:?} is on {:?}, not on Metal", self.mapped, self.device.location());
            return Err(BackendError::Argument { op: "weight", reason });
        };
        let stored = StoredBytes::new(&self.mapped, device)?;
        Ok(self.stored.get_or_init(|| stored))
    }

    /// Number of output features, `rows` of the stored matrix.
    pub fn rows(&self) -> usize {
        self.mapped.rows()
    }

    /// Number of input features, `cols` of the stored matrix.
    pub fn cols(&self) -> usize {
        self.mapped.cols()
    }

    /// The decoded tensor on the device, shape as stored. Kept after the first call, except on the CPU, where the
    /// fast paths never ask for it.
    ///
    /// # Errors
    /// Candle's, if the device has no memory for it.
    pub fn tensor(&self) -> Result<Tensor, BackendError> {
        if let Some(tensor) = self.resident.get() {
            return Ok(tensor.clone());
        }
        let tensor = match stored_dtype(self.mapped.dtype()) {
            Some(dtype) if dtype == self.dtype => {
                Tensor::from_raw_buffer(self.mapped.bytes(), dtype, self.mapped.shape(), &self.device)?
            }
            _ => self.decoded()?,
        };
        if self.device.is_cpu() {
            return Ok(tensor);
        }
        Ok(self.resident.get_or_init(|| tensor).clone())
    }

    fn decoded(&self) -> Result<Tensor, BackendError> {
        let mut values = vec![0.0; self.rows() * self.cols()];
        if !values.is_empty() {
            decode_row(self.mapped.dtype(), self.mapped.bytes(), &mut values);
        }
        let tensor = Tensor::from_vec(values, self.mapped.shape(), &Device::Cpu)?;
        Ok(tensor.to_dtype(self.dtype)?.to_device(&self.device)?)
    }
}

/// The dtype of tensors that hold a format's bytes as they are stored.
fn stored_dtype(dtype: WeightDtype) -> Option<DType> {
    match dtype {
        WeightDtype::F32 => Some(DType::F32),
        WeightDtype::F16 => Some(DType::F16),
        WeightDtype::Bf16 => Some(DType::BF16),
        _ => None,
    }
}
