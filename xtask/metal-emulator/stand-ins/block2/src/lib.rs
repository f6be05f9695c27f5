//! Stand-in for `block2`: a block is a shared closure.
//!
//! Blocks run on whichever thread executes commands, so closures must be `Send + Sync`; the real crate
//! leaves that to its users.
//!
//! ```
//! let block: block2::RcBlock<dyn Fn(u32)> = block2::RcBlock::new(|x: u32| assert_eq!(x, 3));
//! block.call((3,));
//! ```

use std::ops::Deref;
use std::sync::Arc;

/// A closure of the signature `F`, as `dyn Fn(u32)`.
pub struct Block<F: ?Sized + Signature> {
    closure: Arc<F::Shared>,
}

/// A block that owns its closure.
pub struct RcBlock<F: ?Sized + Signature>(Box<Block<F>>);

/// What a block can be called with.
pub trait Signature {
    /// The same signature for several threads.
    type Shared: ?Sized;
    /// The arguments as a tuple.
    type Arguments;

    /// Calls the closure.
    fn call(closure: &Self::Shared, arguments: Self::Arguments);
}

/// A closure that can be made a block.
pub trait IntoBlock<A> {
    /// Its signature.
    type Dyn: ?Sized + Signature;

    /// The closure, shared.
    fn into_shared(self) -> Arc<<Self::Dyn as Signature>::Shared>;
}

impl<A> Signature for dyn Fn(A) {
    type Shared = dyn Fn(A) + Send + Sync;
    type Arguments = (A,);

    fn call(closure: &Self::Shared, (a,): (A,)) {
        closure(a);
    }
}

impl<A, B> Signature for dyn Fn(A, B) {
    type Shared = dyn Fn(A, B) + Send + Sync;
    type Arguments = (A, B);

    fn call(closure: &Self::Shared, (a, b): (A, B)) {
        closure(a, b);
    }
}

impl<A, F: Fn(A) + Send + Sync + 'static> IntoBlock<(A,)> for F
where
    A: 'static,
{
    type Dyn = dyn Fn(A);

    fn into_shared(self) -> Arc<dyn Fn(A) + Send + Sync> {
        Arc::new(self)
    }
}

impl<A, B, F: Fn(A, B) + Send + Sync + 'static> IntoBlock<(A, B)> for F
where
    A: 'static,
    B: 'static,
{
    type Dyn = dyn Fn(A, B);

    fn into_shared(self) -> Arc<dyn Fn(A, B) + Send + Sync> {
        Arc::new(self)
    }
}

impl<F: ?Sized + Signature> Block<F> {
    /// Calls the closure with a tuple of arguments.
    pub fn call(&self, arguments: F::Arguments) {
        F::call(&self.closure, arguments);
    }

    /// A block of the same closure, which lives on its own.
    pub fn copy(&self) -> RcBlock<F> {
        RcBlock(Box::new(Block { closure: Arc::clone(&self.closure) }))
    }
}

impl<F: ?Sized + Signature> RcBlock<F> {
    /// A block of this closure.
    pub fn new<A, C: IntoBlock<A, Dyn = F>>(closure: C) -> RcBlock<F> {
        RcBlock(Box::new(Block { closure: closure.into_shared() }))
    }

    /// The block's address, which is valid for as long as the block.
    pub fn as_ptr(block: &Self) -> *mut Block<F> {
        std::ptr::from_ref(&*block.0).cast_mut()
    }
}

impl<F: ?Sized + Signature> Deref for RcBlock<F> {
    type Target = Block<F>;

    fn deref(&self) -> &Block<F> {
        &self.0
    }
}
