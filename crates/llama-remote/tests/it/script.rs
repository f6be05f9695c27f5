//! A server that does what a test says, byte by byte: the faults of networks and of other people's servers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the server does next on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(String),
    /// Waits.
    Wait(Duration),
    /// Says nothing more, and waits until the client is gone.
    Hang,
    /// Closes the connection with a reset, once the client has had time to read what came before.
    Reset,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

type Plan = dyn Fn(&Asked, usize) -> Vec<Step> + Send + Sync;

/// A server that follows a plan: what it does with each request, by the request and its number.
pub(crate) struct ScriptedServer {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    num_hung_up: Arc<AtomicUsize>,
    num_connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl ScriptedServer {
    pub(crate) async fn start(plan: impl Fn(&Asked, usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", plan).await
    }

    pub(crate) async fn start_at(
        address: &str,
        plan: impl Fn(&Asked, usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (asked, num_hung_up) = (Arc::default(), Arc::default());
        let state = (Arc::clone(&asked), Arc::clone(&num_hung_up));
        let plan: Arc<Plan> = Arc::new(plan);
        let num_connections = Arc::new(AtomicUsize::new(0));
        let counter = num_connections.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                // Otherwise parts would wait for each other, and a reset would overtake them.
                connection.set_nodelay(true).expect("it is a socket");
                connections.spawn(serve(connection, plan.clone(), state.clone()));
            }
        });
        Self { url, asked, num_hung_up, num_connections, task }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic under the lock").clone()
    }

    /// Requests for this path.
    pub(crate) fn num_asked(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line.ends_with(path)).count()
    }

    /// Connections that clients have opened.
    pub(crate) fn num_connections(&self) -> usize {
        self.num_connections.load(Ordering::SeqCst)
    }

    /// Closes everything, and frees the port.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // It ends by being cancelled.
        let _ = (&mut self.task).await;
    }

    /// Waits until so many clients have left before their answer was whole.
    pub(crate) async fn has_been_hung_up_on(&self, times: usize) {
        let waiting = async {
            while self.num_hung_up.load(Ordering::SeqCst) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the client leaves");
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type State = (Arc<Mutex<Vec<Asked>>>, Arc<AtomicUsize>);

async fn serve(mut connection: TcpStream, plan: Arc<Plan>, (all, num_hung_up): State) {
    while let Some(asked) = read(&mut connection).await {
        let number = {
            let mut all = all.lock().expect("no panic under the lock");
            all.push(asked.clone());
            all.len() - 1
        };
        for step in plan(&asked, number) {
            match step {
                Step::Send(text) => {
                    if connection.write_all(text.as_bytes()).await.is_err() {
                        num_hung_up.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Hang => {
                    let mut byte = [0];
                    while connection.read(&mut byte).await.is_ok_and(|num_bytes| num_bytes > 0) {}
                    num_hung_up.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Step::Reset => {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    let _ = connection.set_zero_linger();
                    return;
                }
            }
        }
    }
}

/// Reads one request with a `Content-Length`, or none.
async fn read(connection: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if connection.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let length = |line: &str| line.strip_prefix("content-length: ").and_then(|value| value.parse().ok());
    let body_len: usize = head.lines().find_map(length).unwrap_or(0);
    while bytes.len() < head_end + body_len {
        if connection.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let (line, headers) = head.split_once("\r\n")?;
    let line = line.strip_suffix(" HTTP/1.1")?.to_owned();
    Some(Asked {
        line,
        headers: headers.to_owned(),
        body: String::from_utf8(bytes[head_end..].to_vec()).ok()?,
    })
}

/// A whole answer in JSON.
pub(crate) fn json(status: &str, body: &str) -> Vec<Step> {
    json_with(status, "", body)
}

/// A whole answer in JSON, with further header lines.
pub(crate) fn json_with(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![Step::Send(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    ))]
}

/// The head of a stream of events.
pub(crate) fn events_head() -> Step {
    Step::Send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
    )
}

/// Bytes of the body of a stream.
pub(crate) fn part(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// The end of the body.
pub(crate) fn end() -> Step {
    Step::Send("0\r\n\r\n".to_owned())
}
