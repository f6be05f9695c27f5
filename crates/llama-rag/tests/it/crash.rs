//! Index runs that are killed.

use std::{
    ops::Range,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use llama_rag::FolderOptions;

use crate::support::{chunks, open, search, write};

const FOLDER: &str = "LLAMA_RAG_TEST_FOLDER";
const STORE: &str = "LLAMA_RAG_TEST_STORE";

/// The process that is killed: this test again, told by its environment what to index.
#[test]
fn indexes_when_it_is_the_child() {
    let (Ok(folder), Ok(store)) = (std::env::var(FOLDER), std::env::var(STORE)) else {
        assert!(std::env::var(FOLDER).is_err(), "a folder without a store");
        return;
    };
    block_on(open(Path::new(&store)).sync_folder(folder, &FolderOptions::default())).unwrap();
}

/// Runs the child until it ends or the time is over. Returns whether it was killed.
fn run_and_kill(folder: &Path, store: &Path, after: Duration) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::indexes_when_it_is_the_child"])
        .envs([(FOLDER, folder), (STORE, store)])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "the child failed by itself: {status}");
            return false;
        }
        if start.elapsed() >= after {
            // SIGKILL on Unix: no handler, no destructor, no flush.
            child.kill().unwrap();
            return !child.wait().unwrap().success();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn fill(folder: &Path, texts: impl Iterator<Item = (usize, usize)>) {
    for (i, version) in texts {
        let line =
            |j| format!("Line {j} of text {i}, version {version}: the sea, the wind and the ships.\n\n");
        let text: String = (0..20).map(line).collect();
        write(folder, &[(&format!("{}/text-{i}.txt", i % 3), text.as_bytes())]);
    }
}

/// Kills runs until one ends by itself. Returns the number of kills.
fn survive(folder: &Path, store: &Path, longest: Duration, random: &mut u64) -> usize {
    let mut num_kills = 0;
    loop {
        *random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let after = longest.mul_f64((*random >> 40) as f64 / (1u64 << 24) as f64);
        if !run_and_kill(folder, store, after) {
            return num_kills;
        }
        num_kills += 1;
        assert!(num_kills < 200, "killed runs get nowhere");
    }
}

/// What a search finds.
type Found = Vec<(String, f32)>;
/// Every chunk without its id.
type Texts = Vec<(String, Range<usize>, String)>;

/// All there is.
fn look(store: &Path) -> (Found, Texts) {
    let collection = open(store);
    let found = search(&collection, "ships of text 7, line 3", llama_rag::Ranking::Vectors);
    let found = found.into_iter().map(|hit| (hit.chunk.text, hit.score)).collect();
    let texts =
        chunks(&collection).into_iter().map(|chunk| (chunk.source.to_string(), chunk.range, chunk.text));
    (found, texts.collect())
}

#[test]
fn a_killed_run_loses_nothing_and_doubles_nothing() {
    let home = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| home.path().join(name));
    fill(&old, (0..24).map(|i| (i, 0)));
    // Later some texts are others, some are new, and some are gone.
    fill(
        &new,
        (0..24).filter(|i| i % 6 != 1).map(|i| (i, usize::from(i % 2 == 0))).chain((24..30).map(|i| (i, 1))),
    );
    let [undisturbed_old, undisturbed_new] =
        ["undisturbed old", "undisturbed new"].map(|name| home.path().join(name));
    assert!(!run_and_kill(&old, &undisturbed_old, Duration::from_secs(120)));
    let start = Instant::now();
    assert!(!run_and_kill(&new, &undisturbed_new, Duration::from_secs(120)));
    let longest = start.elapsed().mul_f64(0.4);
    let (old_look, new_look) = (look(&undisturbed_old), look(&undisturbed_new));
    let (mut random, mut num_kills) = (11, 0);
    for round in 0..3 {
        let store = home.path().join(format!("store {round}"));
        num_kills += survive(&old, &store, longest, &mut random);
        assert_eq!(look(&store), old_look, "after {num_kills} kills");
        num_kills += survive(&new, &store, longest, &mut random);
        assert_eq!(look(&store).1, new_look.1, "after {num_kills} kills");
    }
    assert!(num_kills >= 12, "{num_kills} kills are too few to prove anything");
}
