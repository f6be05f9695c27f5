//! Stand-in for `objc2-foundation`: strings, errors, ranges and lists.
//!
//! ```
//! let name = objc2_foundation::NSString::from_str("name");
//! assert_eq!(name.to_string(), "name");
//! ```
#![allow(non_snake_case)]
#![allow(clippy::should_implement_trait, reason = "the names are those of the real crate")]

use std::ffi::{CString, c_char};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use objc2::rc::Retained;

/// A part of something, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NSRange {
    /// Where it begins.
    pub location: usize,
    /// How long it is.
    pub length: usize,
}

impl NSRange {
    /// A part of something.
    pub const fn new(location: usize, length: usize) -> NSRange {
        NSRange { location, length }
    }
}

/// Text.
#[derive(Debug)]
pub struct NSString(CString);

impl NSString {
    /// Text; what follows a zero byte is cut off.
    pub fn from_str(text: &str) -> Retained<NSString> {
        let text = text.split('\0').next().unwrap_or_default();
        Retained::of(NSString(CString::new(text).unwrap_or_default()))
    }

    /// As a C string that lives as long as this.
    pub fn UTF8String(&self) -> *const c_char {
        self.0.as_ptr()
    }
}

impl fmt::Display for NSString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string_lossy())
    }
}

/// A place, here a path.
#[derive(Debug)]
pub struct NSURL(PathBuf);

impl NSURL {
    /// The place of a file.
    pub fn from_file_path<P: AsRef<Path>>(path: P) -> Option<Retained<NSURL>> {
        Some(Retained::of(NSURL(path.as_ref().to_owned())))
    }

    /// The path.
    pub fn to_file_path(&self) -> Option<PathBuf> {
        Some(self.0.clone())
    }
}

/// Why something failed.
#[derive(Debug)]
pub struct NSError(Retained<NSString>);

/// Descriptions stay for the life of the process: on macOS a command buffer holds its error, and Candle
/// reads the description after it has let go of both.
static DESCRIPTIONS: Mutex<Vec<Retained<NSString>>> = Mutex::new(Vec::new());

impl NSError {
    /// An error with this description.
    pub fn of(description: impl fmt::Display) -> Retained<NSError> {
        let description = NSString::from_str(&description.to_string());
        DESCRIPTIONS.lock().unwrap_or_else(PoisonError::into_inner).push(description.clone());
        Retained::of(NSError(description))
    }

    /// What went wrong.
    pub fn localizedDescription(&self) -> Retained<NSString> {
        self.0.clone()
    }
}

impl fmt::Display for NSError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A list.
#[derive(Debug)]
pub struct NSArray<T: ?Sized>(Vec<Retained<T>>);

impl<T: ?Sized> NSArray<T> {
    /// A list of these.
    pub fn of(items: Vec<Retained<T>>) -> Retained<NSArray<T>> {
        Retained::of(NSArray(items))
    }

    /// What is in it.
    pub fn to_vec(&self) -> Vec<Retained<T>> {
        self.0.clone()
    }
}
