//! How a server is set up: plain data.

use std::{fmt, net::SocketAddr, time::Duration};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Configuration of [`crate::Server`].
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen. The loopback interface unless asked otherwise.
    pub address: SocketAddr,
    /// Who may ask; anyone who reaches the address if empty.
    pub keys: Vec<ApiKey>,
    /// Origins whose web pages may ask; none if empty.
    pub cors_origins: Vec<String>,
    /// What one client may take.
    pub limits: Limits,
}

impl Default for ServerConfig {
    /// Port 8080 of the loopback interface, without keys.
    fn default() -> Self {
        Self {
            address: ([127, 0, 0, 1], 8080).into(),
            keys: Vec::new(),
            cors_origins: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What one client may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// Tokens of a prompt: of its texts, without what a chat template adds.
    pub max_prompt_tokens: usize,
    /// Tokens of an answer.
    pub max_tokens: usize,
    /// Time from a request's arrival to the end of its answer.
    pub max_time: Duration,
    /// Answers to one request: prompts times `n`, or texts to embed.
    pub max_answers: usize,
    /// Answers that are made at the same time.
    pub max_running: usize,
    /// Requests that wait for others to end.
    pub max_waiting: usize,
    /// Contexts that are kept for all clients together.
    pub max_contexts: usize,
    /// Connections.
    pub max_connections: usize,
    /// Time in which a client has to send a request's header, then its body, and to take what has been written.
    pub client_timeout: Duration,
    /// Time that running answers have to end when the server stops.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 4 << 20,
            max_prompt_tokens: 1 << 20,
            max_tokens: 1 << 20,
            max_time: Duration::from_secs(600),
            max_answers: 256,
            max_running: 64,
            max_waiting: 256,
            max_contexts: 64,
            max_connections: 1024,
            client_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// A key that clients show. Only its hash is kept, so that neither its length nor its text can be read off a comparison or a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiKey([u8; 32]);

impl ApiKey {
    /// The key with this text.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether they are the same, in a time that does not depend on where they differ.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}
