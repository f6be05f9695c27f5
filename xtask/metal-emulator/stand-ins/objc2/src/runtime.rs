//! [`ProtocolObject`]: an object of which a protocol is known.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::rc::Retained;

/// An object of which nothing is known.
pub struct AnyObject(());

/// An object of which a protocol is known. Its class is what the stand-in's implementations know.
#[repr(transparent)]
pub struct ProtocolObject<P: ?Sized> {
    object: Arc<dyn Any + Send + Sync>,
    protocol: PhantomData<P>,
}

/// Gives the methods of protocols their object.
pub trait Object {
    /// The object.
    fn object(&self) -> &Arc<dyn Any + Send + Sync>;
}

impl<P: ?Sized> Object for ProtocolObject<P> {
    fn object(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.object
    }
}

impl<P: ?Sized> ProtocolObject<P> {
    /// An object of the class `T` that has the protocol `P`.
    pub fn of<T: Any + Send + Sync>(object: Arc<T>) -> Retained<ProtocolObject<P>> {
        Retained::of(ProtocolObject { object, protocol: PhantomData })
    }

    /// The object under another protocol that its class has.
    pub fn from_ref<Q: ?Sized>(object: &ProtocolObject<Q>) -> &ProtocolObject<P> {
        let object = std::ptr::from_ref(object).cast::<ProtocolObject<P>>();
        // SAFETY: it was made from a reference of the same lifetime, and the protocol is a marker only.
        unsafe { &*object }
    }

    /// The object as its class.
    ///
    /// # Panics
    ///
    /// If it is of another class.
    pub fn class<T: Any + Send + Sync>(&self) -> &T {
        class(self)
    }
}

/// The object as its class.
///
/// # Panics
///
/// If it is of another class.
pub fn class<T: Any + Send + Sync>(object: &(impl Object + ?Sized)) -> &T {
    object.object().downcast_ref::<T>().expect("a protocol's objects are of one class")
}

/// The object as its class, with a count.
///
/// # Panics
///
/// If it is of another class.
pub fn shared<T: Any + Send + Sync>(object: &(impl Object + ?Sized)) -> Arc<T> {
    Arc::clone(object.object()).downcast::<T>().expect("a protocol's objects are of one class")
}

impl<P: ?Sized> fmt::Debug for ProtocolObject<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", Arc::as_ptr(&self.object))
    }
}
