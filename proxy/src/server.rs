//! Puts the process together: listeners, admin, background work, and the way it stops.

use crate::admin::Admin;
use crate::audit::Audit;
use crate::buffers::Buffers;
use crate::check;
use crate::clock;
use crate::conditions::Conditions;
use crate::config::Config;
use crate::handover::{Heir, Inherited, Program};
use crate::keeper;
use crate::life;
use crate::limits;
use crate::listener;
use crate::log_level::LogLevel;
use crate::metrics::Metrics;
use crate::notify;
use crate::quota::Quotas;
use crate::quota::store::Store;
use crate::reload::Reloads;
use crate::resolver::Resolver;
use crate::service::Proxy;
use crate::snapshot::Snapshot;
use crate::spans::otlp::Collector;
use crate::spans::{Counts, Message, Spans};
use crate::state_dir::StateDir;
use crate::stop::Stop;
use crate::tape::Tape;
use crate::tls::Certificates;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// HTTP/2 connections kept to all upstreams together, for each thread.
const IDLE_CONNECTIONS: usize = 512;
/// Idle upstream connections are looked at this often.
const SWEEP: Duration = Duration::from_secs(2);
/// A new process must listen within this.
const START_MAX: Duration = Duration::from_secs(10);

/// Runs until a signal ends it.
///
/// # Errors
/// When the configuration cannot be brought into force, or an address cannot be bound.
pub fn run(
    (config, reloads): (Config, Reloads),
    level: LogLevel,
    program: Program,
    mut inherited: Inherited,
    tape: Option<&Path>,
) -> anyhow::Result<()> {
    limits::set(&config);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A connection and what it asks of upstreams stay on one thread: nobody is woken on another.
    let mut conf = ServerConf { threads, work_stealing: false, ..ServerConf::default() };
    conf.grace_period_seconds = Some(0);
    conf.graceful_shutdown_timeout_seconds = Some(0);
    let listeners = config.listeners.clone();
    let admin_address = config.admin;
    let (traces, shutdown) = (config.traces.clone(), config.shutdown);
    let (spans, told) = traces.as_ref().map(Spans::new).unzip();
    let tape = tape.map(Tape::create).transpose().context("the tape cannot be written")?;
    let proxy = proxy(config, spans, (&conf, threads), tape)?;
    keeper::take_up(&proxy, &inherited.memory);

    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    for listener in &listeners {
        let socket = listener::socket(listener.address, &mut inherited)?;
        for worker in listener::workers(&proxy, listener, socket, threads)? {
            server.add_service(worker);
        }
    }
    let socket = listener::socket(admin_address, &mut inherited)?;
    let reloads = Arc::new(reloads);
    let admin = Admin::new(Arc::clone(&proxy), Arc::clone(&reloads), level, program);
    server.add_service(listener::admin(&proxy, admin, (admin_address, socket))?);
    server.add_service(background_service("checks", Checks { proxy: Arc::clone(&proxy) }));
    server.add_service(background_service("keeper", Keeper { proxy: Arc::clone(&proxy) }));
    server.add_service(background_service("resolver", Resolver::new(Arc::clone(&proxy))));
    let watch = Watch { proxy: Arc::clone(&proxy), reloads: Arc::clone(&reloads) };
    server.add_service(background_service("watch", watch));
    server.add_service(background_service("sweeper", Sweeper { proxy: Arc::clone(&proxy) }));
    if let Some(store) = &proxy.quotas.store {
        server.add_service(background_service("quotas", Counters { store: Arc::clone(store) }));
    }
    if let (Some(traces), Some(queue), Some(spans)) = (traces, told, &proxy.spans) {
        let collector = Collector::new(&traces.endpoint).context("the collector cannot be used")?;
        let teller = Teller { collector, queue: Mutex::new(Some(queue)), counts: Arc::clone(&spans.counts) };
        server.add_service(background_service("traces", teller));
    }
    let addresses = listeners.iter().map(|listener| listener.address).collect();
    let announcer = Announcer {
        proxy: Arc::clone(&proxy),
        listeners: addresses,
        admin: admin_address,
        heir: Mutex::new(inherited.settled()),
    };
    server.add_service(background_service("ready", announcer));
    server.run(RunArgs { shutdown_signal: Box::new(Stop { proxy, reloads, shutdown }) });
    Ok(())
}

fn proxy(
    config: Config,
    spans: Option<Spans>,
    (conf, threads): (&ServerConf, usize),
    tape: Option<Arc<Tape>>,
) -> anyhow::Result<Arc<Proxy>> {
    let seed = RandomState::new().hash_one(std::process::id());
    let audit = config.audit.as_ref().map(Audit::start);
    let quotas = Quotas::new(config.quota_store.as_ref()).context("the quota store cannot be used")?;
    let state = StateDir::new(&config.state_dir);
    let buffers = Buffers::new(config.buffers_total);
    let certificates = Certificates::new(&config.listeners);
    let conditions = Conditions::new(&config.listeners);
    let metrics = Metrics::new(&config.listeners).context("the metrics cannot be registered")?;
    let began = clock::now();
    let snapshot = Snapshot::new(config, &metrics, began, seed);
    if let Some(tape) = tape {
        snapshot.record(&tape, began, seed);
    }
    let mut options = ConnectorOptions::from_server_conf(conf);
    options.keepalive_pool_size = IDLE_CONNECTIONS * threads;
    let connector = Connector::new(Some(options));
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let proxy = Proxy::new(
        snapshot,
        (certificates, conditions, connector),
        buffers,
        quotas,
        metrics,
        (spans, audit, state),
        seed,
    );
    Ok(Arc::new(proxy))
}

/// Closes idle upstream connections that nobody took in time.
struct Sweeper {
    proxy: Arc<Proxy>,
}

#[async_trait]
impl BackgroundService for Sweeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut turns = tokio::time::interval(SWEEP);
        let sweeping = async {
            loop {
                turns.tick().await;
                let snapshot = self.proxy.snapshot.load_full();
                snapshot.upstreams().for_each(|live| live.site.sweep());
                snapshot.pools.iter().for_each(|pool| pool.let_go());
            }
        };
        tokio::select! {
            () = sweeping => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Keeps the way to the quota store, for as long as the process serves.
struct Counters {
    store: Arc<Store>,
}

#[async_trait]
impl BackgroundService for Counters {
    async fn start(&self, _: ShutdownWatch) {
        self.store.keep().await;
    }
}

/// Looks whether the configuration has changed, for as long as the process serves.
struct Watch {
    proxy: Arc<Proxy>,
    reloads: Arc<Reloads>,
}

#[async_trait]
impl BackgroundService for Watch {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.reloads.watch(&self.proxy) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Tells spans, for as long as the process serves.
struct Teller {
    collector: Collector,
    queue: Mutex<Option<Receiver<Message>>>,
    counts: Arc<Counts>,
}

#[async_trait]
impl BackgroundService for Teller {
    async fn start(&self, _: ShutdownWatch) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(queue) = queue {
            self.collector.tell(queue, &self.counts).await;
        }
    }
}

/// Says when every listener accepts: on standard output, to systemd, and to the process before. Then it feeds
/// systemd's watchdog.
struct Announcer {
    proxy: Arc<Proxy>,
    listeners: Vec<SocketAddr>,
    admin: SocketAddr,
    heir: Mutex<Heir>,
}

#[async_trait]
impl BackgroundService for Announcer {
    async fn start(&self, _: ShutdownWatch) {
        let serving = life::until(|| life::serves(&self.proxy.life));
        if tokio::time::timeout(START_MAX, serving).await.is_err() {
            tracing::error!("not every listener accepts");
            return;
        }
        self.heir.lock().unwrap_or_else(PoisonError::into_inner).serves();
        let line = serde_json::json!({
            "ready": true,
            "listeners": self.listeners.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "admin": self.admin.to_string(),
        });
        let _ = writeln!(std::io::stdout().lock(), "{line}");
        tracing::info!("ready");
        notify::ready();
        notify::keep_watchdog(&self.proxy.life).await;
    }
}

/// The proxy's own checks, for as long as the process serves.
struct Checks {
    proxy: Arc<Proxy>,
}

#[async_trait]
impl BackgroundService for Checks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = check::keep_checking(&self.proxy) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// What outlives the process is kept, for as long as it serves, and once more at its end.
struct Keeper {
    proxy: Arc<Proxy>,
}

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = keeper::keep(&self.proxy) => {}
            _ = shutdown.changed() => {}
        }
        keeper::save(&self.proxy).await;
    }
}
