//! Starting and stopping everything of one region.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError};
use crate::control;
use crate::counters::Counters;
use crate::endpoint::{self, Endpoint, TlsError};
use crate::exchange::{Backend, Gateway};
use crate::function::Pool;

/// Why a region does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be bound.
    #[error("{key}: cannot listen on {address}: {source}")]
    Bind {
        /// `address` or `control`.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The fixed answer cannot be read or its media type is none.
    #[error("answer: {0}")]
    Answer(String),
}

/// A running region.
#[derive(Debug)]
pub struct Region {
    name: String,
    address: SocketAddr,
    control: SocketAddr,
    gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Region {
    /// Starts the function's processes, the endpoint and the control port; returns when all are up.
    ///
    /// # Errors
    /// [`StartError`]. A function that does not come up is no error: the region then answers as AWS would.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let acceptor = endpoint::acceptor(&config.certificate, &config.private_key)?;
        let (listener, address) = bind("address", config.address).await?;
        let (control_listener, control) = bind("control", config.control).await?;
        let counters = Arc::new(Counters::default());
        let backend = backend(&config, &counters).await?;
        let name = config.region.clone();
        let gateway = Arc::new(Gateway::new(config, backend, counters));
        let (stop, stopped) = watch::channel(false);
        let (endpoint, switch) = Endpoint::new(listener, acceptor, Arc::clone(&gateway), stopped.clone())
            .map_err(|source| StartError::Bind { key: "address", address, source })?;
        let mut tasks = JoinSet::new();
        tasks.spawn(endpoint.run());
        tasks.spawn(control::run(control_listener, Arc::clone(&gateway), switch, stopped));
        Ok(Self { name, address, control, gateway, stop, tasks })
    }

    /// Where the endpoint listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the control port listens.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// The line a harness waits for.
    #[must_use]
    pub fn ready_line(&self) -> String {
        format!("ready region={} address={} control={}", self.name, self.address, self.control)
    }

    /// Ends the listeners, then the requests at hand, then the function's processes.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.gateway.stop().await;
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let fail = |source| StartError::Bind { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

async fn backend(config: &Config, counters: &Arc<Counters>) -> Result<Backend, StartError> {
    if let Some(function) = &config.function {
        let pool = Pool::start(function.clone(), &config.region, Arc::clone(counters)).await;
        return Ok(Backend::Function(pool));
    }
    let Some(answer) = &config.answer else {
        return Err(StartError::Answer("neither a function nor an answer".to_owned()));
    };
    let body = std::fs::read(&answer.file)
        .map_err(|error| StartError::Answer(format!("file: {}: {error}", answer.file.display())))?;
    let content_type = HeaderValue::from_str(&answer.content_type)
        .map_err(|_| StartError::Answer("content_type: not a media type".to_owned()))?;
    Ok(Backend::Fixed { body: Bytes::from(body), content_type })
}
