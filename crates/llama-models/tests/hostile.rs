//! Valid files, damaged at random: no parser panics, and none allocates more than the input justifies.

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::Path,
    sync::{Arc, LazyLock},
};

use llama_models::{
    DecoderConfig,
    checkpoint::{gguf::Gguf, safetensors},
};
use proptest::{prelude::*, sample::Index, test_runner::RngSeed};
use support::{FAMILIES, Weight};

/// Counts what this thread has allocated, and the most that it ever had at once.
struct CountingAllocator;

thread_local! {
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

// SAFETY: every call goes to the system allocator unchanged; counting touches only cells that need no allocation.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps GlobalAlloc's contract, which is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above, and `pointer` came from System.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(bytes: isize) {
    let live = LIVE_BYTES.get() + bytes;
    LIVE_BYTES.set(live);
    PEAK_BYTES.set(PEAK_BYTES.get().max(live));
}

/// The most that `work` had allocated at once.
fn peak_bytes<T>(work: impl FnOnce() -> T) -> usize {
    let before = LIVE_BYTES.get();
    PEAK_BYTES.set(before);
    drop(work());
    (PEAK_BYTES.get() - before).unsigned_abs()
}

/// One piece of damage.
#[derive(Clone, Debug)]
enum Damage {
    FlipBits {
        at: Index,
        mask: u8,
    },
    Insert {
        at: Index,
        bytes: Vec<u8>,
    },
    Remove {
        at: Index,
        len: usize,
    },
    Truncate {
        at: Index,
    },
    /// Overwrites 8 bytes with a number that lengths and offsets should not be.
    Number {
        at: Index,
        value: u64,
    },
    /// Replaces one run of digits in JSON.
    Digits {
        at: Index,
        value: u64,
    },
}

impl Damage {
    /// Does the damage somewhere in the first `header_bytes` bytes, since no parser reads further.
    fn apply(&self, file: &mut Vec<u8>, header_bytes: usize) {
        let len = header_bytes.min(file.len());
        if len == 0 {
            return;
        }
        match self {
            Self::FlipBits { at, mask } => file[at.index(len)] ^= mask,
            Self::Insert { at, bytes } => {
                let at = at.index(len);
                file.splice(at..at, bytes.iter().copied());
            }
            Self::Remove { at, len: removed } => {
                let at = at.index(len);
                file.drain(at..(at + removed).min(len));
            }
            Self::Truncate { at } => file.truncate(at.index(len)),
            Self::Number { at, value } => {
                let at = at.index(len);
                let end = (at + 8).min(file.len());
                file[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
            Self::Digits { at, value } => replace_digits(file, at.index(len), *value),
        }
    }
}

fn replace_digits(file: &mut Vec<u8>, from: usize, value: u64) {
    let Some(start) = file.iter().skip(from).position(u8::is_ascii_digit).map(|found| from + found) else {
        return;
    };
    let len = file.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
    file.splice(start..start + len, value.to_string().into_bytes());
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        Just(u64::MAX / 2 + 1),
        Just(1 << 61),
        Just(1 << 32),
        Just(f64::NAN.to_bits()),
        0u64..64,
        any::<u64>(),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1u8..).prop_map(|(at, mask)| Damage::FlipBits { at, mask }),
        (at(), prop::collection::vec(any::<u8>(), 1..16))
            .prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        (at(), 1usize..16).prop_map(|(at, len)| Damage::Remove { at, len }),
        at().prop_map(|at| Damage::Truncate { at }),
        (at(), number()).prop_map(|(at, value)| Damage::Number { at, value }),
        (at(), number()).prop_map(|(at, value)| Damage::Digits { at, value }),
    ]
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(damage(), 1..4)
}

/// Two tensors of each family: headers small enough that damage hits everything in them.
fn few_weights(family: &str) -> Vec<Weight> {
    let mut weights = support::weights(family);
    weights.retain(|weight| ["token_embd.weight", "blk.1.attn_q.weight"].contains(&weight.gguf.as_str()));
    weights
}

static GGUF_FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let file = |family: &&str| {
        let mut writer = support::gguf_metadata(family);
        writer.set("tokenizer.ggml.tokens", vec!["a".to_owned(), "bc".to_owned()]);
        writer.set("tokenizer.ggml.scores", vec![0.5f32, 1.0]);
        support::gguf_bytes(writer, &few_weights(family))
    };
    FAMILIES.iter().map(file).collect()
});

static SAFETENSORS_FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    FAMILIES.iter().map(|family| support::safetensors_bytes(&few_weights(family))).collect()
});

/// Allocations that do not grow with the input: error messages, first growth of collections.
const CONSTANT_BYTES: usize = 2 << 10;
/// What one byte of header may cost: a tensor of 30 bytes of JSON becomes a table entry, a parsed one and a name.
const BYTES_PER_INPUT_BYTE: usize = 32;

fn check_peak(peak: usize, header_bytes: usize) -> Result<(), TestCaseError> {
    let limit = CONSTANT_BYTES + BYTES_PER_INPUT_BYTE * header_bytes;
    prop_assert!(peak <= limit, "{peak} bytes allocated for {header_bytes} bytes of header");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4096,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_gguf(family_idx in 0..FAMILIES.len(), damages in damages()) {
        let mut file = GGUF_FILES[family_idx].clone();
        let header_bytes = file.len() - few_weights(FAMILIES[family_idx]).iter().map(|w| w.data.len()).sum::<usize>();
        damages.iter().for_each(|damage| damage.apply(&mut file, header_bytes));
        let bytes = Arc::new(file);
        let peak = peak_bytes(|| {
            let gguf = Gguf::parse(Path::new("m"), bytes.clone())?;
            let tokens = gguf.metadata.optional::<Vec<&str>>("tokenizer.ggml.tokens").map(|_| ());
            DecoderConfig::from_gguf(&gguf).and(tokens)
        });
        check_peak(peak, header_bytes)?;
    }

    #[test]
    fn damaged_safetensors(family_idx in 0..FAMILIES.len(), damages in damages()) {
        let mut file = SAFETENSORS_FILES[family_idx].clone();
        let header_bytes = file.len() - few_weights(FAMILIES[family_idx]).iter().map(|w| w.data.len()).sum::<usize>();
        damages.iter().for_each(|damage| damage.apply(&mut file, header_bytes));
        let bytes = Arc::new(file);
        let mut accepted = false;
        let peak = peak_bytes(|| accepted = safetensors::parse(Path::new("m"), bytes.clone()).is_ok());
        check_peak(peak, header_bytes)?;
        if accepted {
            // No offset exceeds the file here, so the crate's unchecked sum of them cannot overflow.
            let reference = ::safetensors::SafeTensors::deserialize(&bytes).err().map(|error| error.to_string());
            // Unlike the crate we list tensors of formats that we have never heard of.
            let agrees = reference.as_ref().is_none_or(|error| error.contains("unknown variant"));
            prop_assert!(agrees, "we are laxer than the reference: {reference:?}");
        }
    }

    #[test]
    fn damaged_config(family_idx in 0..FAMILIES.len(), damages in damages()) {
        let mut file = support::config(FAMILIES[family_idx]).to_string().into_bytes();
        let header_bytes = file.len();
        damages.iter().for_each(|damage| damage.apply(&mut file, header_bytes));
        let peak = peak_bytes(|| DecoderConfig::from_json(Path::new("m"), &file, Some(&file)));
        check_peak(peak, 2 * header_bytes)?;
    }
}

#[test]
fn headers_that_only_claim_to_be_large_cost_nothing() {
    let mut gguf = b"GGUF\x03\0\0\0".to_vec();
    gguf.extend(u64::MAX.to_le_bytes()); // tensors
    gguf.extend(1u64.to_le_bytes());
    gguf.extend(1u64.to_le_bytes());
    gguf.extend(b"k\x09\0\0\0\x04\0\0\0"); // an array of u32 ...
    gguf.extend((1u64 << 40).to_le_bytes()); // ... of a trillion elements
    let gguf = Arc::new(gguf);
    let peak = peak_bytes(|| Gguf::parse(Path::new("m"), gguf.clone()).expect_err("no such file"));
    assert!(peak < 4096, "{peak}");
    let header = br#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#;
    let file = Arc::new([&(header.len() as u64).to_le_bytes()[..], header].concat());
    let peak = peak_bytes(|| safetensors::parse(Path::new("m"), file.clone()).expect_err("no such file"));
    assert!(peak < 4096, "{peak}");
}
