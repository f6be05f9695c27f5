//! Opening a GPU, and what it tells about itself.
//!
//! Candle's own way of opening one uses a stream per thread and tracks every tensor by events, two for each. Here a
//! device has one stream, whatever thread submits to it, so order is enough.

use candle_core::{
    CudaDevice,
    cuda_backend::{
        WrapErr,
        cudarc::{
            cublas,
            driver::{result, sys},
        },
    },
};

use crate::power::PciAddress;

/// First architecture with bf16 arithmetic and asynchronous copies into shared memory: Ampere.
const MIN_CAPABILITY: (i32, i32) = (8, 0);

/// Opens the GPU of this index.
///
/// # Errors
/// Candle's, if there is no such GPU, or if it is older than the kernels.
pub(crate) fn open(ordinal: usize) -> candle_core::Result<CudaDevice> {
    let device = CudaDevice::new_with_stream(ordinal)?;
    let stream = device.cuda_stream();
    let (major, minor) = stream.context().compute_capability().w()?;
    if (major, minor) < MIN_CAPABILITY {
        candle_core::bail!("compute capability {major}.{minor}, the kernels need 8.0 or more");
    }
    // SAFETY: all work of this device is submitted to its one stream.
    unsafe { device.disable_event_tracking() };
    keep_freed_memory(&device)?;
    sum_in_f32(&device)?;
    Ok(device)
}

/// Name of the hardware, and its memory in bytes.
///
/// # Errors
/// Candle's, if the driver fails.
pub(crate) fn describe(device: &CudaDevice) -> candle_core::Result<(String, usize)> {
    let stream = device.cuda_stream();
    Ok((stream.context().name().w()?, stream.context().total_mem().w()?))
}

/// Where it sits.
///
/// # Errors
/// Candle's, if the driver fails.
pub(crate) fn pci_address(device: &CudaDevice) -> candle_core::Result<PciAddress> {
    use sys::CUdevice_attribute_enum::{
        CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID,
    };
    let stream = device.cuda_stream();
    let number = |attribute| stream.context().attribute(attribute).map(|number| number as u32).w();
    Ok(PciAddress {
        domain: number(CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?,
        bus: number(CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?,
        device: number(CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?,
    })
}

/// Bytes that this process holds on the device.
///
/// # Errors
/// Candle's, if the driver fails.
pub(crate) fn used_bytes(device: &CudaDevice) -> candle_core::Result<u64> {
    let pool = memory_pool(device)?;
    let mut used_bytes = 0u64;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT;
    // SAFETY: the pool is the device's, and the attribute is 64 bits wide.
    unsafe { result::mem_pool::get_attribute(pool, attribute, (&raw mut used_bytes).cast()) }.w()?;
    Ok(used_bytes)
}

/// Otherwise cuBLAS adds parts of half-type products after rounding them.
fn sum_in_f32(device: &CudaDevice) -> candle_core::Result<()> {
    let blas = device.cublas_handle();
    let mode = cublas::sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    // SAFETY: the handle is the device's own.
    unsafe { cublas::sys::cublasSetMathMode(*blas.handle(), mode) }.result().w()
}

/// Otherwise the pool gives everything back to the system at each synchronisation, and every step asks for it again.
fn keep_freed_memory(device: &CudaDevice) -> candle_core::Result<()> {
    let pool = memory_pool(device)?;
    let threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's, and the attribute is 64 bits wide.
    unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw const threshold).cast_mut().cast()) }.w()
}

fn memory_pool(device: &CudaDevice) -> candle_core::Result<sys::CUmemoryPool> {
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    // SAFETY: the device is one that the driver has named.
    unsafe { result::device::get_default_mem_pool(stream.context().cu_device()) }.w()
}
