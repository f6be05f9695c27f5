//! https: a server behind TLS answers as one without, and one that cannot prove who it is, is not spoken to.

use std::{net::SocketAddr, sync::Arc};

use llama_engine::{EmbedRequest, GenerateRequest, LlamaEngine};
use llama_remote::{ConnectError, RemoteEngine, RemoteEngineBuilder};
use llama_runtime::EngineOptions;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::serving::{Serving, bard};

const AUTHORITY: &[u8] = include_bytes!("../data/tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("../data/tls/server.pem");
const KEY: &[u8] = include_bytes!("../data/tls/server.key");

/// Speaks TLS in front of a server that does not.
struct Front {
    port: u16,
    task: JoinHandle<()>,
}

impl Front {
    async fn start(behind: &str) -> Self {
        let behind: SocketAddr = behind.trim_start_matches("http://").parse().unwrap();
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_slice(KEY).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whoever breaks off here sees it at the other end.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, task }
    }

    fn to(&self, host: &str) -> RemoteEngineBuilder {
        RemoteEngine::builder().endpoint(format!("https://{host}:{}", self.port))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error with everything that led to it.
fn whole(error: ConnectError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_tls_is_the_engine() {
    let local = bard(EngineOptions::default()).await;
    let serving = Serving::start(bard(EngineOptions::default()).await).await;
    let front = Front::start(&serving.url).await;
    let remote = front.to("127.0.0.1").authority(AUTHORITY).connect().await.unwrap();
    let request = || GenerateRequest::new("HAMLET.\nTo be, or").with_max_tokens(24);
    let here = local.generate(request()).await.unwrap().collect().await.unwrap();
    let there = remote.generate(request()).await.unwrap().collect().await.unwrap();
    assert_eq!((here.text, here.tokens), (there.text, there.tokens));
    let texts = || EmbedRequest::new(["To be", "or not to be"]);
    assert_eq!(local.embed(texts()).await.unwrap().vectors, remote.embed(texts()).await.unwrap().vectors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_must_prove_who_it_is() {
    let serving = Serving::start(bard(EngineOptions::default()).await).await;
    let front = Front::start(&serving.url).await;
    let stranger = whole(front.to("127.0.0.1").connect().await.unwrap_err());
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    let other = whole(front.to("localhost").authority(AUTHORITY).connect().await.unwrap_err());
    assert!(other.contains("not valid for name"), "{other}");
    let plain = RemoteEngine::builder().endpoint(serving.url.replace("http:", "https:"));
    let plain = plain.authority(AUTHORITY).connect().await.unwrap_err();
    assert!(matches!(plain, ConnectError::Unreachable { .. }), "{}", whole(plain));
    for (pem, reason) in [(&b"nothing"[..], "no certificate in it"), (KEY, "no certificate in it")] {
        let error = front.to("127.0.0.1").authority(pem).connect().await.unwrap_err();
        assert!(matches!(&error, ConnectError::InvalidAuthority { .. }), "{error}");
        assert!(error.to_string().ends_with(reason), "{error}");
    }
}
