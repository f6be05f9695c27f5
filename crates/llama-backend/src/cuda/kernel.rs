//! Kernels, compiled by NVRTC when they are first asked for, once per device, dtype and set of constants.
//!
//! Invariant: what is compiled is kept for the life of the process. A kernel's constants are part of its source, so
//! loops over a head or a row have known lengths.

use std::{
    collections::HashMap,
    ffi::c_void,
    ptr,
    sync::{PoisonError, RwLock},
};

use candle_core::{
    CudaDevice, DType,
    cuda_backend::{
        DeviceId, WrapErr,
        cudarc::{
            driver::{CudaFunction, sys},
            nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts},
        },
    },
};

use crate::BackendError;

/// What every source begins with.
const PRELUDE: &str = include_str!("prelude.cuh");
/// Most constants of a kernel.
const MAX_CONSTANTS: usize = 6;
/// More shared memory than this must be asked for.
const DEFAULT_SHARED_BYTES: usize = 48 << 10;
/// First architecture whose kernels overlap: Hopper.
const MIN_OVERLAPPING: i32 = 9;

/// A function in a source file.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// The function's name, which no other kernel has.
    pub(crate) entry: &'static str,
    /// The file's text.
    pub(crate) source: &'static str,
    /// Names of the constants that the source expects.
    pub(crate) constants: &'static [&'static str],
}

/// A kernel on a device, ready to be launched.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    function: CudaFunction,
    /// Whether it may start while the kernel before it still runs; it waits where it must.
    overlaps: bool,
}

/// Blocks, threads of a block, and bytes that its threads share beyond those the source declares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) blocks: (usize, usize, usize),
    pub(crate) threads: usize,
    pub(crate) shared_bytes: usize,
}

/// What a kernel is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    /// Where something lies in device memory; 0 is nowhere.
    Address(u64),
    Count(i32),
    Factor(f32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    device: DeviceId,
    entry: &'static str,
    dtype: DType,
    values: [usize; MAX_CONSTANTS],
}

static COMPILED: RwLock<Option<HashMap<Key, Compiled>>> = RwLock::new(None);

impl Kernel {
    /// The kernel for tensors of `dtype`, with `values` for its constants.
    ///
    /// # Errors
    /// [`BackendError::KernelCompile`] if the source does not compile, [`BackendError::Argument`] for a dtype that
    /// kernels do not know; Candle's if the driver refuses it.
    pub(crate) fn load(
        &self,
        device: &CudaDevice,
        dtype: DType,
        values: &[usize],
    ) -> Result<Compiled, BackendError> {
        assert_eq!(values.len(), self.constants.len(), "{}: a value for each constant", self.entry);
        let mut key = Key { device: device.id(), entry: self.entry, dtype, values: [0; MAX_CONSTANTS] };
        key.values[..values.len()].copy_from_slice(values);
        let compiled = COMPILED.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = compiled.as_ref().and_then(|compiled| compiled.get(&key)) {
            return Ok(compiled.clone());
        }
        drop(compiled);
        let made = self.compile(device, dtype, values)?;
        let mut compiled = COMPILED.write().unwrap_or_else(PoisonError::into_inner);
        Ok(compiled.get_or_insert_default().entry(key).or_insert(made).clone())
    }

    fn compile(&self, device: &CudaDevice, dtype: DType, values: &[usize]) -> Result<Compiled, BackendError> {
        let stream = device.cuda_stream();
        let context = stream.context();
        let (major, minor) = context.compute_capability().w()?;
        let constants = self.constants.iter().zip(values).map(|(name, value)| format!("-D{name}={value}"));
        let mut options = vec![
            format!("--gpu-architecture=compute_{major}{minor}"),
            "--std=c++17".to_owned(),
            format!("-D{}", element(self.entry, dtype)?),
        ];
        options.extend(constants);
        let source = format!("{PRELUDE}\n{}", self.source);
        let options =
            CompileOptions { options, name: Some(format!("{}.cu", self.entry)), ..Default::default() };
        let ptx = compile_ptx_with_opts(source, options).map_err(|error| self.refused(&error))?;
        let module = context.load_module(ptx).w()?;
        let function = module.load_function(self.entry).w()?;
        Ok(Compiled { function, overlaps: major >= MIN_OVERLAPPING })
    }

    fn refused(&self, error: &CompileError) -> BackendError {
        let log = match error {
            CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
            other => other.to_string(),
        };
        BackendError::KernelCompile { kernel: self.entry, log }
    }
}

impl Compiled {
    /// Allows blocks to share this much memory.
    ///
    /// # Errors
    /// Candle's, if the device has less.
    pub(crate) fn allow_shared(&self, num_bytes: usize) -> Result<(), BackendError> {
        if num_bytes > DEFAULT_SHARED_BYTES {
            let limit = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            self.function.set_attribute(limit, num_bytes as i32).w()?;
        }
        Ok(())
    }

    /// Submits the kernel to the device's stream.
    ///
    /// # Safety
    /// `arguments` must be those of the function in number, order and type, their addresses must be of live memory on
    /// `device`, and for them the kernel must stay inside what they point to.
    ///
    /// # Errors
    /// Candle's, if the driver refuses.
    pub(crate) unsafe fn launch(
        &self,
        device: &CudaDevice,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<(), BackendError> {
        let (x, y, z) = grid.blocks;
        if x == 0 || y == 0 || z == 0 {
            return Ok(());
        }
        let stream = device.cuda_stream();
        stream.context().bind_to_thread().w()?;
        let mut attribute = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let config = sys::CUlaunchConfig {
            gridDimX: x as u32,
            gridDimY: y as u32,
            gridDimZ: z as u32,
            blockDimX: grid.threads as u32,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: grid.shared_bytes as u32,
            hStream: stream.cu_stream(),
            attrs: &raw mut attribute,
            numAttrs: u32::from(self.overlaps),
        };
        let mut arguments: Vec<*mut c_void> = arguments.iter().map(Argument::pointer).collect();
        let function = self.function.cu_function();
        // SAFETY: the configuration and the arguments outlive the call, which copies them; the rest is the caller's promise.
        let launched = unsafe {
            sys::cuLaunchKernelEx(&raw const config, function, arguments.as_mut_ptr(), ptr::null_mut())
        };
        launched.result().w()?;
        Ok(())
    }
}

impl Grid {
    /// Blocks of as many threads, which share no more than the source declares.
    pub(crate) fn new(blocks: (usize, usize, usize), threads: usize) -> Self {
        Self { blocks, threads, shared_bytes: 0 }
    }
}

impl Argument {
    /// Where its value lies, which the driver only reads.
    fn pointer(&self) -> *mut c_void {
        match self {
            Self::Address(address) => (&raw const *address).cast_mut().cast(),
            Self::Count(count) => (&raw const *count).cast_mut().cast(),
            Self::Factor(factor) => (&raw const *factor).cast_mut().cast(),
        }
    }

    /// A count, which kernels hold in 32 bits.
    ///
    /// # Errors
    /// [`BackendError::Argument`] if it does not fit.
    pub(crate) fn count(op: &'static str, count: usize) -> Result<Self, BackendError> {
        let fits = i32::try_from(count);
        fits.map(Self::Count)
            .map_err(|_| BackendError::Argument { op, reason: format!("{count} is too many") })
    }
}

/// The definition that chooses the element type of a source.
fn element(op: &'static str, dtype: DType) -> Result<&'static str, BackendError> {
    match dtype {
        DType::F32 => Ok("ELEM_F32"),
        DType::F16 => Ok("ELEM_F16"),
        DType::BF16 => Ok("ELEM_BF16"),
        other => Err(BackendError::Argument { op, reason: format!("no kernel for {other:?}") }),
    }
}
