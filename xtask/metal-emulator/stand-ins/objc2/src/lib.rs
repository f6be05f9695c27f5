//! Stand-in for `objc2`: objects are reference-counted values of any type, behind the types of protocols.
//!
//! ```
//! use objc2::runtime::ProtocolObject;
//!
//! trait Named {}
//! let object = ProtocolObject::<dyn Named>::of(std::sync::Arc::new(7u32));
//! assert_eq!(*object.class::<u32>(), 7);
//! ```

pub mod rc;
pub mod runtime;

/// Every version is available.
#[macro_export]
macro_rules! available {
    ($($condition:tt)*) => {
        true
    };
}

/// The one message that Candle sends by hand: whether a device names its architecture. It does.
#[macro_export]
macro_rules! msg_send {
    [$object:expr, architecture] => {{
        let _ = $object;
        std::ptr::NonNull::<$crate::runtime::AnyObject>::dangling().as_ptr().cast_const()
    }};
}
