//! Stored weights in buffers: the mapped file itself where Metal takes it, a copy of the tensor where it does not.
//!
//! Invariant: a buffer without a copy keeps its file mapped, until the GPU is done with it.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::c_void,
    ops::Range,
    ptr::NonNull,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use candle_core::{MetalDevice, metal_backend::DeviceId};
use candle_metal_kernels::{RESOURCE_OPTIONS, metal::Buffer};
use objc2_metal::MTLDevice as _;

use crate::{
    BackendError,
    weight::{ByteOwner, MappedTensor, WeightDtype},
};

/// In place of a format: there is no such weight. `STORED_NOTHING` in `stored.metal`.
pub(crate) const NO_WEIGHT: u16 = 255;

/// The bytes of one weight on the device, in the format of the file.
#[derive(Clone, Debug)]
pub(crate) struct StoredBytes {
    place: Place,
    offset: u64,
    dtype: WeightDtype,
    row_bytes: u64,
}

#[derive(Clone, Debug)]
enum Place {
    Mapped(Arc<MappedBuffer>),
    Copied(Arc<CopiedBuffer>),
}

/// Pages of a file, or of any other memory of this process, as a buffer.
struct MappedBuffer {
    buffer: Buffer,
    /// Address of the buffer's first byte.
    start: usize,
    device: MetalDevice,
    /// What the device says it has allocated more since this buffer is there: whether it counts it is its choice.
    counted_bytes: usize,
    /// Tensors that are read here: address and size.
    tensors: Mutex<BTreeMap<usize, usize>>,
    _owner: ByteOwner,
}

/// A tensor's bytes in a buffer that the processor and the device share.
#[derive(Debug)]
struct CopiedBuffer {
    buffer: Arc<Buffer>,
    len: usize,
}

/// By device and the owner's address.
type Files = HashMap<(DeviceId, usize), Weak<MappedBuffer>>;

/// Files that are mapped, so that all their tensors share a buffer.
static FILES: LazyLock<Mutex<Files>> = LazyLock::new(Mutex::default);
/// What is not in [`FILES`].
static OTHERS: LazyLock<Mutex<Vec<(DeviceId, WeakPlace)>>> = LazyLock::new(Mutex::default);

enum WeakPlace {
    Mapped(Weak<MappedBuffer>),
    Copied(Weak<CopiedBuffer>),
}

impl StoredBytes {
    /// Puts a weight within the device's reach; no byte is read if its pages can be shared.
    ///
    /// # Errors
    /// Candle's, if there is no memory for a copy.
    pub(crate) fn new(weight: &MappedTensor, device: &MetalDevice) -> Result<Self, BackendError> {
        let bytes = weight.bytes();
        let alignment = if weight.dtype() == WeightDtype::F32 { 4 } else { 2 };
        let mapped = match bytes.as_ptr().addr().is_multiple_of(alignment) {
            true => MappedBuffer::of_file(weight, device).or_else(|| MappedBuffer::of_tensor(weight, device)),
            false => None,
        };
        let (place, offset) = match mapped {
            Some(mapped) => {
                let address = bytes.as_ptr().addr();
                lock(&mapped.tensors).insert(address, bytes.len());
                let offset = address - mapped.start;
                (Place::Mapped(mapped), offset as u64)
            }
            None => (Place::Copied(CopiedBuffer::new(bytes, device)?), 0),
        };
        Ok(Self { place, offset, dtype: weight.dtype(), row_bytes: weight.row_bytes() as u64 })
    }

    pub(super) fn buffer(&self) -> &Buffer {
        match &self.place {
            Place::Mapped(mapped) => &mapped.buffer,
            Place::Copied(copied) => &copied.buffer,
        }
    }

    /// Where in the buffer it begins, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.row_bytes
    }

    /// Number of its format in the kernels: `STORED_…` in `stored.metal`.
    pub(crate) fn format(&self) -> u16 {
        self.dtype as u16
    }
}

/// Bytes of weights on a device.
#[derive(Default)]
pub(crate) struct PlacedBytes {
    /// Read from mapped files.
    pub(crate) mapped: u64,
    /// Copied, each where its address did not suit its format.
    pub(crate) copied: u64,
    /// What of the device's own count is weights.
    pub(crate) counted: u64,
}

impl PlacedBytes {
    /// Of all weights that were used on `device` and still live.
    pub(crate) fn on(device: &MetalDevice) -> Self {
        let mut bytes = Self::default();
        let files = lock(&FILES);
        let files = files.iter().filter(|((id, _), _)| *id == device.id());
        files.filter_map(|(_, file)| file.upgrade()).for_each(|file| bytes.add_mapped(&file));
        for (_, place) in lock(&OTHERS).iter().filter(|(id, _)| *id == device.id()) {
            match place {
                WeakPlace::Mapped(mapped) => {
                    mapped.upgrade().iter().for_each(|mapped| bytes.add_mapped(mapped))
                }
                WeakPlace::Copied(copied) => copied.upgrade().iter().for_each(|copied| {
                    bytes.copied += copied.len as u64;
                    bytes.counted += copied.len as u64;
                }),
            }
        }
        bytes
    }

    fn add_mapped(&mut self, mapped: &MappedBuffer) {
        self.mapped += lock(&mapped.tensors).values().sum::<usize>() as u64;
        self.counted += mapped.counted_bytes as u64;
    }
}

impl MappedBuffer {
    /// The whole file that `weight` lies in.
    fn of_file(weight: &MappedTensor, device: &MetalDevice) -> Option<Arc<Self>> {
        let owner = weight.owner();
        let key = (device.id(), Arc::as_ptr(owner).addr());
        let mut files = lock(&FILES);
        if let Some(file) = files.get(&key).and_then(Weak::upgrade) {
            return Some(file);
        }
        files.retain(|_, file| file.strong_count() > 0);
        let file = Arc::new(Self::new(owner, 0..(**owner).as_ref().len(), device)?);
        files.insert(key, Arc::downgrade(&file));
        Some(file)
    }

    /// The pages of `weight` alone, for files that are larger than a buffer may be.
    fn of_tensor(weight: &MappedTensor, device: &MetalDevice) -> Option<Arc<Self>> {
        let mapped = Arc::new(Self::new(weight.owner(), weight.range(), device)?);
        remember(device, WeakPlace::Mapped(Arc::downgrade(&mapped)));
        Some(mapped)
    }

    /// Wraps the pages that hold `range` of `owner`; `None` if Metal does not take them.
    fn new(owner: &ByteOwner, range: Range<usize>, device: &MetalDevice) -> Option<Self> {
        let bytes = &(**owner).as_ref()[range];
        let page = page_bytes();
        let start = bytes.as_ptr().addr() / page * page;
        let end = (bytes.as_ptr().addr() + bytes.len()).next_multiple_of(page);
        let first = bytes.as_ptr().cast_mut().wrapping_sub(bytes.as_ptr().addr() - start);
        let pointer = NonNull::new(first.cast::<c_void>())?;
        let metal = device.metal_device().as_ref();
        let allocated = metal.currentAllocatedSize();
        // SAFETY: the region is whole pages that each hold a byte of the owner, so they are mapped as long as the owner
        // lives, which `_owner` ensures; kernels read of it what belongs to the weight, and nothing writes.
        let buffer = unsafe {
            metal.newBufferWithBytesNoCopy_length_options_deallocator(
                pointer,
                end - start,
                RESOURCE_OPTIONS,
                None,
            )
        };
        let buffer = Buffer::new(buffer?);
        device.register_buffers([&buffer]);
        Some(Self {
            buffer,
            start,
            device: device.clone(),
            counted_bytes: metal.currentAllocatedSize().saturating_sub(allocated),
            tensors: Mutex::default(),
            _owner: owner.clone(),
        })
    }
}

impl Drop for MappedBuffer {
    /// Work that was submitted may still read the pages, which go with this.
    fn drop(&mut self) {
        // A device that failed reads nothing any more.
        let _ = self.device.wait_until_completed();
        self.device.unregister_buffers([&self.buffer]);
    }
}

impl std::fmt::Debug for MappedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} mapped bytes", self.buffer.length())
    }
}

impl CopiedBuffer {
    fn new(bytes: &[u8], device: &MetalDevice) -> Result<Arc<Self>, BackendError> {
        let copied = Arc::new(Self { buffer: device.new_buffer_with_data(bytes)?, len: bytes.len() });
        remember(device, WeakPlace::Copied(Arc::downgrade(&copied)));
        Ok(copied)
    }
}

fn remember(device: &MetalDevice, place: WeakPlace) {
    let mut others = lock(&OTHERS);
    others.retain(|(_, place)| match place {
        WeakPlace::Mapped(mapped) => mapped.strong_count() > 0,
        WeakPlace::Copied(copied) => copied.strong_count() > 0,
    });
    others.push((device.id(), place));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a page of this system.
fn page_bytes() -> usize {
    // SAFETY: asks for a number; it reads and writes no memory of ours.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("a system has pages of some size")
}
