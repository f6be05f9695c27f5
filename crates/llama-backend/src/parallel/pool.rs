//! Worker threads that share one parallel region at a time and spin between regions.
//!
//! A decode step opens a few hundred regions of some ten microseconds, so waking a sleeping thread for each would
//! cost more than the work: workers spin for a while after a region before they sleep. Invariant: which thread
//! runs which task never changes a result, because tasks share no output. Nested or concurrent regions run on
//! their caller's thread alone, so no region waits for another.

use std::{
    any::Any,
    cell::UnsafeCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::Affinity;

/// How long a worker spins for the next region before it sleeps.
const SPIN: Duration = Duration::from_micros(200);
/// Low bits of the state count the workers that joined; the next bit says that the region is open.
const OPEN: usize = 1 << 15;
const JOINED: usize = OPEN - 1;
const GENERATION: usize = OPEN << 1;

type Task<'a> = dyn Fn(usize) + Sync + 'a;

/// A set of worker threads, and the calling thread.
pub struct Pool {
    shared: Arc<Shared>,
    region: Mutex<()>,
    workers: Vec<Thread>,
    affinity: Affinity,
}

struct Shared {
    /// Generation, open bit and number of joined workers, in one word.
    state: AtomicUsize,
    left: AtomicUsize,
    next_task: AtomicUsize,
    num_asleep: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    job: UnsafeCell<Job>,
}

#[derive(Clone, Copy)]
struct Job {
    task: *const Task<'static>,
    num_tasks: usize,
}

// SAFETY: `job` is written only while no region is open and no worker has joined, and read only by workers that
// joined an open region; `task` points to a `Sync` closure that outlives the region.
unsafe impl Sync for Shared {}
// SAFETY: as above; nothing in it belongs to one thread.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `num_threads` threads, the caller's included, on any processors.
    pub fn new(num_threads: usize) -> Self {
        Self::with_affinity(num_threads, Affinity::default())
    }

    /// A pool whose threads are pinned to processors; the caller's thread, by [`Pool::pin_caller`].
    pub fn with_affinity(num_threads: usize, affinity: Affinity) -> Self {
        fn idle(_: usize) {}
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            next_task: AtomicUsize::new(0),
            num_asleep: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            job: UnsafeCell::new(Job { task: &idle, num_tasks: 0 }),
        });
        let workers = (1..num_threads.clamp(1, JOINED))
            .filter_map(|i| {
                let (shared, affinity) = (shared.clone(), affinity.clone());
                let builder = thread::Builder::new().name(format!("llama-pool-{i}"));
                // A thread that cannot be had leaves its work to the others.
                let handle = builder.spawn(move || {
                    // A thread that cannot be pinned works all the same.
                    affinity.pin(i);
                    shared.work();
                });
                let handle = handle.ok()?;
                Some(handle.thread().clone())
            })
            .collect();
        Self { shared, region: Mutex::new(()), workers, affinity }
    }

    /// The pool that operations use: as many threads as the machine offers, unless [`Pool::set_global`] came first.
    pub fn global() -> &'static Self {
        GLOBAL.get_or_init(|| Self::new(thread::available_parallelism().map_or(1, usize::from)))
    }

    /// Chooses the global pool. Returns the one in force: the first choice, or first use, stands.
    pub fn set_global(num_threads: usize, affinity: Affinity) -> &'static Self {
        GLOBAL.get_or_init(|| Self::with_affinity(num_threads, affinity))
    }

    /// Pins the current thread to the first of the pool's processors, if it has any: the thread that opens regions is
    /// one of those that work in them.
    pub fn pin_caller(&self) {
        self.affinity.pin(0);
    }

    /// Where its threads run.
    pub fn affinity(&self) -> &Affinity {
        &self.affinity
    }

    /// Number of threads, the caller's included.
    pub fn num_threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` once with each number below `num_tasks`, on all threads, and returns when all are done.
    ///
    /// # Panics
    /// With the payload of a task that panicked, after the others ended.
    pub fn for_each(&self, num_tasks: usize, task: &Task<'_>) {
        if num_tasks > 1 && !self.workers.is_empty() {
            match self.region.try_lock() {
                Ok(_guard) => return self.run_region(num_tasks, task),
                Err(TryLockError::Poisoned(_guard)) => return self.run_region(num_tasks, task),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        (0..num_tasks).for_each(task);
    }

    fn run_region(&self, num_tasks: usize, task: &Task<'_>) {
        let shared = &*self.shared;
        shared.open(Job { task: erase_lifetime(task), num_tasks });
        if shared.num_asleep.load(Ordering::SeqCst) > 0 {
            self.workers.iter().for_each(Thread::unpark);
        }
        shared.run_tasks(Job { task: erase_lifetime(task), num_tasks });
        shared.close();
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.workers.iter().for_each(Thread::unpark);
    }
}

static GLOBAL: OnceLock<Pool> = OnceLock::new();

/// Forgets how long a task lives, so that workers may hold it.
fn erase_lifetime<'a>(task: &'a Task<'a>) -> *const Task<'static> {
    // SAFETY: only the lifetime changes; a region ends, and workers let go of the task, before `for_each` returns.
    unsafe { std::mem::transmute::<&'a Task<'a>, &'static Task<'static>>(task) }
}

impl Shared {
    fn open(&self, job: Job) {
        self.left.store(0, Ordering::Relaxed);
        self.next_task.store(0, Ordering::Relaxed);
        // SAFETY: the previous region is closed and its workers have left, so no one reads `job` now.
        unsafe { *self.job.get() = job };
        let generation = self.state.load(Ordering::Relaxed) & !(OPEN | JOINED);
        let open = generation.wrapping_add(GENERATION) | OPEN;
        self.state.store(open, Ordering::SeqCst);
    }

    /// Shuts the door, then waits for those inside.
    fn close(&self) {
        let num_joined = self.state.fetch_and(!OPEN, Ordering::AcqRel) & JOINED;
        let mut num_spins = 0u32;
        while self.left.load(Ordering::Acquire) != num_joined {
            num_spins += 1;
            if num_spins > 10_000 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    /// Takes tasks until there are none. A panic ends this thread's part and is kept for the caller.
    fn run_tasks(&self, job: Job) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let task_idx = self.next_task.fetch_add(1, Ordering::Relaxed);
                if task_idx >= job.num_tasks {
                    return;
                }
                // SAFETY: the region is open or this thread has joined it, so the closure still lives.
                let task = unsafe { &*job.task };
                task(task_idx);
            }
        }));
        if let Err(payload) = outcome {
            let mut panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            panic.get_or_insert(payload);
        }
    }

    fn work(&self) {
        let mut seen = 0;
        while let Some(joined) = self.join_next(seen) {
            // SAFETY: this thread has joined an open region, so `job` is not written until it leaves.
            let job = unsafe { *self.job.get() };
            self.run_tasks(job);
            self.left.fetch_add(1, Ordering::Release);
            seen = joined;
        }
    }

    /// Waits for a region newer than `seen` and joins it; `None` when the pool is gone.
    fn join_next(&self, seen: usize) -> Option<usize> {
        let mut idle_since = None;
        let mut num_spins = 0u32;
        loop {
            let state = self.state.load(Ordering::Acquire);
            let generation = state & !(OPEN | JOINED);
            if state & OPEN != 0 && generation != seen {
                let joined =
                    self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed);
                if joined.is_ok() {
                    return Some(generation);
                }
                continue;
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            std::hint::spin_loop();
            num_spins = num_spins.wrapping_add(1);
            if num_spins.is_multiple_of(256) && idle_since.get_or_insert_with(Instant::now).elapsed() > SPIN {
                self.sleep(seen);
                idle_since = None;
            }
        }
    }

    /// Parks until a region opens. Announces itself first and looks once more, so that no wake-up is lost.
    fn sleep(&self, seen: usize) {
        self.num_asleep.fetch_add(1, Ordering::SeqCst);
        let state = self.state.load(Ordering::SeqCst);
        let is_new = state & OPEN != 0 && state & !(OPEN | JOINED) != seen;
        if !is_new && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        self.num_asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_each_task_once(num_threads: usize, num_tasks: usize) {
        let pool = Pool::new(num_threads);
        let counts: Vec<AtomicUsize> = (0..num_tasks).map(|_| AtomicUsize::new(0)).collect();
        for round in 1..=50 {
            pool.for_each(num_tasks, &|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == round));
        }
    }

    #[test]
    fn runs_each_task_once() {
        for num_threads in [1, 2, 5] {
            for num_tasks in [0, 1, 2, 7, 100] {
                check_each_task_once(num_threads, num_tasks);
            }
        }
    }

    #[test]
    fn wakes_sleeping_workers() {
        let pool = Pool::new(3);
        for _ in 0..5 {
            thread::sleep(4 * SPIN);
            let ran = AtomicUsize::new(0);
            pool.for_each(16, &|_| {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(ran.load(Ordering::Relaxed), 16);
        }
    }

    #[test]
    fn nested_regions_run() {
        let pool = Pool::new(3);
        let ran = AtomicUsize::new(0);
        pool.for_each(4, &|_| {
            pool.for_each(4, &|_| {
                ran.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(ran.load(Ordering::Relaxed), 16);
    }

    #[test]
    fn concurrent_callers_do_not_wait_for_each_other() {
        let pool = Pool::new(2);
        let ran = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.for_each(8, &|_| {
                            ran.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(ran.load(Ordering::Relaxed), 4 * 200 * 8);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(3);
        for _ in 0..10 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.for_each(10, &|i| assert!(i != 5, "task five"));
            }));
            assert!(outcome.is_err());
            check_pool(&pool);
        }
    }

    fn check_pool(pool: &Pool) {
        let ran = AtomicUsize::new(0);
        pool.for_each(9, &|_| {
            ran.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ran.load(Ordering::Relaxed), 9);
    }
}
