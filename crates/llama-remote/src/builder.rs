//! Says where the servers are, and connects.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use llama_engine::EngineInfo;
use reqwest::{
    Client, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};

use crate::{
    ConnectError, Dialect, HealthPolicy, RemoteEngine, RetryPolicy, Timeouts,
    models::{self, Wanted},
    pool::EndpointPool,
    transport::Transport,
};

/// What a [`RemoteEngine`] shall connect to, and how. Made by [`RemoteEngine::builder`].
#[derive(Clone, Debug, Default)]
pub struct RemoteEngineBuilder {
    endpoints: Vec<String>,
    api_key: Option<ApiKey>,
    #[cfg(feature = "tls")]
    authorities: Vec<Vec<u8>>,
    wanted: Wanted,
    timeouts: Timeouts,
    retry: RetryPolicy,
    health: HealthPolicy,
}

/// A secret: it is sent, and not shown.
#[derive(Clone)]
struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl RemoteEngineBuilder {
    /// Adds a server, such as `http://127.0.0.1:8080`. A path `/v1` at the end is understood. All endpoints must serve the same
    /// model; requests go to them in turn.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push(url.into());
        self
    }

    /// Sent to every endpoint as `Authorization: Bearer`.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(ApiKey(key.into()));
        self
    }

    /// Trusts certificates that these authorities have signed, too, for servers of one's own: certificates in PEM.
    #[cfg(feature = "tls")]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// The model to ask for; the server's first one if absent.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.wanted.model = Some(name.into());
        self
    }

    /// What the server understands; if absent, it is what the server's list of models shows it to be.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.wanted.dialect = Some(dialect);
        self
    }

    /// What the model is, for servers that do not say it. Goes before what they say, but for the name.
    pub fn info(mut self, info: EngineInfo) -> Self {
        self.wanted.info = Some(info);
        self
    }

    /// How long to wait for what.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How often to ask again.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// When an endpoint is left out.
    pub fn health(mut self, health: HealthPolicy) -> Self {
        self.health = health;
        self
    }

    /// Asks the servers what they have. One that answers is enough; the others may come later.
    ///
    /// # Errors
    /// [`ConnectError`], if nobody answers or what they say does not fit.
    pub async fn connect(self) -> Result<RemoteEngine, ConnectError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConnectError::NoRuntime)?;
        if self.endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        let urls = self.endpoints.iter().map(|url| root(url)).collect::<Result<Vec<_>, _>>()?;
        let transport = Transport {
            client: self.client()?,
            pool: EndpointPool::new(urls.len(), self.health.clone()),
            urls,
            retry: self.retry,
            timeouts: self.timeouts,
        };
        let model = models::find(&transport, &self.wanted).await?;
        let transport = Arc::new(transport);
        runtime.spawn(keep_probing(Arc::downgrade(&transport), self.health.probe_interval));
        Ok(RemoteEngine::new(transport, model, runtime))
    }

    fn client(&self) -> Result<Client, ConnectError> {
        let mut headers = HeaderMap::new();
        if let Some(ApiKey(key)) = &self.api_key {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut value = value.map_err(|_| ConnectError::InvalidApiKey)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let builder = Client::builder()
            .default_headers(headers)
            .connect_timeout(self.timeouts.connect)
            // Tells of a peer that is gone without a word, while nothing is sent.
            .tcp_keepalive(Duration::from_secs(20))
            .tcp_nodelay(true)
            // A redirect would carry prompts to somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            // Repeating is decided in one place, which is ours.
            .retry(reqwest::retry::never())
            // The environment changes nothing.
            .no_proxy();
        #[cfg(feature = "tls")]
        let builder = builder.tls_backend_preconfigured(crate::tls::config(&self.authorities)?);
        builder.build().map_err(|error| ConnectError::Client(Box::new(error)))
    }
}

/// The root of a server's address.
fn root(text: &str) -> Result<String, ConnectError> {
    let invalid = |reason: String| ConnectError::InvalidUrl { url: text.to_owned(), reason };
    let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return Err(invalid("https needs the feature `tls`".to_owned())),
        other => return Err(invalid(format!("{other} is neither http nor https"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("a name or a password in the address would be logged".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("a query or a fragment has no place in it".to_owned()));
    }
    let text = url.as_str().trim_end_matches('/');
    Ok(text.strip_suffix("/v1").unwrap_or(text).to_owned())
}

/// Probes endpoints for as long as an engine uses them: those that are out when their time has come, all of them at
/// each interval.
async fn keep_probing(transport: Weak<Transport>, interval: Option<Duration>) {
    const TICK: Duration = Duration::from_millis(250);
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let Some(transport) = transport.upgrade() else { return };
        let now = Instant::now();
        let mut endpoints = transport.pool.due(now);
        if interval.is_some_and(|interval| now - last >= interval) {
            let are_in = transport.pool.are_in();
            endpoints.extend((0..are_in.len()).filter(|&idx| are_in[idx]));
            last = now;
        }
        for endpoint in endpoints {
            transport.probe(endpoint).await;
        }
    }
}
