//! The accept loop: a bound on connections, a bound on a slow head, and a stop that finishes what is in flight.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::{Config, Limits};
use crate::router;

/// A head beyond this is refused by hyper with 431: the longest honest one (cookies of other local programs) is near 8 KiB.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// A connection takes no new request after this: bounds how long a client that stopped reading can hold its place.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(120);

/// Pause after a failed accept (out of file descriptors): long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The viewer, listening but not yet answering.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    limits: Limits,
}

impl Server {
    /// Takes the address of the configuration; port 0 takes any free one.
    ///
    /// # Errors
    /// The operating system's refusal: address in use, not ours, or not permitted.
    pub async fn bind(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let limits = config.limits.clone();
        Ok(Self { listener, address, router: router::build(config), limits })
    }

    /// The address in use; differs from the configured one when that had port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves, then finishes the requests in flight, for at most `limits.request_time`.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(self.limits.connections as usize));
        let (closing, closing_seen) = watch::channel(false);
        tracing::info!(address = %self.address, "ready");
        tokio::select! {
            () = self.accept(&places, &closing_seen) => {}
            () = stop => {}
        }
        tracing::info!("stopping");
        drop(self.listener);
        closing.send_replace(true);
        // Every connection holds one place until it ends: all places back means all connections done.
        let all = places.acquire_many(self.limits.connections);
        match tokio::time::timeout(self.limits.request_time, all).await {
            Ok(_) => tracing::info!("stopped"),
            Err(_) => tracing::warn!("stopped with requests still in flight"),
        }
    }

    async fn accept(&self, places: &Arc<Semaphore>, closing: &watch::Receiver<bool>) {
        loop {
            // Taken before the accept, so that a client beyond the limit waits in the system's queue and costs nothing.
            let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let connection =
                        serve(stream, self.router.clone(), self.limits.request_time, closing.clone(), place);
                    tokio::spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    router: Router,
    request_time: Duration,
    mut closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay refused");
    }
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(request_time).max_buf_size(HEAD_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        _ = closing.wait_for(|closing| *closing) => {}
        () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    match tokio::time::timeout(request_time, connection).await {
        Ok(ended) => log_end(ended),
        Err(_) => tracing::debug!("connection cut: its client stopped reading"),
    }
}

/// Clients leave in many ways and none is our fault: told at `debug`, without the request's text.
fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
