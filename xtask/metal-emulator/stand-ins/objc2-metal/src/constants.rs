//! Enumerations, options and sizes.

macro_rules! enumeration {
    ($(#[$doc:meta])* $name:ident: $representation:ty { $($value:ident = $number:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub $representation);

        impl $name {
            $(
                #[doc = concat!("The value of this name: ", stringify!($number), ".")]
                pub const $value: Self = Self($number);
            )*
        }
    };
}

enumeration! {
    /// Where a buffer lies, and whether its commands are ordered.
    MTLResourceOptions: usize {
        CPUCacheModeDefaultCache = 0,
        StorageModeShared = 0,
        StorageModeManaged = 16,
        StorageModePrivate = 32,
        HazardTrackingModeDefault = 0,
        HazardTrackingModeUntracked = 256,
        HazardTrackingModeTracked = 512,
    }
}
enumeration! {
    /// How far a command buffer has come.
    MTLCommandBufferStatus: usize {
        NotEnqueued = 0,
        Enqueued = 1,
        Committed = 2,
        Scheduled = 3,
        Completed = 4,
        Error = 5,
    }
}
enumeration! {
    /// Whether dispatches of an encoder wait for each other.
    MTLDispatchType: usize { Serial = 0, Concurrent = 1 }
}
enumeration! {
    /// What a barrier orders.
    MTLBarrierScope: usize { Buffers = 1 }
}
enumeration! {
    /// The type of a function constant.
    MTLDataType: usize {
        Float = 3,
        Half = 16,
        Int = 29,
        UInt = 33,
        Short = 37,
        UShort = 41,
        Char = 45,
        UChar = 49,
        Bool = 53,
        Long = 81,
        ULong = 85,
    }
}
enumeration! {
    /// How freely arithmetic may be rearranged. The emulator never does.
    MTLMathMode: isize { Safe = 0, Relaxed = 1, Fast = 2 }
}
enumeration! {
    /// How precise mathematical functions are. The emulator's always are.
    MTLMathFloatingPointFunctions: isize { Fast = 0, Precise = 1 }
}
enumeration! {
    /// Where a capture goes.
    MTLCaptureDestination: isize { DeveloperTools = 1, GPUTraceDocument = 2 }
}

/// A size along three sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MTLSize {
    /// Along x.
    pub width: usize,
    /// Along y.
    pub height: usize,
    /// Along z.
    pub depth: usize,
}

impl MTLSize {
    pub(crate) fn sides(self) -> [usize; 3] {
        [self.width, self.height, self.depth]
    }
}

impl MTLDataType {
    /// Bytes of a value.
    pub(crate) fn num_bytes(self) -> usize {
        match self {
            Self::Long | Self::ULong => 8,
            Self::Float | Self::Int | Self::UInt => 4,
            Self::Half | Self::Short | Self::UShort => 2,
            _ => 1,
        }
    }
}
