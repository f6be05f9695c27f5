//! [`Library`] and [`Pipeline`]: kernels, and kernels with their function constants.

use std::sync::Arc;

use msl::{Compiler, Error, Kernel};

/// A library of kernels.
pub struct Library {
    library: Arc<msl::Library>,
}

/// The value of a function constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constant {
    /// Its index in the source.
    pub index: u32,
    /// Its bytes, the lowest first.
    pub bits: u64,
}

/// A kernel with its function constants.
pub struct Pipeline {
    kernel: Kernel,
    pub(crate) constant_indices: Vec<u32>,
    pub(crate) constant_values: Vec<u64>,
}

impl Library {
    pub(crate) fn new(compiler: Compiler, source: &str) -> Result<Arc<Library>, Error> {
        Ok(Arc::new(Library { library: msl::Library::from_source(compiler, source)? }))
    }

    /// Whether it has this kernel.
    pub fn has_kernel(&self, name: &str) -> bool {
        self.library.has_kernel(name)
    }

    /// A kernel with its function constants.
    ///
    /// # Errors
    ///
    /// When there is no such kernel, or when it does not compile as an instance of its template.
    pub fn pipeline(&self, name: &str, constants: &[Constant]) -> Result<Arc<Pipeline>, Error> {
        Ok(Arc::new(Pipeline {
            kernel: self.library.kernel(name)?,
            constant_indices: constants.iter().map(|constant| constant.index).collect(),
            constant_values: constants.iter().map(|constant| constant.bits).collect(),
        }))
    }
}

impl Pipeline {
    /// The kernel.
    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The kernel's name.
    pub fn name(&self) -> String {
        self.kernel.name().to_string_lossy().into_owned()
    }
}
