//! Faults that the emulator must find, one small kernel each.
//!
//! Those that kill the process run in a process of their own: this test program, asked for one test.

use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metal_emulator::{Buffer, CommandBuffer, ComputeEncoder, Device, DispatchType, Library, Queue, Storage};

/// Held while a test has a seed of its own: the seed is the process's.
static SEED: Mutex<()> = Mutex::new(());

const PREAMBLE: &str = "#include <metal_stdlib>\nusing namespace metal;\n";

/// One command buffer with one encoder.
struct Setting {
    device: Arc<Device>,
    library: Arc<Library>,
    commands: Arc<CommandBuffer>,
    encoder: Arc<ComputeEncoder>,
}

impl Setting {
    fn new(source: &str) -> Setting {
        let device = Device::system();
        let library = device.library(&format!("{PREAMBLE}{source}"));
        let library = library.unwrap_or_else(|error| panic!("{error}"));
        let commands = Queue::new(&device).commands();
        let encoder = commands.compute_encoder(DispatchType::Concurrent);
        Setting { device, library, commands, encoder }
    }

    fn buffer(&self, num_bytes: usize) -> Arc<Buffer> {
        self.device.buffer(num_bytes, Storage::Shared).expect("there is room")
    }

    fn bind(&self, index: usize, buffer: &Arc<Buffer>) {
        self.encoder.bind_buffer(index, Some((buffer, 0)));
    }

    fn dispatch(&self, kernel: &str, num_groups: usize, num_threads: usize) {
        self.encoder.set_pipeline(&self.library.pipeline(kernel, &[]).expect("the kernel compiles"));
        self.encoder.dispatch_groups([num_groups, 1, 1], [num_threads, 1, 1]);
    }

    /// How the commands end.
    fn run(&self) -> Option<String> {
        self.encoder.end();
        self.commands.commit();
        self.commands.wait();
        self.commands.error()
    }

    fn check(&self, expected: &[&str]) {
        let error = self.run().expect("there is a fault");
        for part in expected {
            assert!(error.contains(part), "{error:?} should say {part:?}");
        }
    }
}

/// `source` has a kernel `f` that takes one buffer.
fn check_fault(source: &str, num_threads: usize, expected: &[&str]) {
    let setting = Setting::new(source);
    setting.bind(0, &setting.buffer(4096));
    setting.dispatch("f", 2, num_threads);
    setting.check(expected);
}

/// Runs a test of this program in a process of its own, where `METAL_EMULATOR_FAULT` is set, and checks that
/// it dies with these words.
fn check_death(test: &str, expected: &[&str]) {
    let program = std::env::current_exe().expect("this is a program");
    let child = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env("METAL_EMULATOR_FAULT", "1")
        .output();
    let output = child.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it dies: {said}");
    for part in expected {
        assert!(said.contains(part), "{said:?} should say {part:?}");
    }
}

fn with_own_seed() -> MutexGuard<'static, ()> {
    SEED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_child() -> bool {
    std::env::var_os("METAL_EMULATOR_FAULT").is_some()
}

#[test]
fn a_sound_kernel_passes_under_every_seed() {
    let _seed = with_own_seed();
    let source = "kernel void f(device float *x, uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {
        threadgroup float s[64];
        s[t] = float(i);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        x[i] = s[63 - t] + simd_sum(1.0f);
    }";
    for seed in 0..8 {
        metal_emulator::set_seed(seed);
        let setting = Setting::new(source);
        let buffer = setting.buffer(128 * 4);
        setting.bind(0, &buffer);
        setting.dispatch("f", 2, 64);
        assert_eq!(setting.run(), None);
        // SAFETY: the buffer has so many values, and its commands have ended.
        let values = unsafe { std::slice::from_raw_parts(buffer.contents().cast::<f32>().as_ptr(), 128) };
        let expected = |i: usize| (i / 64 * 64 + 63 - i % 64) as f32 + 32.0;
        assert!(values.iter().enumerate().all(|(i, &value)| value == expected(i)), "{values:?}");
    }
}

#[test]
fn fresh_memory_is_poison() {
    let source = "kernel void f(device float *x, device float *y) {
        threadgroup float s[2];
        y[0] = isnan(x[0]) && isnan(s[1]) ? 1 : 0;
    }";
    let setting = Setting::new(source);
    let (x, y) = (setting.buffer(4), setting.buffer(4));
    setting.bind(0, &x);
    setting.bind(1, &y);
    setting.dispatch("f", 1, 1);
    assert_eq!(setting.run(), None);
    // SAFETY: the buffer has one value, and its commands have ended.
    assert_eq!(unsafe { y.contents().cast::<f32>().read() }, 1.0);
}

#[test]
fn a_barrier_that_some_threads_never_reach() {
    let source = "kernel void f(device float *x, uint t [[thread_index_in_threadgroup]]) {
        if (t == 5) return;
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }";
    check_fault(source, 64, &["kernel `f`", "threadgroup (0, 0, 0)", "line 5", "thread 5 has returned"]);
}

#[test]
fn threads_at_different_barriers() {
    let source = "kernel void f(device float *x, uint t [[thread_index_in_threadgroup]]) {
        if (t < 32) {
            threadgroup_barrier(mem_flags::mem_threadgroup);
        } else {
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
    }";
    check_fault(source, 64, &["barrier is not reached by every thread", "line 5", "line 7"]);
}

#[test]
fn a_collective_that_some_lanes_never_reach() {
    let source = "kernel void f(device float *x, uint t [[thread_index_in_threadgroup]]) {
        if (t % 2 == 0) x[t] = simd_sum(1.0f);
    }";
    check_fault(source, 32, &["reached by some lanes only", "line 4"]);
}

#[test]
fn threadgroup_variables_that_are_too_large() {
    let source = "kernel void f(device float *x) {
        threadgroup float a[4096];
        threadgroup float b[4100];
        x[0] = a[0] + b[0];
    }";
    check_fault(source, 1, &["more than 32768 bytes of threadgroup memory"]);
}

#[test]
fn threadgroup_memory_that_is_too_long() {
    let source = "kernel void f(device float *x, threadgroup float *s) { x[0] = s[0]; }";
    let setting = Setting::new(source);
    setting.encoder.set_threadgroup_bytes(0, 32 * 1024 + 16);
    setting.dispatch("f", 1, 1);
    setting.check(&["kernel `f`", "32784 bytes of threadgroup memory"]);
}

#[test]
fn threadgroup_memory_without_a_length() {
    let source = "kernel void f(device float *x, threadgroup float *s) { x[0] = s[0]; }";
    check_fault(source, 1, &["threadgroup(0), `s`, has no length"]);
}

#[test]
fn too_many_threads() {
    check_fault("kernel void f(device float *x) {}", 1025, &["kernel `f`", "1025 threads"]);
}

#[test]
fn a_buffer_that_is_not_bound() {
    let source = "kernel void f(device float *x, device float *y) { x[0] = y[0]; }";
    if is_child() {
        check_fault(source, 1, &[]);
    }
    check_death(
        "a_buffer_that_is_not_bound",
        &["kernel `f`", "reads", "through an argument that is not bound"],
    );
}

#[test]
fn a_constant_that_is_not_bound_is_poison() {
    let setting = Setting::new("kernel void f(device float *x, constant float &y) { x[0] = y; }");
    let buffer = setting.buffer(4);
    setting.bind(0, &buffer);
    setting.dispatch("f", 1, 1);
    assert_eq!(setting.run(), None);
    // SAFETY: the buffer has one value, and its commands have ended.
    assert!(unsafe { buffer.contents().cast::<f32>().read() }.is_nan());
}

#[test]
fn an_argument_that_is_too_short() {
    let source = "struct A { int a, b; };
    kernel void f(device float *x, constant A &a) { x[0] = a.b; }";
    let setting = Setting::new(source);
    setting.bind(0, &setting.buffer(4));
    setting.encoder.bind_bytes(1, &[0; 4]);
    setting.dispatch("f", 1, 1);
    setting.check(&["buffer(1), `a`", "8 bytes, 4 are bound"]);
}

#[test]
fn bytes_that_are_too_many() {
    let setting = Setting::new("kernel void f(device float *x) {}");
    setting.encoder.bind_bytes(0, &[0; 4097]);
    setting.dispatch("f", 1, 1);
    setting.check(&["4097 bytes are set"]);
}

#[test]
fn an_offset_past_the_end() {
    let setting = Setting::new("kernel void f(device float *x) {}");
    setting.encoder.bind_buffer(0, Some((&setting.buffer(64), 65)));
    setting.dispatch("f", 1, 1);
    setting.check(&["offset 65 is past the end"]);
}

#[test]
fn an_output_without_a_barrier_before_its_reader() {
    let _seed = with_own_seed();
    let source = "kernel void write(device float *x) { x[0] = 1; }
    kernel void read(device const float *x, device float *y) { y[0] = x[0]; }";
    for seed in 0..4 {
        metal_emulator::set_seed(seed);
        let setting = Setting::new(source);
        setting.bind(0, &setting.buffer(4));
        setting.bind(1, &setting.buffer(4));
        setting.dispatch("write", 1, 1);
        setting.dispatch("read", 1, 1);
        setting.check(&["kernel `read`", "kernel `write`", "without a barrier"]);
    }
}

#[test]
fn a_barrier_between_writer_and_reader_is_enough() {
    let source = "kernel void write(device float *x) { x[0] = 1; }
    kernel void read(device const float *x, device float *y) { y[0] = x[0]; }";
    let setting = Setting::new(source);
    setting.bind(0, &setting.buffer(4));
    setting.bind(1, &setting.buffer(4));
    setting.dispatch("write", 1, 1);
    setting.encoder.barrier();
    setting.dispatch("read", 1, 1);
    assert_eq!(setting.run(), None);
}

#[test]
fn a_missing_barrier_shows_under_some_seed() {
    let _seed = with_own_seed();
    let source = "kernel void f(device uint *x, uint t [[thread_index_in_threadgroup]]) {
        threadgroup uint s[64];
        s[t] = t;
        x[t] = s[(t + 1) % 64];
    }";
    let is_wrong = |seed| {
        metal_emulator::set_seed(seed);
        let setting = Setting::new(source);
        let buffer = setting.buffer(64 * 4);
        setting.bind(0, &buffer);
        setting.dispatch("f", 1, 64);
        assert_eq!(setting.run(), None);
        // SAFETY: the buffer has so many values, and its commands have ended.
        let values = unsafe { std::slice::from_raw_parts(buffer.contents().cast::<u32>().as_ptr(), 64) };
        values.iter().zip(0..).any(|(&value, t)| value != (t + 1) % 64)
    };
    assert!(is_wrong(0) && is_wrong(1) && is_wrong(2));
}

#[test]
fn a_host_that_does_not_wait_finds_poison() {
    let _seed = with_own_seed();
    let is_early = |seed| {
        metal_emulator::set_seed(seed);
        let setting = Setting::new("kernel void f(device uint *x) { x[0] = 1; }");
        let buffer = setting.buffer(4);
        setting.bind(0, &buffer);
        setting.dispatch("f", 1, 1);
        setting.encoder.end();
        setting.commands.commit();
        // SAFETY: the buffer has one value.
        unsafe { buffer.contents().cast::<u32>().read() != 1 }
    };
    assert!(!is_early(0), "in natural order commands run when they are committed");
    assert!((1..8).any(is_early), "under some seed they do not");
}

#[test]
fn something_written_in_front_of_a_buffer() {
    let source = "kernel void f(device float *x) { x[-1] = 1; }";
    let setting = Setting::new(source);
    setting.bind(0, &setting.buffer(64));
    setting.dispatch("f", 1, 1);
    setting.check(&["kernel `f`", "written in front of buffer"]);
}

#[test]
fn a_write_past_the_end() {
    if is_child() {
        check_fault(
            "kernel void f(device float *x, uint i [[thread_position_in_grid]]) { x[1024 + i] = 1; }",
            1,
            &[],
        );
    }
    let expected = ["kernel `f`, threadgroup (0, 0, 0), thread 0 writes", "0 bytes past the end of buffer"];
    check_death("a_write_past_the_end", &expected);
}

#[test]
fn a_read_before_the_start() {
    if is_child() {
        check_fault("kernel void f(device float *x) { x[0] = x[-4]; }", 1, &[]);
    }
    check_death("a_read_before_the_start", &["reads", "16 bytes before the start of buffer", "4096 bytes"]);
}

#[test]
fn threadgroup_memory_past_its_end() {
    if is_child() {
        let source = "kernel void f(device float *x, constant int &n) { threadgroup float s[16]; s[n] = 1; x[0] = s[n]; }";
        let setting = Setting::new(source);
        setting.bind(0, &setting.buffer(4));
        setting.encoder.bind_bytes(1, &16i32.to_ne_bytes());
        setting.dispatch("f", 1, 1);
        setting.check(&[]);
    }
    check_death("threadgroup_memory_past_its_end", &["writes", "beyond the end of threadgroup memory"]);
}

#[test]
fn contents_of_private_storage() {
    if is_child() {
        let buffer = Device::system().buffer(64, Storage::Private).expect("there is room");
        let _ = buffer.contents();
        return;
    }
    check_death("contents_of_private_storage", &["has private storage"]);
}

#[test]
fn an_encoder_left_open() {
    let setting = Setting::new("kernel void f(device float *x) {}");
    setting.commands.commit();
    setting.commands.wait();
    let error = setting.commands.error().expect("there is a fault");
    assert!(error.contains("an encoder is open"), "{error}");
}
