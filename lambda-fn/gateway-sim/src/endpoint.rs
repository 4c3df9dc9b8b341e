//! The TLS listener and its connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::exchange::{Gateway, Peer};
use crate::wire::{End, Wire};

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests at hand may take when the region stops.
const GRACE: Duration = Duration::from_secs(1);
/// A descriptor shortage passes; spinning on it would not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Above the gateway's 10,240 bytes, so that its own answer is heard and not the HTTP library's.
const HEADER_LIST_BYTES_MAX: u32 = 256 * 1024;

/// Why the certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A PEM file is missing or is not one.
    #[error("{0}: {1}")]
    Pem(String, rustls_pki_types::pem::Error),
    /// The key does not fit, or the provider refuses it.
    #[error("certificate and private_key: {0}")]
    Unusable(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with one certificate for every name, HTTP/2 and HTTP/1.1 on offer.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn acceptor(certificate: &Path, private_key: &Path) -> Result<TlsAcceptor, TlsError> {
    let pem = |path: &Path, error| TlsError::Pem(path.display().to_string(), error);
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| pem(certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| pem(private_key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct Command {
    listen: bool,
    cut_live: bool,
    done: oneshot::Sender<io::Result<()>>,
}

/// Opens and closes the listener of a running endpoint.
#[derive(Debug, Clone)]
pub struct Switch(mpsc::Sender<Command>);

impl Switch {
    /// Listens or does not; returns when it is so. `cut_live` resets the open connections as well.
    ///
    /// # Errors
    /// The address cannot be bound again, or the endpoint has stopped.
    pub async fn set(&self, listen: bool, cut_live: bool) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.0.send(Command { listen, cut_live, done }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// A listener that accepts for a gateway.
pub struct Endpoint {
    address: SocketAddr,
    listener: Option<TcpListener>,
    commands: mpsc::Receiver<Command>,
    acceptor: TlsAcceptor,
    gateway: Arc<Gateway>,
    stop: watch::Receiver<bool>,
    cut: watch::Sender<u64>,
}

impl Endpoint {
    /// An endpoint on a bound listener, and the switch for it.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn new(
        listener: TcpListener,
        acceptor: TlsAcceptor,
        gateway: Arc<Gateway>,
        stop: watch::Receiver<bool>,
    ) -> io::Result<(Self, Switch)> {
        let (sender, commands) = mpsc::channel(1);
        let address = listener.local_addr()?;
        let cut = watch::channel(0).0;
        let endpoint = Self { address, listener: Some(listener), commands, acceptor, gateway, stop, cut };
        Ok((endpoint, Switch(sender)))
    }

    /// Accepts until the region stops, then gives the requests at hand a second.
    pub async fn run(mut self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = accept(self.listener.as_ref()) => match accepted {
                    Ok((stream, peer)) => {
                        self.gateway.counters.connection();
                        connections.spawn(self.connection(stream, peer));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(command) = self.commands.recv() => self.obey(command).await,
                Some(_) = connections.join_next() => {}
                () = stopped(&mut self.stop) => break,
            }
        }
        self.listener = None;
        while connections.join_next().await.is_some() {}
    }

    async fn obey(&mut self, command: Command) {
        let result = match (command.listen, &self.listener) {
            (false, _) => {
                self.listener = None;
                Ok(())
            }
            (true, Some(_)) => Ok(()),
            (true, None) => {
                TcpListener::bind(self.address).await.map(|listener| self.listener = Some(listener))
            }
        };
        if command.cut_live {
            self.cut.send_modify(|cuts| *cuts += 1);
        }
        let _ = command.done.send(result);
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + use<> {
        let acceptor = self.acceptor.clone();
        let gateway = Arc::clone(&self.gateway);
        let mut stop = self.stop.clone();
        let mut cut = self.cut.subscribe();
        async move {
            let _ = stream.set_nodelay(true);
            let accepted = tokio::select! {
                accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => accepted,
                () = stopped(&mut stop) => return,
            };
            let stream = match accepted {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, "the TLS handshake failed"),
                Err(_) => return tracing::debug!("the TLS handshake took too long"),
            };
            let wire = Wire::new(stream);
            let peer = Peer { address: peer.ip(), http2: wire.is_http2(), saboteur: wire.saboteur() };
            let saboteur = wire.saboteur();
            let mut served = pin!(serve(TokioIo::new(wire), gateway, peer, stop));
            tokio::select! {
                () = &mut served => {}
                Ok(()) = cut.changed() => {
                    saboteur.end(End::Reset);
                    served.await;
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the region is gone, which is the same.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn serve<I>(stream: I, gateway: Arc<Gateway>, peer: Peer, mut stop: watch::Receiver<bool>)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let http2 = peer.http2;
    let peer = Arc::new(peer);
    let service = service_fn(move |request| {
        let (gateway, peer) = (Arc::clone(&gateway), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(gateway.answer(request, &peer).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_LIST_BYTES_MAX);
    let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    let mut connection = pin!(builder.serve_connection(stream, service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
