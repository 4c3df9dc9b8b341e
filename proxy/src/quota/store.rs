//! The place where a fleet counts together: Valkey or Redis. The only file that names its client library.
//!
//! One connection for the process, one round trip for a request, decided by the server's own clock. A store that
//! fails a request once is not asked again until it has answered the proxy's own question: no request waits for a
//! store that is known to be gone, and nobody has to notice that it is back.

use crate::clock;
use crate::config::{QuotaStore, StoreTls};
use aorta_core::limit::{Quota, Ruling};
use arc_swap::{ArcSwapOption, Guard};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, Script};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The store is asked by the proxy itself so often, and when it is gone it is tried so often.
const TURN: Duration = Duration::from_secs(1);
/// It must answer the proxy's own question within this, connection included.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The proxy's own question is a request of a client that nobody is.
const NOBODY: &str = "nobody";

/// Why a question remained without an answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It did not come in time.
    Timeout,
    /// There is no connection, or it broke.
    Connection,
    /// The store refused: it is full, read only, or knows no such user.
    Refused,
}

impl Trouble {
    /// Every one, for zero series at start.
    pub const ALL: [Self; 3] = [Self::Timeout, Self::Connection, Self::Refused];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Refused => "refused",
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Self {
        Self::Connection
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_io_error() || error.is_connection_dropped() {
            Self::Connection
        } else {
            Self::Refused
        }
    }
}

/// The way to the store.
pub struct Store {
    /// Host and port.
    address: (String, u16),
    tls: Option<(TlsConnector, ServerName<'static>)>,
    settings: RedisConnectionInfo,
    prefix: String,
    timeout: Duration,
    script: Script,
    /// While it is trusted.
    connection: ArcSwapOption<MultiplexedConnection>,
    /// It is trusted no more.
    lost: Notify,
    troubles: [AtomicU64; Trouble::ALL.len()],
}

impl Store {
    /// The store of this configuration, not yet asked.
    ///
    /// # Errors
    /// When TLS cannot be spoken.
    pub fn new(config: &QuotaStore) -> anyhow::Result<Self> {
        let mut settings = RedisConnectionInfo::default();
        if !config.username.is_empty() {
            settings = settings.set_username(&config.username);
        }
        if let Some(password) = &config.password {
            settings = settings.set_password(String::from_utf8_lossy(password.expose()));
        }
        Ok(Self {
            address: (config.host.clone(), config.port),
            tls: config.tls.as_ref().map(connector).transpose()?,
            settings,
            prefix: format!("{}:quota:", config.prefix),
            timeout: config.timeout,
            script: Script::new(include_str!("take.lua")),
            connection: ArcSwapOption::empty(),
            lost: Notify::new(),
            troubles: Default::default(),
        })
    }

    /// It answered last time, so it is asked.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.load().is_some()
    }

    /// Questions that remained without an answer, by the reason.
    pub fn troubles(&self) -> impl Iterator<Item = (Trouble, u64)> {
        Trouble::ALL.into_iter().zip(self.troubles.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Whether a client of this route is within its quota; none when the store does not say so in time.
    pub async fn ask(&self, route: &str, client: u128, quota: &Quota) -> Option<Ruling> {
        let connection = self.connection.load_full()?;
        let key = format!("{}{route}:{client:032x}", self.prefix);
        let mut way = MultiplexedConnection::clone(&connection);
        match self.take(&mut way, &key, quota, self.timeout).await {
            Ok(ruling) => Some(ruling),
            Err(trouble) => {
                self.give_up(&connection, trouble);
                None
            }
        }
    }

    /// One round trip.
    async fn take(
        &self,
        way: &mut MultiplexedConnection,
        key: &str,
        quota: &Quota,
        within: Duration,
    ) -> Result<Ruling, Trouble> {
        let nanos = quota.interval_nanos();
        // The server counts in microseconds, with decimals.
        let micros = format!("{}.{:03}", nanos / 1000, nanos % 1000);
        let mut question = self.script.key(key);
        question.arg(micros).arg(quota.burst.get());
        let answer = timeout(within, question.invoke_async::<(u8, u64)>(way)).await;
        match answer.map_err(|_| Trouble::Timeout)?? {
            (0, wait) => Ok(Ruling::Refused { wait: Duration::from_micros(wait) }),
            (_, left) => Ok(Ruling::Allowed { left: u32::try_from(left).unwrap_or(u32::MAX) }),
        }
    }

    fn count(&self, trouble: Trouble) {
        if let Some(count) = self.troubles.get(trouble as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It is not asked any more, unless another connection has come into force meanwhile.
    fn give_up(&self, connection: &Arc<MultiplexedConnection>, trouble: Trouble) {
        self.count(trouble);
        let before = Guard::into_inner(self.connection.compare_and_swap(connection, None));
        if before.is_some_and(|before| Arc::ptr_eq(&before, connection)) {
            tracing::warn!(reason = trouble.name(), "the quota store is lost: this proxy counts alone");
            self.lost.notify_one();
        }
    }

    /// Connects, asks once in a while, and connects again, for as long as the process serves.
    pub async fn keep(&self) {
        let mut said = false;
        loop {
            let began = clock::now();
            match self.connect().await {
                Ok(connection) => {
                    said = false;
                    tracing::info!("the quota store answers: proxies count together");
                    self.watch(Arc::new(connection)).await;
                }
                Err(trouble) => {
                    self.count(trouble);
                    // Said once, not each second.
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(reason = trouble.name(), "the quota store does not answer");
                    }
                }
            }
            tokio::time::sleep_until(clock::instant(began + TURN)).await;
        }
    }

    /// A connection over which a question was answered: by a server that takes writes.
    async fn connect(&self) -> Result<MultiplexedConnection, Trouble> {
        let connecting = timeout(ANSWER_MAX, self.dial());
        let mut connection = connecting.await.map_err(|_| Trouble::Timeout)??;
        self.prove(&mut connection).await?;
        Ok(connection)
    }

    async fn dial(&self) -> Result<MultiplexedConnection, Trouble> {
        let stream = TcpStream::connect((self.address.0.as_str(), self.address.1)).await?;
        // A question is small, and nobody waits for more of them to send with it.
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.greet(stream).await,
            Some((tls, name)) => self.greet(tls.connect(name.clone(), stream).await?).await,
        }
    }

    /// Says who asks; then a task of its own carries questions and answers, for as long as anybody holds the connection.
    async fn greet<S>(&self, stream: S) -> Result<MultiplexedConnection, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::default();
        let (connection, carrying) =
            MultiplexedConnection::new_with_config(&self.settings, stream, config).await?;
        tokio::spawn(carrying);
        Ok(connection)
    }

    async fn prove(&self, way: &mut MultiplexedConnection) -> Result<(), Trouble> {
        let one = NonZeroU32::MIN;
        let quota = Quota { requests: one, per: Duration::from_millis(1), burst: one };
        let key = format!("{}{NOBODY}", self.prefix);
        self.take(way, &key, &quota, ANSWER_MAX).await.map(drop)
    }

    /// Trusts a connection until a question over it fails, a client's or the proxy's own.
    async fn watch(&self, connection: Arc<MultiplexedConnection>) {
        self.connection.store(Some(Arc::clone(&connection)));
        while timeout(TURN, self.lost.notified()).await.is_err() {
            let mut way = MultiplexedConnection::clone(&connection);
            if let Err(trouble) = self.prove(&mut way).await {
                self.give_up(&connection, trouble);
            }
        }
    }
}

fn connector(tls: &StoreTls) -> anyhow::Result<(TlsConnector, ServerName<'static>)> {
    let mut roots = RootCertStore::empty();
    for root in &tls.ca {
        roots.add(root.clone())?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    Ok((TlsConnector::from(Arc::new(config.with_no_client_auth())), tls.server_name.clone()))
}
