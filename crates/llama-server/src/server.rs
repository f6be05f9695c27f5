//! Listening, serving connections, and stopping without cutting anyone off.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use llama_engine::LlamaEngine;
use tokio::{
    net::{TcpListener, TcpStream},
    pin, select,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use crate::{ServerConfig, metrics::Metrics, routes, socket::PatientSocket, state::App};

/// A server that listens. Needs a tokio runtime with time and IO.
pub struct Server<E> {
    listener: TcpListener,
    address: SocketAddr,
    app: App<E>,
}

impl<E: LlamaEngine + 'static> Server<E> {
    /// Listens at the configured address; port 0 takes a free one.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(engine: E, config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.address).await?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() && config.keys.is_empty() {
            tracing::warn!(%address, "whoever reaches this address may ask: no keys are configured");
        }
        Ok(Self { listener, address, app: App::new(engine, config) })
    }

    /// What it measures, which it also shows at `/metrics`.
    pub fn metrics(&self) -> &Metrics {
        &self.app.metrics
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is over. Then nobody new is let in, running answers may end within
    /// [`Limits::drain_timeout`](crate::Limits::drain_timeout), and what is left after that is cut off.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let limits = &self.app.config.limits;
        let (client_timeout, drain_timeout) = (limits.client_timeout, limits.drain_timeout);
        let places = Arc::new(Semaphore::new(limits.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        let router = routes::of(self.app.clone());
        let (stopping, is_stopping) = watch::channel(());
        let mut connections = JoinSet::new();
        pin!(stop);
        loop {
            let accepted = select! {
                () = &mut stop => break,
                accepted = accept(&self.listener, &places) => accepted,
                // Ended ones are let go as they end.
                Some(_) = connections.join_next() => continue,
            };
            let (stream, place) = accepted;
            let connection = Connection { stream, router: router.clone(), client_timeout, place };
            connections.spawn(connection.serve(is_stopping.clone()));
        }
        self.app.stop();
        drop(self.listener);
        // Nobody listens if there are no connections.
        let _ = stopping.send(());
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain_timeout, drained).await.is_err() {
            tracing::warn!(connections = connections.len(), "cut off what did not end in time");
            connections.shutdown().await;
        }
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                // Out of file descriptors, mostly: connections that end will give some back.
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    router: Router,
    client_timeout: Duration,
    place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Serves its requests until the client leaves, or until the one running when the server stops.
    async fn serve(self, mut is_stopping: watch::Receiver<()>) {
        let _place = self.place;
        // Tokens are small and shall not wait for each other.
        if self.stream.set_nodelay(true).is_err() {
            return;
        }
        let socket = TokioIo::new(PatientSocket::new(self.stream, self.client_timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.client_timeout)
            .serve_connection(socket, TowerToHyperService::new(self.router));
        pin!(connection);
        let outcome = select! {
            outcome = &mut connection => outcome,
            _ = is_stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}
