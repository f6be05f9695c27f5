//! [`Cache`]: the folder where downloaded models live.
//!
//! ```text
//! <cache>/<model>/<file>          complete, verified files, and nothing else
//! <cache>/.locks/<model>          held while somebody downloads that model
//! <cache>/.partial/<model>.XXXX/  one unfinished download
//! ```
//!
//! Invariant: a name below `<model>/` stands for content whose hash was checked before the rename
//! that put it there. Looking a model up therefore compares lengths only: hashing a gigabyte at
//! each start would undo lazy loading. A file of another length counts as absent.
//!
//! The lock is the operating system's (it dies with its process), so an unfinished folder whose lock
//! is free belongs to a killed process, and the next download sweeps it away.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{HubError, KnownModel};

const LOCKS: &str = ".locks";
const PARTIAL: &str = ".partial";

/// The folder where downloaded models live.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// An unfinished download: the model's lock, and a folder that vanishes when this is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: TempDir,
    _lock: File,
}

impl Cache {
    /// The cache at `root`, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Cache {
        Cache { root: root.into() }
    }

    /// The user's cache: `LLAMA_RS_CACHE` where set, else `llama-rs` in the platform's cache
    /// directory (`~/.cache` on Linux, `~/Library/Caches` on macOS).
    ///
    /// # Errors
    ///
    /// [`HubError::NoCacheDirectory`] when the platform names none.
    pub fn from_env() -> Result<Cache, HubError> {
        match std::env::var_os("LLAMA_RS_CACHE") {
            Some(root) if !root.is_empty() => Ok(Cache::at(root)),
            _ => {
                let platform = dirs::cache_dir().ok_or(HubError::NoCacheDirectory)?;
                Ok(Cache::at(platform.join("llama-rs")))
            }
        }
    }

    /// The cache's own folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one model, whether or not it exists.
    pub fn folder(&self, model: &KnownModel) -> PathBuf {
        self.root.join(model.name)
    }

    /// The model's `.gguf` file or folder, if every file of it is here with the right length.
    ///
    /// Never downloads, and reads no content: tests use it to find out what they can run on.
    pub fn find(&self, model: &KnownModel) -> Option<PathBuf> {
        let folder = self.folder(model);
        let complete = model.files.iter().all(|file| {
            let found = folder.join(file.name).metadata();
            found.is_ok_and(|found| found.is_file() && found.len() == file.bytes)
        });
        complete.then(|| match model.single_file() {
            Some(file) => folder.join(file.name),
            None => folder,
        })
    }

    /// Locks the model and makes a folder for its download. Calls `waiting` before it blocks on
    /// another process. Sweeps away what killed processes left.
    pub(crate) fn stage(&self, model: &KnownModel, waiting: impl FnOnce()) -> Result<Staging, HubError> {
        let partial = self.root.join(PARTIAL);
        create_folder(&self.root.join(LOCKS))?;
        create_folder(&partial)?;
        let lock = self.lock(model.name, waiting)?;
        self.sweep(model.name, &partial);
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}.", model.name))
            .tempdir_in(&partial)
            .map_err(failed(&partial))?;
        Ok(Staging { folder, _lock: lock })
    }

    /// Moves verified files from a staging folder to their place.
    pub(crate) fn publish(&self, model: &KnownModel, staging: &Staging) -> Result<(), HubError> {
        let folder = self.folder(model);
        create_folder(&folder)?;
        for file in model.files {
            let place = folder.join(file.name);
            fs::rename(staging.path().join(file.name), &place).map_err(failed(&place))?;
        }
        Ok(())
    }

    fn lock(&self, name: &str, waiting: impl FnOnce()) -> Result<File, HubError> {
        let path = self.root.join(LOCKS).join(name);
        let lock = File::create(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                lock.lock().map_err(failed(&path))?;
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
        }
        Ok(lock)
    }

    /// Removes unfinished downloads that nobody is working on: those of `mine`, whose lock the caller
    /// holds, and those of other models whose lock is free. Failing to is no reason to stop.
    fn sweep(&self, mine: &str, partial: &Path) {
        for entry in fs::read_dir(partial).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some((model, _)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
                continue;
            };
            // Held until the folder is gone.
            let lock = if model == mine { None } else { self.try_lock(model) };
            if model == mine || lock.is_some() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn try_lock(&self, name: &str) -> Option<File> {
        let lock = File::create(self.root.join(LOCKS).join(name)).ok()?;
        lock.try_lock().is_ok().then_some(lock)
    }
}

impl Staging {
    /// The folder to download into.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes everything in the folder, so that the next source starts with nothing.
    pub(crate) fn clear(&self) -> Result<(), HubError> {
        let path = self.path();
        fs::remove_dir_all(path).map_err(failed(path))?;
        fs::create_dir(path).map_err(failed(path))
    }
}

fn create_folder(path: &Path) -> Result<(), HubError> {
    fs::create_dir_all(path).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> HubError {
    let path = path.to_owned();
    move |source| HubError::Cache { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::leaked_model;

    fn cache() -> (TempDir, Cache) {
        let root = tempfile::tempdir().expect("makes a folder");
        let cache = Cache::at(root.path());
        (root, cache)
    }

    fn put(cache: &Cache, model: &KnownModel, name: &str, content: &[u8]) {
        fs::create_dir_all(cache.folder(model)).expect("makes the folder");
        fs::write(cache.folder(model).join(name), content).expect("writes");
    }

    #[test]
    fn a_model_is_found_when_all_its_files_have_their_length() {
        let (_root, cache) = cache();
        let model = leaked_model("m", &[("a", b"aaa"), ("b", b"bb")]);
        assert_eq!(cache.find(model), None);
        put(&cache, model, "a", b"aaa");
        assert_eq!(cache.find(model), None);
        put(&cache, model, "b", b"b");
        assert_eq!(cache.find(model), None, "a truncated file counts as absent");
        put(&cache, model, "b", b"bb");
        assert_eq!(cache.find(model), Some(cache.folder(model)));
    }

    #[test]
    fn staging_vanishes_when_dropped() {
        let (root, cache) = cache();
        let model = leaked_model("m", &[("a", b"a")]);
        let staging = cache.stage(model, || panic!("nobody else is here")).expect("stages");
        fs::write(staging.path().join("half"), b"x").expect("writes");
        drop(staging);
        let left = fs::read_dir(root.path().join(PARTIAL)).expect("exists").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn what_killed_processes_left_is_swept_and_what_others_hold_is_not() {
        let (root, cache) = cache();
        let partial = root.path().join(PARTIAL);
        let (mine, busy) = (leaked_model("mine.1", &[]), leaked_model("busy", &[]));
        for left in ["mine.1.dead", "other.dead"] {
            fs::create_dir_all(partial.join(left)).expect("makes a folder");
            fs::write(partial.join(left).join("half"), b"x").expect("writes");
        }
        let held = cache.stage(busy, || ()).expect("stages");
        let _staging = cache.stage(mine, || ()).expect("stages");
        assert!(!partial.join("mine.1.dead").exists());
        assert!(held.path().exists());
        assert!(!partial.join("other.dead").exists());
    }

    #[test]
    fn a_second_download_of_the_same_model_waits() {
        let (_root, cache) = cache();
        let model = leaked_model("m", &[]);
        let first = cache.stage(model, || ()).expect("stages");
        let (told, is_told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| cache.stage(model, || told.send(()).expect("received")));
            is_told.recv().expect("the second says that it waits");
            assert!(!second.is_finished());
            drop(first);
            second.join().expect("no panic").expect("stages");
        });
    }
}
