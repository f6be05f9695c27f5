//! [`Library`]: a Metal source with its kernels.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, PoisonError};

use crate::shared_object::SharedObject;
use crate::translate::{self, Translation};
use crate::{Compiler, Dispatch, Error};

/// A library with at most so many kernels is compiled as a whole; of a larger one, each kernel on its own
/// when it is asked for: a program uses few of the hundreds of instances that some libraries have.
const MAX_KERNELS_AT_ONCE: usize = 32;

/// A Metal source with its kernels.
#[derive(Debug)]
pub struct Library {
    compiler: Compiler,
    translation: Translation,
    /// By name; the whole library stands under the name of each kernel.
    loaded: Mutex<HashMap<String, SharedObject>>,
}

/// A kernel that can run.
#[derive(Debug, Clone)]
pub struct Kernel {
    name: CString,
    object: SharedObject,
}

impl Library {
    /// Compiles a source, or finds it compiled.
    ///
    /// # Errors
    ///
    /// When it does not compile, with the compiler's messages; when there is no compiler or no cache.
    pub fn from_source(compiler: Compiler, source: &str) -> Result<Arc<Library>, Error> {
        let translation = translate::translate(&compiler.preprocess(source)?);
        compiler.check(&translation.code)?;
        let library = Library { compiler, translation, loaded: Mutex::default() };
        if library.is_small()
            && let Some(first) = library.translation.kernels.first()
        {
            library.load(&first.name.clone())?;
        }
        Ok(Arc::new(library))
    }

    /// The names of its kernels.
    pub fn kernel_names(&self) -> impl Iterator<Item = &str> {
        self.translation.kernels.iter().map(|kernel| kernel.name.as_str())
    }

    /// Whether it has this kernel.
    pub fn has_kernel(&self, name: &str) -> bool {
        self.kernel_names().any(|found| found == name)
    }

    /// A kernel by name.
    ///
    /// # Errors
    ///
    /// When there is none, or when it does not compile as an instance of its template.
    pub fn kernel(&self, name: &str) -> Result<Kernel, Error> {
        let missing = || Error::NoKernel { name: name.to_owned() };
        if !self.has_kernel(name) {
            return Err(missing());
        }
        let object = self.load(name)?;
        Ok(Kernel { name: CString::new(name).map_err(|_| missing())?, object })
    }

    /// Compiles all kernels into one object, whatever their number; they are not loaded.
    ///
    /// # Errors
    ///
    /// When one of them does not compile.
    pub fn compile_all(&self) -> Result<(), Error> {
        let all = self.registrations(|_| true);
        self.compiler.shared_object(&self.translation.code, &all).map(|_| ())
    }

    fn is_small(&self) -> bool {
        self.translation.kernels.len() <= MAX_KERNELS_AT_ONCE
    }

    fn load(&self, name: &str) -> Result<SharedObject, Error> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = loaded.get(name) {
            return Ok(*object);
        }
        let is_small = self.is_small();
        let registrations = self.registrations(|found| is_small || found == name);
        let path = self.compiler.shared_object(&self.translation.code, &registrations)?;
        let object = SharedObject::load(&path)?;
        let served = self.kernel_names().filter(|found| is_small || *found == name);
        loaded.extend(served.map(|name| (name.to_owned(), object)));
        Ok(object)
    }

    fn registrations(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let kernels = self.translation.kernels.iter().filter(|kernel| is_wanted(&kernel.name));
        let lines = kernels.enumerate().map(|(i, kernel)| {
            let (name, function) = (&kernel.name, &kernel.function);
            format!("static ::msl::Registration msl_kernel_{i}(\"{name}\", +[] {{ {function}(); }});\n")
        });
        lines.collect()
    }
}

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// Executes every threadgroup of a dispatch. One dispatch runs at a time in a process.
    ///
    /// # Errors
    ///
    /// What went wrong: threads that diverge, arguments that are missing or too small, too much threadgroup
    /// memory.
    ///
    /// # Safety
    ///
    /// What the dispatch points at must be as its documentation says, and the kernel must stay within what
    /// is bound; where it does not, guard pages stop it most of the time.
    pub unsafe fn run(&self, dispatch: &mut Dispatch) -> Result<(), String> {
        // SAFETY: the caller vouches for the dispatch.
        let is_found = unsafe { self.object.run(&self.name, dispatch) };
        match dispatch.fault() {
            _ if !is_found => Err("the kernel is not in its library".to_owned()),
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_source(source: &str) -> Result<Arc<Library>, Error> {
        Library::from_source(Compiler::from_environment(), source)
    }

    #[test]
    fn kernels_are_found_by_name() {
        let library = from_source("kernel void f() {}\nkernel void g() {}").expect("it compiles");
        assert_eq!(library.kernel_names().collect::<Vec<_>>(), ["f", "g"]);
        assert_eq!(library.kernel("f").expect("it is there").name(), c"f");
        assert!(matches!(library.kernel("h"), Err(Error::NoKernel { .. })));
    }

    #[test]
    fn errors_name_lines_of_the_source() {
        let source =
            "#include <metal_stdlib>\nusing namespace metal;\n\nkernel void f() {\n  undeclared = 1;\n}";
        let error = from_source(source).expect_err("it is wrong").to_string();
        assert!(error.contains("program_source:5:"), "{error}");
        assert!(error.contains("undeclared"), "{error}");
    }

    #[test]
    fn what_is_compiled_is_compiled_once() {
        let cache = tempfile::tempdir().expect("there is room");
        let compiler = Compiler::new(Compiler::from_environment().program(), cache.path());
        let make = || Library::from_source(compiler.clone(), "kernel void f() {}").expect("it compiles");
        make();
        let count = || std::fs::read_dir(cache.path()).expect("it is there").count();
        let before = count();
        make();
        assert_eq!(before, 3, "headers, the check and the object");
        assert_eq!(count(), before);
    }
}
