//! A running server, and a client that is as simple as HTTP allows.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::OnceLock,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use llama_engine::LlamaEngine;
use llama_runtime::{CandleEngine, EngineOptions, EngineStats};
use llama_server::{Limits, Server, ServerConfig, metrics::Metrics};
use serde_json::Value;
use tokio::{runtime::Runtime, sync::oneshot};

/// A server with an engine of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) engine: CandleEngine,
    pub(crate) runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<JoinHandle<()>>,
}

/// What a server answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The data of its events, without the last one, which says that it is done.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut data: Vec<&str> =
            self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
        assert_eq!(data.pop(), Some("[DONE]"), "{self:?}");
        data.into_iter().map(|event| serde_json::from_str(event).expect("JSON")).collect()
    }

    /// Checks that it is an error in OpenAI's form, with this status and code.
    pub(crate) fn check_error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let error = self.json()["error"].clone();
        assert_eq!(error["code"], code, "{self:?}");
        assert!(error["message"].is_string() && error["type"].is_string(), "{self:?}");
        error
    }
}

impl Running {
    /// A server with these limits and no keys.
    pub(crate) fn with(limits: Limits) -> Self {
        Self::start(ServerConfig { limits, ..ServerConfig::default() }, EngineOptions::default())
    }

    pub(crate) fn start(config: ServerConfig, options: EngineOptions) -> Self {
        Self::over(config, options, |engine| engine)
    }

    /// A server over what `wrap` makes of the engine.
    pub(crate) fn over<E: LlamaEngine + 'static>(
        config: ServerConfig,
        options: EngineOptions,
        wrap: impl FnOnce(CandleEngine) -> E,
    ) -> Self {
        Self::observed(config, options, wrap, |_| {})
    }

    /// The same, whose metrics are handed out before it serves.
    pub(crate) fn observed<E: LlamaEngine + 'static>(
        config: ServerConfig,
        options: EngineOptions,
        wrap: impl FnOnce(CandleEngine) -> E,
        observe: impl FnOnce(&Metrics),
    ) -> Self {
        let runtime = Runtime::new().expect("threads");
        let engine =
            runtime.block_on(CandleEngine::load(bard(), options)).expect("bard is in the repository");
        let config = ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..config };
        let server = runtime.block_on(Server::bind(wrap(engine.clone()), config)).expect("a free port");
        observe(server.metrics());
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = runtime.spawn(server.run(async {
            // Dropped or sent, it is over.
            let _ = stopped.await;
        }));
        let handle = runtime.handle().clone();
        let ended = thread::spawn(move || handle.block_on(serving).expect("the server does not panic"));
        Self { address, engine, runtime, stop: Some(stop), ended: Some(ended) }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(&request(method, path, &body))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, body)
    }

    /// Asks for success.
    pub(crate) fn ok(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null)
    }

    /// Sends bytes as they are, and reads until the server closes.
    pub(crate) fn send(&self, bytes: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        // A server that refuses without reading all may reset the connection after its answer.
        let _ = stream.read_to_end(&mut answer);
        parse(&String::from_utf8(answer).expect("UTF-8"))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
        stream
    }

    pub(crate) fn stats(&self) -> EngineStats {
        self.runtime.block_on(self.engine.stats()).expect("the worker lives")
    }

    /// Waits until the engine does nothing.
    pub(crate) fn check_idle(&self, num_pins: usize) {
        let started = Instant::now();
        loop {
            let stats = self.stats();
            if (stats.num_running, stats.num_waiting, stats.num_queued, stats.num_pins) == (0, 0, 0, num_pins)
            {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "still at work: {stats:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop; returns what tells of its end.
    pub(crate) fn stop(&mut self) -> JoinHandle<()> {
        drop(self.stop.take());
        self.ended.take().expect("stopped once")
    }

    pub(crate) fn context_len(&self) -> usize {
        self.engine.info().context_len
    }
}

pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn parse(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Answer { status, head, body }
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((len, rest)) = body.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).expect("a length");
        text.push_str(rest.get(..len).unwrap_or(rest));
        body = rest.get(len + 2..).unwrap_or("");
    }
    text
}

/// The small model, with a chat template.
fn bard() -> PathBuf {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/bard");
        let copy = tempfile::tempdir().expect("a temporary directory");
        for name in [
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ] {
            std::fs::copy(assets.join(name), copy.path().join(name)).expect("copied");
        }
        let template = "{% for m in messages %}{{ m.role | upper }}.\n{{ m.content }}\n\n{% endfor %}HAMLET.";
        std::fs::write(copy.path().join("chat_template.jinja"), template).expect("written");
        copy
    });
    directory.path().to_owned()
}
