//! Residency sets: all memory is resident here.

use objc2::rc::Retained;
use objc2::runtime::{Object, ProtocolObject};

use crate::MTLAllocation;

/// What a residency set is for.
#[derive(Debug)]
pub struct MTLResidencySetDescriptor(());

impl MTLResidencySetDescriptor {
    /// An empty description.
    pub fn new() -> Retained<MTLResidencySetDescriptor> {
        Retained::of(MTLResidencySetDescriptor(()))
    }
}

/// The class behind the protocol.
pub(crate) struct ResidencySet;

/// Memory that stays resident.
pub trait MTLResidencySet: Object {
    /// Asks for residency.
    fn requestResidency(&self) {}

    /// Adds memory.
    fn addAllocation(&self, _allocation: &ProtocolObject<dyn MTLAllocation>) {}

    /// Takes memory out.
    fn removeAllocation(&self, _allocation: &ProtocolObject<dyn MTLAllocation>) {}

    /// Lets changes take effect.
    fn commit(&self) {}
}

impl MTLResidencySet for ProtocolObject<dyn MTLResidencySet> {}
