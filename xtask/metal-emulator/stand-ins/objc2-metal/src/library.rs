//! `MTLLibrary`, functions and pipelines.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use metal_emulator::{Constant, Library, Pipeline};
use objc2::rc::Retained;
use objc2::runtime::{self, Object, ProtocolObject};
use objc2_foundation::{NSError, NSString};

use crate::{MTLDataType, MTLMathFloatingPointFunctions, MTLMathMode, Shared};

/// The protocols' truth value.
type Bool = bool;

/// How a library is compiled. The emulator compiles all of them in one way.
#[derive(Debug)]
pub struct MTLCompileOptions(());

impl MTLCompileOptions {
    /// The usual options.
    pub fn new() -> Retained<MTLCompileOptions> {
        Retained::of(MTLCompileOptions(()))
    }

    /// Says how freely arithmetic may be rearranged.
    pub fn setMathMode(&self, _mode: MTLMathMode) {}

    /// Says how precise mathematical functions are.
    pub fn setMathFloatingPointFunctions(&self, _functions: MTLMathFloatingPointFunctions) {}

    /// Says whether arithmetic may be rearranged.
    pub fn setFastMathEnabled(&self, _is_enabled: Bool) {}
}

/// Values of function constants.
#[derive(Debug, Default)]
pub struct MTLFunctionConstantValues(Mutex<Vec<Constant>>);

impl MTLFunctionConstantValues {
    /// No values.
    pub fn new() -> Retained<MTLFunctionConstantValues> {
        Retained::of(MTLFunctionConstantValues::default())
    }

    /// Sets a value.
    ///
    /// # Safety
    ///
    /// There must be a value of this type at that address.
    pub unsafe fn setConstantValue_type_atIndex(
        &self,
        value: NonNull<c_void>,
        value_type: MTLDataType,
        index: usize,
    ) {
        let value = value.cast::<u8>().as_ptr();
        // SAFETY: the caller vouches for a value of so many bytes.
        let value = unsafe { std::slice::from_raw_parts(value, value_type.num_bytes()) };
        let mut bytes = [0; 8];
        bytes[..value.len()].copy_from_slice(value);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.lock().push(Constant { index, bits: u64::from_ne_bytes(bytes) });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Constant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The class behind `MTLFunction`.
pub(crate) struct Function {
    library: Arc<Library>,
    name: String,
    constants: Vec<Constant>,
}

impl Function {
    pub(crate) fn pipeline(&self) -> Result<Arc<Pipeline>, metal_emulator::Error> {
        self.library.pipeline(&self.name, &self.constants)
    }
}

/// A kernel, with values for its function constants.
pub trait MTLFunction: Object {}

impl MTLFunction for ProtocolObject<dyn MTLFunction> {}

/// A compiled source.
pub trait MTLLibrary: Object {
    /// A kernel without function constants.
    fn newFunctionWithName(&self, name: &NSString) -> Option<Shared<dyn MTLFunction>> {
        function(runtime::shared(self), name, Vec::new())
    }

    /// A kernel with function constants.
    ///
    /// # Errors
    ///
    /// If there is no such kernel.
    fn newFunctionWithName_constantValues_error(
        &self,
        name: &NSString,
        values: &MTLFunctionConstantValues,
    ) -> Result<Shared<dyn MTLFunction>, Retained<NSError>> {
        let function = function(runtime::shared(self), name, values.lock().clone());
        function.ok_or_else(|| NSError::of(format!("there is no kernel `{name}`")))
    }
}

impl MTLLibrary for ProtocolObject<dyn MTLLibrary> {}

fn function(
    library: Arc<Library>,
    name: &NSString,
    constants: Vec<Constant>,
) -> Option<Shared<dyn MTLFunction>> {
    let name = name.to_string();
    library.has_kernel(&name).then(|| ProtocolObject::of(Arc::new(Function { library, name, constants })))
}

/// A kernel that can be dispatched.
pub trait MTLComputePipelineState: Object {
    /// The most threads of a threadgroup.
    fn maxTotalThreadsPerThreadgroup(&self) -> usize {
        1024
    }

    /// The threads of a simdgroup.
    fn threadExecutionWidth(&self) -> usize {
        32
    }
}

impl MTLComputePipelineState for ProtocolObject<dyn MTLComputePipelineState> {}
