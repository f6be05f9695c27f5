//! [`Retained`]: a counted reference.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A counted reference to an object.
pub struct Retained<T: ?Sized>(Arc<T>);

impl<T> Retained<T> {
    /// The first reference to an object.
    pub fn of(object: T) -> Retained<T> {
        Retained(Arc::new(object))
    }
}

impl<T: ?Sized> Retained<T> {
    /// The object's address, which is its identity.
    pub fn as_ptr(this: &Self) -> *const T {
        Arc::as_ptr(&this.0)
    }
}

impl<T: ?Sized> Clone for Retained<T> {
    fn clone(&self) -> Self {
        Retained(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Retained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> AsRef<T> for Retained<T> {
    fn as_ref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Retained<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Retained<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> PartialEq for Retained<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> Eq for Retained<T> {}

impl<T: ?Sized> Hash for Retained<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<u8>().addr().hash(state);
    }
}
