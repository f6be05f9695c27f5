//! Chooses the instruction set once, at run time, and compiles a kernel for each.

use std::{fmt, sync::OnceLock};

use super::{ByteLanes, portable::Portable};

/// Work that is generic over the instruction set. `run` must be `#[inline(always)]` for the set to take effect; it
/// may ask for less, such as [`super::Simd`].
pub trait Kernel {
    /// What the kernel returns.
    type Output;
    /// Does the work with the given instructions.
    fn run<S: ByteLanes>(self, simd: S) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
    Avx512,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// 64-bit ARM.
    Neon,
    /// No vector instructions assumed: correct everywhere, slow.
    Portable,
}

impl Isa {
    /// Every instruction set, fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The fastest set of the running CPU, found once.
    pub fn detect() -> Self {
        static FOUND: OnceLock<Isa> = OnceLock::new();
        *FOUND.get_or_init(|| Self::ALL.into_iter().find(|isa| isa.is_supported()).unwrap_or(Self::Portable))
    }

    /// Whether the running CPU has it.
    pub fn is_supported(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => super::avx512::Avx512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::avx2::Avx2::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            _ => false,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        })
    }
}

/// Runs a kernel on the fastest set of this CPU.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(Isa::detect(), kernel)
}

/// Runs a kernel on the given set, or portably where this CPU lacks it. For tests that compare sets.
#[inline]
pub fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            if let Some(simd) = super::avx512::Avx512::detect() {
                return super::avx512::run(simd, kernel);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            if let Some(simd) = super::avx2::Avx2::detect() {
                return super::avx2::run(simd, kernel);
            }
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => return kernel.run(super::neon::Neon),
        _ => {}
    }
    kernel.run(Portable)
}
