//! [`HubSource`]: the Hugging Face hub, through hf-hub.
//!
//! Looks into the machine's own Hugging Face cache first, which is free and works offline. hf-hub
//! knows no time-outs, so a probe comes before the first request, and each download runs on a thread
//! of its own that is given up when nothing has arrived for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};

use super::{Request, Source, probe};
use crate::{FetchEvent, HubRepo, KnownModel, ModelFile, Origin, SourceError};

const OFFLINE: &str = "HF_HUB_OFFLINE";
const PROXIES: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// hf-hub's working folder inside the request's folder.
const WORKING: &str = ".hub";

/// The Hugging Face hub.
#[derive(Debug, Clone)]
pub struct HubSource {
    access: Access,
    endpoint: Option<String>,
    machine_cache: PathBuf,
    connect_limit: Duration,
    stall_limit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Requests go out directly, so a probe tells whether they can.
    Direct,
    /// Requests go through a proxy that only hf-hub knows how to speak to.
    Proxied,
    /// The user forbade requests.
    Offline,
}

/// What the download thread says.
enum Message {
    Bytes(u64),
    Ended(Result<PathBuf, ApiError>),
}

struct Reporter(Sender<Message>);

impl HubSource {
    /// The hub as the environment describes it: `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_HOME` and the
    /// proxy variables.
    pub fn from_env() -> HubSource {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let offline = std::env::var(OFFLINE).is_ok_and(|value| is_true(&value));
        let access = match (offline, PROXIES.into_iter().any(is_set)) {
            (true, _) => Access::Offline,
            (false, true) => Access::Proxied,
            (false, false) => Access::Direct,
        };
        HubSource {
            access,
            endpoint: std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty()),
            machine_cache: hf_hub::Cache::from_env().path().clone(),
            connect_limit: Duration::from_secs(4),
            stall_limit: Duration::from_secs(30),
        }
    }

    fn download(
        &self,
        hub: HubRepo,
        file: &ModelFile,
        request: &Request<'_>,
        arrived_bytes: u64,
    ) -> Result<(), SourceError> {
        let working = request.folder.join(WORKING);
        let repo = self.open(hub, &working)?;
        if self.access == Access::Direct {
            probe::reach(&repo.url(file.hub_path), self.connect_limit)?;
        }
        let (sender, receiver) = mpsc::channel();
        let hub_path = file.hub_path;
        thread::spawn(move || {
            let ended = repo.download_with_progress(hub_path, Reporter(sender.clone()));
            // The receiver is gone when this download was given up.
            let _ = sender.send(Message::Ended(ended));
        });
        let report = |bytes| request.progress.report(FetchEvent::Received { bytes: arrived_bytes + bytes });
        let pointer = self.wait(&receiver, report)?;
        place(&pointer, &request.folder.join(file.name))
    }

    fn open(&self, hub: HubRepo, working: &Path) -> Result<ApiRepo, SourceError> {
        let mut builder = ApiBuilder::from_env().with_progress(false).with_cache_dir(working.to_owned());
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let api = builder.build().map_err(|error| SourceError::Hub(Box::new(error)))?;
        Ok(api.repo(pinned(hub)))
    }

    /// Passes progress on until the download ends or stands still.
    fn wait(&self, receiver: &Receiver<Message>, report: impl Fn(u64)) -> Result<PathBuf, SourceError> {
        let mut received_bytes = 0;
        loop {
            match receiver.recv_timeout(self.stall_limit) {
                Ok(Message::Bytes(bytes)) => {
                    received_bytes += bytes;
                    report(received_bytes);
                }
                Ok(Message::Ended(ended)) => {
                    return ended.map_err(|error| SourceError::Hub(Box::new(error)));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(SourceError::Stalled { limit: self.stall_limit, received_bytes });
                }
            }
        }
    }

    /// The file in the machine's Hugging Face cache, if some other program put it there.
    fn cached(&self, hub: HubRepo, file: &ModelFile) -> Option<PathBuf> {
        let cache = hf_hub::Cache::new(self.machine_cache.clone());
        let path = cache.repo(pinned(hub)).pointer_path(hub.revision).join(file.hub_path);
        path.is_file().then_some(path)
    }
}

impl Source for HubSource {
    fn describe(&self, model: &KnownModel) -> String {
        let id = repo_of(model).map_or("no repository", |hub| hub.id);
        format!("the Hugging Face hub ({id})")
    }

    fn offers(&self, model: &KnownModel) -> bool {
        repo_of(model).is_some()
    }

    fn fetch(&self, request: &Request<'_>) -> Result<(), SourceError> {
        let Some(hub) = repo_of(request.model) else {
            return Ok(());
        };
        let mut arrived_bytes = 0;
        for file in request.model.files {
            let place = request.folder.join(file.name);
            match self.cached(hub, file) {
                Some(cached) => {
                    fs::copy(cached, &place).map_err(|source| SourceError::Io { path: place, source })?;
                }
                None if self.access == Access::Offline => {
                    return Err(SourceError::SwitchedOff { variable: OFFLINE });
                }
                None => self.download(hub, file, request, arrived_bytes)?,
            }
            arrived_bytes += file.bytes;
            request.progress.report(FetchEvent::Received { bytes: arrived_bytes });
        }
        Ok(())
    }
}

impl hf_hub::api::Progress for Reporter {
    fn init(&mut self, _: usize, _: &str) {}

    fn update(&mut self, bytes: usize) {
        let _ = self.0.send(Message::Bytes(bytes as u64));
    }

    fn finish(&mut self) {}
}

fn repo_of(model: &KnownModel) -> Option<HubRepo> {
    match model.origin {
        Origin::Download { hub, .. } => hub,
        Origin::Bundled => None,
    }
}

fn pinned(hub: HubRepo) -> Repo {
    Repo::with_revision(hub.id.to_owned(), RepoType::Model, hub.revision.to_owned())
}

/// The spellings of "yes" that Hugging Face's own tools accept.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

/// Moves the file that hf-hub's link points to.
fn place(pointer: &Path, place: &Path) -> Result<(), SourceError> {
    let moved = pointer.canonicalize().and_then(|blob| fs::rename(blob, place));
    moved.map_err(|source| SourceError::Io { path: place.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoProgress, digest, test_support};
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use tempfile::TempDir;

    const CONTENT: &[u8] = b"precious weights";

    /// How a scripted hub answers the request for the content.
    #[derive(Clone, Copy)]
    enum Script {
        Whole,
        Truncated,
        Silent,
        Refused,
    }

    /// A hub on this machine that serves one file, and the source that asks it.
    fn hub(script: Script) -> (TempDir, HubSource) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                thread::spawn(move || answer(connection, script));
            }
        });
        let folder = tempfile::tempdir().expect("makes a folder");
        let source = HubSource {
            access: Access::Direct,
            endpoint: Some(endpoint),
            machine_cache: folder.path().join("machine"),
            connect_limit: Duration::from_secs(2),
            stall_limit: Duration::from_millis(500),
        };
        (folder, source)
    }

    fn answer(mut connection: TcpStream, script: Script) {
        let mut range = String::new();
        for line in BufReader::new(&connection).lines().map_while(Result::ok) {
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("range: bytes=") {
                range = value.to_owned();
            }
        }
        let asks_for_length = range == "0-0";
        let body = if asks_for_length { &CONTENT[..1] } else { CONTENT };
        let status = if matches!(script, Script::Refused) { "404 Not Found" } else { "206 Partial Content" };
        let sent = match script {
            _ if asks_for_length => body,
            Script::Truncated | Script::Silent => &body[..4],
            Script::Whole | Script::Refused => body,
        };
        let total = CONTENT.len();
        let _ = write!(
            connection,
            "HTTP/1.1 {status}\r\nx-repo-commit: abc\r\netag: \"e\"\r\ncontent-range: bytes {range}/{total}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = connection.write_all(sent);
        if matches!(script, Script::Silent) && !asks_for_length {
            thread::sleep(Duration::from_secs(3));
        }
    }

    fn fetch(folder: &TempDir, source: &HubSource) -> Result<(), SourceError> {
        let model = test_support::leaked_hub_model("m", &[("weights", CONTENT)]);
        let request = Request { model, folder: folder.path(), progress: &NoProgress };
        source.fetch(&request)?;
        digest::verify(&folder.path().join("weights"), &model.files[0])
    }

    #[test]
    fn a_file_arrives_whole() {
        let (folder, source) = hub(Script::Whole);
        fetch(&folder, &source).expect("the hub answers");
    }

    #[test]
    fn a_broken_transfer_is_a_failure() {
        let (folder, source) = hub(Script::Truncated);
        let error = fetch(&folder, &source).expect_err("the connection closes early");
        assert!(matches!(error, SourceError::Hub(_)), "{error:?}");
    }

    #[test]
    fn a_silent_hub_is_given_up() {
        let (folder, source) = hub(Script::Silent);
        let error = fetch(&folder, &source).expect_err("nothing comes");
        assert!(matches!(error, SourceError::Stalled { received_bytes: 4, .. }), "{error:?}");
    }

    #[test]
    fn a_missing_file_is_a_failure() {
        let (folder, source) = hub(Script::Refused);
        let error = fetch(&folder, &source).expect_err("404");
        assert!(matches!(error, SourceError::Hub(_)), "{error:?}");
    }

    #[test]
    fn offline_nothing_is_sent_but_the_machine_cache_still_serves() {
        let (folder, mut source) = hub(Script::Whole);
        source.access = Access::Offline;
        let error = fetch(&folder, &source).expect_err("forbidden");
        assert!(matches!(error, SourceError::SwitchedOff { variable: OFFLINE }), "{error:?}");

        let snapshot = source.machine_cache.join("models--owner--name/snapshots/abc");
        fs::create_dir_all(&snapshot).expect("makes a folder");
        fs::write(snapshot.join("weights"), CONTENT).expect("writes");
        fetch(&folder, &source).expect("it is on this machine");
    }

    #[test]
    fn yes_has_four_spellings() {
        for value in ["1", "on", "Yes", "TRUE"] {
            assert!(is_true(value), "{value}");
        }
        for value in ["", "0", "no", "false"] {
            assert!(!is_true(value), "{value}");
        }
    }
}
