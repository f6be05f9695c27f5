//! What the process says before a fault kills it: the kernel, the threadgroup, and the nearest buffer.
//!
//! Accesses that [`crate::access`] watches for come here first, and go on.
//!
//! All of this runs in a signal handler: it allocates nothing and takes no lock.

use std::ffi::{CStr, c_int, c_void};
use std::fmt::{self, Write};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use msl::Progress;

use crate::access::{self, Kind};
use crate::workspace::Workspace;

/// Buffers that can be told apart; more than these are not named.
const NUM_PLACES: usize = 1 << 14;

static PLACES: [Place; NUM_PLACES] = [const { Place::empty() }; NUM_PLACES];
static NEXT_PLACE: AtomicUsize = AtomicUsize::new(0);
static KERNEL: AtomicPtr<i8> = AtomicPtr::new(ptr::null_mut());
static PROGRESS: AtomicPtr<Progress> = AtomicPtr::new(ptr::null_mut());

struct Place {
    id: AtomicUsize,
    start: AtomicUsize,
    num_bytes: AtomicUsize,
}

impl Place {
    const fn empty() -> Place {
        Place { id: AtomicUsize::new(0), start: AtomicUsize::new(0), num_bytes: AtomicUsize::new(0) }
    }
}

/// A buffer that the handler knows, for as long as this lives.
pub(crate) struct Registration(Option<&'static Place>);

impl Registration {
    /// Makes a buffer known.
    pub(crate) fn new(id: usize, start: usize, num_bytes: usize) -> Registration {
        let first = NEXT_PLACE.fetch_add(1, Ordering::Relaxed);
        let places = (0..NUM_PLACES).map(|i| &PLACES[(first + i) % NUM_PLACES]);
        let claim =
            |place: &&Place| place.id.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let place = places.into_iter().find(claim);
        if let Some(place) = place {
            place.num_bytes.store(num_bytes, Ordering::Relaxed);
            place.start.store(start, Ordering::Relaxed);
        }
        Registration(place)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.start.store(0, Ordering::Relaxed);
            place.id.store(0, Ordering::Relaxed);
        }
    }
}

/// Says what runs, for as long as this lives.
pub(crate) struct Running;

impl Running {
    /// `name` and `progress` must outlive this.
    pub(crate) fn new(name: &CStr, progress: &Progress) -> Running {
        install();
        KERNEL.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
        PROGRESS.store(ptr::from_ref(progress).cast_mut(), Ordering::Relaxed);
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        KERNEL.store(ptr::null_mut(), Ordering::Relaxed);
        PROGRESS.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// Puts the handler in place, once for the process, and gives this thread a stack for it.
fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: all-zero is a value of this type.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: the handler has the signature that these flags ask for, and is safe in a signal.
            unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
        }
    });
    thread_local! {
        static STACK: SignalStack = SignalStack::new();
    }
    STACK.with(|_| ());
}

/// A stack for the handler: those of kernels may be what has run out.
struct SignalStack {
    _memory: Box<[u8]>,
}

impl SignalStack {
    fn new() -> SignalStack {
        let mut memory = vec![0u8; 64 * 1024].into_boxed_slice();
        let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
        // SAFETY: the memory lives as long as the thread.
        unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
        SignalStack { _memory: memory }
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: this takes the memory out of use before it goes.
        unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes valid information.
    let info = unsafe { &*info };
    // SAFETY: for these signals it has an address.
    let address = unsafe { info.si_addr() }.addr();
    let kind = kind_of_access(context);
    if access::observe(address, kind) {
        return;
    }
    report(signal, address, kind);
    // SAFETY: the default action is to die; the access is repeated, and does.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn kind_of_access(context: *mut c_void) -> Kind {
    const IS_WRITE: i64 = 2;
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the system passes the context of the thread that was interrupted.
    let error = unsafe { (*context).uc_mcontext.gregs[libc::REG_ERR as usize] };
    if error & IS_WRITE == 0 { Kind::Read } else { Kind::Write }
}

fn report(signal: c_int, address: usize, kind: Kind) {
    let mut line = Line::default();
    // A line that does not fit is cut; there is nobody to tell.
    let _ = describe(&mut line, signal, address, kind);
    // SAFETY: these bytes are initialised; writing to standard error is safe in a signal.
    unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.length) };
}

fn describe(line: &mut Line, signal: c_int, address: usize, kind: Kind) -> fmt::Result {
    write!(line, "\nmetal-emulator: signal {signal}: ")?;
    let kernel = KERNEL.load(Ordering::Relaxed);
    let progress = PROGRESS.load(Ordering::Relaxed);
    if kernel.is_null() || progress.is_null() {
        line.write_str("outside a kernel")?;
    } else {
        // SAFETY: `Running` keeps a C string there while the pointer is not null.
        let name = unsafe { CStr::from_ptr(kernel) };
        // SAFETY: `Running` keeps it there while the pointer is not null; numbers may be half-written.
        let Progress { group, thread } = unsafe { progress.read_volatile() };
        line.write_str("kernel `")?;
        for &byte in name.to_bytes() {
            line.write_char(char::from(byte))?;
        }
        write!(line, "`, threadgroup ({}, {}, {}), thread {thread}", group[0], group[1], group[2])?;
    }
    let verb = if kind == Kind::Write { "writes" } else { "reads" };
    write!(line, " {verb} address {address:#x}, ")?;
    describe_place(line, address)?;
    line.write_char('\n')
}

fn describe_place(line: &mut Line, address: usize) -> fmt::Result {
    if let Some(place) = Workspace::shared().describe(address) {
        return line.write_str(place);
    }
    let distance = |place: &&Place| {
        let start = place.start.load(Ordering::Relaxed);
        let end = start + place.num_bytes.load(Ordering::Relaxed);
        if address < start { start - address } else { (address + 1).saturating_sub(end) }
    };
    let known = PLACES.iter().filter(|place| place.start.load(Ordering::Relaxed) != 0);
    let Some(nearest) = known.min_by_key(distance) else { return line.write_str("near no buffer") };
    let (id, start) = (nearest.id.load(Ordering::Relaxed), nearest.start.load(Ordering::Relaxed));
    let num_bytes = nearest.num_bytes.load(Ordering::Relaxed);
    let end = start + num_bytes;
    if address < start {
        write!(line, "{} bytes before the start of buffer {id} ({num_bytes} bytes)", start - address)
    } else if address >= end {
        write!(line, "{} bytes past the end of buffer {id} ({num_bytes} bytes)", address - end)
    } else {
        write!(line, "at byte {} of buffer {id} ({num_bytes} bytes)", address - start)
    }
}

/// Text without an allocation.
struct Line {
    bytes: [u8; 512],
    length: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { bytes: [0; 512], length: 0 }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}
