//! Compiled kernels, kept per GPU, function and constants.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use candle_core::MetalDevice;
use candle_metal_kernels::{
    MetalKernelError,
    metal::{ComputePipeline, ConstantValues, Library, Value},
};
use objc2_metal::MTLCompileOptions;

use super::source::Source;
use crate::BackendError;

/// One kernel: a function of a library, with its constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kernel {
    pub(crate) source: Source,
    pub(crate) function: String,
    /// Values of the function constants 0, 1 and so on.
    pub(crate) constants: Vec<u16>,
}

static LIBRARIES: LazyLock<Mutex<HashMap<(u64, Source), Library>>> = LazyLock::new(Mutex::default);
static PIPELINES: LazyLock<Mutex<HashMap<(u64, Kernel), ComputePipeline>>> = LazyLock::new(Mutex::default);

impl Kernel {
    /// The compiled kernel; compiles it when it is asked for the first time on this GPU.
    pub(super) fn pipeline(&self, device: &MetalDevice) -> Result<ComputePipeline, BackendError> {
        let gpu = device.metal_device().registry_id();
        let key = (gpu, self.clone());
        let mut pipelines = PIPELINES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(pipeline.clone());
        }
        let pipeline = self.compile(device, gpu).map_err(|source| BackendError::Kernel {
            function: self.function.clone(),
            source: Box::new(source),
        })?;
        pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, device: &MetalDevice, gpu: u64) -> Result<ComputePipeline, MetalKernelError> {
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        let library = match libraries.get(&(gpu, self.source)) {
            Some(library) => library.clone(),
            None => {
                let options = MTLCompileOptions::new();
                // Infinities must stay infinities. The newer setter does not exist before macOS 15.
                #[allow(deprecated, reason = "works on every version of the system")]
                options.setFastMathEnabled(false);
                let library =
                    device.metal_device().new_library_with_source(self.source.text(), Some(&options))?;
                libraries.insert((gpu, self.source), library.clone());
                library
            }
        };
        let constants = self.constants.iter().map(|&value| Value::U16(value)).enumerate().collect();
        let function = library.get_function(&self.function, Some(&ConstantValues::new(constants)))?;
        device.metal_device().new_compute_pipeline_state_with_function(&function)
    }
}
