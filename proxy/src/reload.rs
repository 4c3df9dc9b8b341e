//! A reload: read, check, build beside, swap once. What is not good changes nothing and says why.
//!
//! Asked for by a signal, by the admin port, or by the files themselves: `watch` looks at the configuration and at
//! whatever it names. Several at once come one after the other.

mod diff;
mod watch;

pub use diff::{Preview, preview};

use crate::audit::Order;
use crate::clock;
use crate::config::{self, Config, Files, Settings};
use crate::limits;
use crate::log_level::LogLevel;
use crate::notify;
use crate::service::Proxy;
use crate::snapshot::{LiveUpstream, Snapshot};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;

/// Names that are new are looked up before requests go there; one that does not resolve in time holds nothing up.
const RESOLVE_MAX: Duration = Duration::from_secs(2);
/// Problems that are logged and told: whoever reads them mends a few at a time.
const PROBLEMS_SHOWN: usize = 100;

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGHUP.
    Signal,
    /// `POST /api/reload`.
    Admin,
    /// A file changed.
    Watch,
}

impl Cause {
    /// Every cause, for zero series at start.
    pub const ALL: [Self; 3] = [Self::Signal, Self::Admin, Self::Watch];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Admin => "admin",
            Self::Watch => "watch",
        }
    }
}

/// Why nothing was brought into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReloaded {
    /// The process is about to end.
    Ending,
    /// What is wrong, a line for each mistake.
    Wrong(Vec<String>),
}

/// What came of the last reload.
#[derive(Clone, Debug)]
struct Attempt {
    unix: Duration,
    cause: Cause,
    problems: Vec<String>,
}

/// Reloads of one configuration file.
pub struct Reloads {
    path: PathBuf,
    level: LogLevel,
    /// What the process started with: what waits for a restart is measured by it.
    started: Settings,
    /// Held while one is under way: the level that was last configured.
    turn: tokio::sync::Mutex<LevelFilter>,
    /// What was read for the last one.
    files: Mutex<Files>,
    last: Mutex<Option<Attempt>>,
}

impl Reloads {
    /// Of the file that the process started with.
    #[must_use]
    pub fn new(path: &Path, files: Files, config: &Config, level: LogLevel) -> Self {
        Self {
            path: path.to_owned(),
            level,
            started: config.settings.clone(),
            turn: tokio::sync::Mutex::new(config.log.level),
            files: Mutex::new(files),
            last: Mutex::new(None),
        }
    }

    /// Reads the file anew and brings it into force.
    ///
    /// # Errors
    /// Why not: then nothing has changed.
    pub async fn reload(&self, proxy: &Arc<Proxy>, cause: Cause) -> Result<(), NotReloaded> {
        let mut level = self.turn.lock().await;
        if proxy.draining.load(Ordering::Relaxed) {
            return Err(NotReloaded::Ending);
        }
        notify::reloading();
        let loaded = self.read().await;
        let outcome = match loaded {
            Ok(config) => {
                self.set_level(&mut level, config.log.level);
                bring_into_force(proxy, config).await;
                Ok(())
            }
            Err(problems) => Err(problems),
        };
        self.tell(proxy, cause, outcome.as_ref().err());
        notify::ready();
        outcome.map_err(NotReloaded::Wrong)
    }

    /// Off the threads that serve: a thousand upstreams take a while.
    async fn read(&self) -> Result<Config, Vec<String>> {
        let path = self.path.clone();
        match tokio::task::spawn_blocking(move || config::load_noting(&path)).await {
            Ok((loaded, files)) => {
                *self.files.lock() = files;
                loaded.map_err(|problems| {
                    problems.to_string().lines().take(PROBLEMS_SHOWN).map(ToOwned::to_owned).collect()
                })
            }
            Err(error) => Err(vec![format!("the file could not be read to its end: {error}")]),
        }
    }

    /// A level that was set at the admin port stays until the file names another.
    fn set_level(&self, held: &mut LevelFilter, wanted: LevelFilter) {
        if *held != wanted {
            *held = wanted;
            self.level.set(&wanted.to_string());
        }
    }

    fn tell(&self, proxy: &Proxy, cause: Cause, problems: Option<&Vec<String>>) {
        let by = cause.name();
        let Loaded { generation, waiting } = self.loaded(&proxy.snapshot.load());
        proxy.metrics.reloaded(cause, problems.is_none(), waiting.len());
        match problems {
            None => {
                tracing::warn!(generation, by, "the configuration was reloaded");
                for key in &waiting {
                    tracing::warn!(key, "waits for a restart, or for `aorta-proxy upgrade`");
                }
                notify::status(&format!("configuration {generation} is in force"));
            }
            Some(problems) => {
                for problem in problems {
                    tracing::error!(problem, by, "the configuration was not reloaded");
                }
                let first = problems.first().map_or("", String::as_str);
                notify::status(&format!(
                    "configuration {generation} stays in force, the last reload failed: {first}"
                ));
            }
        }
        if let Some(audit) = proxy.audit.as_ref().filter(|_| cause != Cause::Admin) {
            let status = if problems.is_none() { 200 } else { 422 };
            audit.order(&Order { who: by, order: "reload", on: "", reason: "", status });
        }
        let problems = problems.cloned().unwrap_or_default();
        *self.last.lock() = Some(Attempt { unix: clock::unix(), cause, problems });
    }

    fn loaded(&self, snapshot: &Snapshot) -> Loaded {
        let waiting = snapshot.loaded.settings.waiting(&self.started);
        Loaded { generation: snapshot.loaded.generation, waiting }
    }

    /// What was wrong with the file at the last reload; nothing where it was good, or there was none.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.last.lock().as_ref().map_or_else(Vec::new, |last| last.problems.clone())
    }

    /// What is in force, what came of the last reload, and a print of every key.
    #[must_use]
    pub fn show(&self, snapshot: &Snapshot) -> Value {
        let loaded = &snapshot.loaded;
        let prints = loaded.settings.prints().map(|(key, print)| (key.to_owned(), json!(hex(print))));
        let last = self.last.lock().clone();
        json!({
            "file": self.path.display().to_string(),
            "generation": loaded.generation,
            "hash": hex(loaded.hash),
            "loaded_unix": seconds(loaded.unix),
            "watch_seconds": seconds(snapshot.watch),
            "waits_for_restart": self.loaded(snapshot).waiting,
            "last_reload": last.map(|last| json!({
                "unix": seconds(last.unix),
                "by": last.cause.name(),
                "ok": last.problems.is_empty(),
                "problems": last.problems,
            })),
            "settings": prints.collect::<serde_json::Map<_, _>>(),
        })
    }
}

struct Loaded {
    generation: u64,
    waiting: Vec<String>,
}

/// Builds beside what is in force, and swaps once.
async fn bring_into_force(proxy: &Arc<Proxy>, config: Config) {
    let old = proxy.snapshot.load_full();
    limits::set(&config);
    proxy.certificates.replace(&config.listeners);
    proxy.conditions.replace(&config.listeners);
    proxy.metrics.certificates(&config.listeners);
    let known = known_names(&old, &config).await;
    let new = swap(proxy, &old, config, &known);
    proxy.quotas.keep_only(|name| new.routes.routes().iter().any(|route| route.name == name));
    proxy.generations.send_replace(new.loaded.generation);
    let proxy = Arc::clone(proxy);
    tokio::task::spawn_blocking(move || proxy.metrics.sweep(&proxy.snapshot));
}

fn swap(proxy: &Arc<Proxy>, old: &Snapshot, config: Config, known: &[Named]) -> Arc<Snapshot> {
    let _still = proxy.metrics.still();
    let (new, told) = old.succeed(config, &proxy.metrics, clock::now(), proxy.next_id());
    for upstream in new.upstreams().filter(|upstream| upstream.site.addresses().is_empty()) {
        let name = (upstream.config.host.as_str(), upstream.config.port);
        if let Some((_, addresses)) = known.iter().find(|((host, port), _)| (host.as_str(), *port) == name) {
            upstream.site.replace(addresses);
        }
    }
    let new = Arc::new(new);
    proxy.snapshot.store(Arc::clone(&new));
    told.iter().for_each(|(pool, events)| proxy.tell(pool, events));
    proxy.metrics.replaced(old);
    new
}

type Named = ((String, u16), Vec<std::net::SocketAddr>);

/// What the names come to that nobody has asked for yet.
async fn known_names(old: &Snapshot, config: &Config) -> Vec<Named> {
    let is_known = |host: &str, port: u16| {
        old.upstreams()
            .any(|held: &Arc<LiveUpstream>| (held.config.host.as_str(), held.config.port) == (host, port))
    };
    let mut lookups = JoinSet::new();
    for upstream in config.pools.iter().flat_map(|pool| &pool.upstreams) {
        let (host, port) = (upstream.host.clone(), upstream.port);
        if upstream.addresses.is_empty() && !is_known(&host, port) {
            lookups.spawn(async move {
                let found = tokio::net::lookup_host((host.as_str(), port)).await;
                let found = found.map(Iterator::collect).unwrap_or_default();
                ((host, port), found)
            });
        }
    }
    let mut known = Vec::new();
    let gathering = async {
        while let Some(found) = lookups.join_next().await {
            known.extend(found.ok());
        }
    };
    if timeout(RESOLVE_MAX, gathering).await.is_err() {
        tracing::warn!("not every new name resolves: the resolver goes on");
    }
    known
}

fn hex(print: u64) -> String {
    format!("{print:016x}")
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}
