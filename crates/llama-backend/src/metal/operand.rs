//! Tensors as kernels see them: a buffer, an offset, strides.

use candle_core::{
    DType, Layout, MetalDevice, MetalStorage, Shape, Storage, Tensor, backend::BackendStorage, op::BackpropOp,
};

use crate::BackendError;

/// Rows of a tensor of rank 1 to 3 whose last dimension is contiguous; strides in elements.
pub(crate) struct RowStrides {
    pub(crate) outer: usize,
    pub(crate) outer_stride: usize,
    pub(crate) inner: usize,
    pub(crate) inner_stride: usize,
}

impl RowStrides {
    pub(crate) fn len(&self) -> usize {
        self.outer * self.inner
    }
}

/// A tensor that a kernel reads, or writes in place.
pub(crate) struct Operand {
    pub(super) storage: MetalStorage,
    layout: Layout,
}

impl Operand {
    /// The tensor `tensor` of operation `op`, whose last dimension must be contiguous.
    pub(crate) fn new(op: &'static str, tensor: &Tensor) -> Result<Self, BackendError> {
        let wrong = |reason: String| Err(BackendError::Argument { op, reason });
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Metal(storage) = &*storage else {
            return wrong(format!("a tensor on {:?} among tensors on Metal", tensor.device().location()));
        };
        if let (Some(&last), Some(&width)) = (layout.stride().last(), layout.dims().last())
            && last != 1
            && width > 1
        {
            return wrong(format!("the last dimension must be contiguous, layout is {layout:?}"));
        }
        Ok(Self { storage: storage.clone(), layout: layout.clone() })
    }

    pub(crate) fn device(&self) -> &MetalDevice {
        self.storage.device()
    }

    /// Elements from one index of dimension `dim` to the next.
    pub(crate) fn stride(&self, dim: usize) -> u32 {
        self.layout.stride()[dim] as u32
    }

    /// Its rows.
    pub(crate) fn rows(&self, op: &'static str) -> Result<RowStrides, BackendError> {
        let ((outer, outer_stride), (inner, inner_stride)) = match (self.layout.dims(), self.layout.stride())
        {
            (&[_], _) => ((1, 0), (1, 0)),
            (&[d0, _], &[s0, _]) => ((1, 0), (d0, s0)),
            (&[d0, d1, _], &[s0, s1, _]) => ((d0, s0), (d1, s1)),
            (dims, _) => {
                let reason = format!("rank {} is not supported", dims.len());
                return Err(BackendError::Argument { op, reason });
            }
        };
        Ok(RowStrides { outer, outer_stride, inner, inner_stride })
    }

    pub(super) fn offset_bytes(&self) -> usize {
        self.layout.start_offset() * self.storage.dtype().size_in_bytes()
    }
}

/// A tensor that a kernel fills, in memory that only the GPU sees.
pub(crate) struct Output {
    pub(super) storage: MetalStorage,
    shape: Shape,
}

impl Output {
    pub(crate) fn new(
        device: &MetalDevice,
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Result<Self, BackendError> {
        let shape = shape.into();
        let len = shape.elem_count();
        let buffer = device.new_buffer(len, dtype, "output")?;
        Ok(Self { storage: MetalStorage::new(buffer, device.clone(), len, dtype), shape })
    }

    /// Filled with zeros.
    pub(crate) fn zeros(
        device: &MetalDevice,
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Result<Self, BackendError> {
        let output = Self::new(device, shape, dtype)?;
        let len = output.shape.elem_count() * dtype.size_in_bytes();
        if len > 0 {
            device.blit_command_encoder()?.fill_buffer(output.storage.buffer(), (0, len), 0);
        }
        Ok(output)
    }

    /// As a tensor, for whoever reads it after the dispatch.
    pub(crate) fn into_tensor(self) -> Tensor {
        Tensor::from_storage(Storage::Metal(self.storage), self.shape, BackpropOp::none(), false)
    }
}
