//! [`SharedObject`]: compiled kernels in memory.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::{Dispatch, Error};

/// What `runtime/exports.h` exports.
type Run = unsafe extern "C" fn(*const c_char, *mut Dispatch) -> c_int;

/// The runtime's state is not for several threads.
static RUNNING: Mutex<()> = Mutex::new(());

/// Compiled kernels in memory. They stay there: their statics are the runtime's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedObject {
    run: Run,
}

impl SharedObject {
    /// Loads what [`crate::Compiler`] has made.
    pub(crate) fn load(path: &Path) -> Result<SharedObject, Error> {
        let failed = |message: String| Error::Load { path: path.to_owned(), message };
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.to_string()))?;
        // SAFETY: the name is a C string. What is loaded runs constructors that only link a list.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(failed(last_error()));
        }
        // SAFETY: the handle is open, and the name is a C string.
        let symbol = unsafe { libc::dlsym(handle, c"msl_dispatch".as_ptr()) };
        if symbol.is_null() {
            return Err(failed(last_error()));
        }
        // SAFETY: `runtime/exports.h` defines the function with this signature, and it is never unloaded.
        let run = unsafe { std::mem::transmute::<*mut c_void, Run>(symbol) };
        Ok(SharedObject { run })
    }

    /// Runs a kernel by name; false when there is none.
    ///
    /// # Safety
    ///
    /// What the dispatch points at must be as its documentation says, and the kernel must stay within what
    /// is bound; where it does not, guard pages stop it most of the time.
    pub(crate) unsafe fn run(&self, name: &CStr, dispatch: &mut Dispatch) -> bool {
        let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the name is a C string, and the caller vouches for the dispatch.
        let status = unsafe { (self.run)(name.as_ptr(), dispatch) };
        status == 0
    }
}

fn last_error() -> String {
    // SAFETY: it may be called at any time.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "unknown error".to_owned();
    }
    // SAFETY: what is not null is a C string that lives until the next call on this thread.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}
