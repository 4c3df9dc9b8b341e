//! What is in force: the configuration joined with live state. A request holds one snapshot from its first
//! byte to its last.

mod pool;
mod upstream;

pub use pool::{LivePool, PoolState};
pub use upstream::{LiveUpstream, Peer, Purpose, Site, Turn};

use crate::clock;
use crate::config::access::Access;
use crate::config::{AccessLog, Config, PoolConfig, RouteSettings, Settings};
use crate::metrics::{Metrics, RouteSeries};
use crate::tape::{Beginning, Tape};
use aorta_core::pool::PoolEvent;
use aorta_core::route::RouteTable;
use aorta_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Routes and pools in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Which request belongs where.
    pub routes: RouteTable,
    /// Beside each route of the table.
    pub route_settings: Vec<RouteSettings>,
    /// What requests of each route move, in the same order.
    pub route_series: Vec<Arc<RouteSeries>>,
    /// Whom it asks.
    pub pools: Vec<Arc<LivePool>>,
    /// Which requests leave an access line.
    pub access: AccessLog,
    /// Who may ask the admin port for what.
    pub admin: Access,
    /// How often the files are looked at for a change; zero is never.
    pub watch: Duration,
    /// Which configuration it is.
    pub loaded: Loaded,
}

/// Which configuration is in force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// How many there have been, this one included.
    pub generation: u64,
    /// A hash of the file's text.
    pub hash: u64,
    /// When it was brought into force, since the Unix epoch.
    pub unix: Duration,
    /// Every key with a print of what it is set to.
    pub settings: Arc<Settings>,
}

impl Snapshot {
    /// Brings a first configuration into force.
    #[must_use]
    pub fn new(config: Config, metrics: &Metrics, now: Timestamp, seed: u64) -> Self {
        let pool =
            |(index, config)| Arc::new(LivePool::new(config, metrics, now, seed.wrapping_add(index as u64)));
        Self::of(config, metrics, 1, |pools| pools.into_iter().enumerate().map(pool).collect())
    }

    /// Brings another configuration into force in place of this one. Pools that stay by name keep their live state,
    /// which counts by the new configuration from now on; what that makes the core tell stands beside.
    #[must_use]
    pub fn succeed(&self, config: Config, metrics: &Metrics, now: Timestamp, seed: u64) -> (Self, Vec<Told>) {
        let mut told = Vec::new();
        let mut pool = |(index, config): (usize, PoolConfig)| {
            let before = self.pools.iter().find(|pool| pool.name() == config.spec.name);
            let seed = seed.wrapping_add(index as u64);
            let Some(before) = before else { return Arc::new(LivePool::new(config, metrics, now, seed)) };
            let (pool, events) = before.succeed(config, metrics, now);
            let pool = Arc::new(pool);
            told.push((Arc::clone(&pool), events));
            pool
        };
        let generation = self.loaded.generation + 1;
        let snapshot = Self::of(config, metrics, generation, |pools| {
            pools.into_iter().enumerate().map(&mut pool).collect()
        });
        (snapshot, told)
    }

    fn of(
        config: Config,
        metrics: &Metrics,
        generation: u64,
        pools: impl FnOnce(Vec<PoolConfig>) -> Vec<Arc<LivePool>>,
    ) -> Self {
        let limited = config.route_settings.iter().map(|settings| settings.rate_limit.is_some());
        let routes = config.routes.routes().iter().zip(limited);
        let route_series = routes.map(|(route, limited)| metrics.route(&route.name, limited)).collect();
        Self {
            route_series,
            routes: config.routes,
            route_settings: config.route_settings,
            pools: pools(config.pools),
            access: config.log.access,
            admin: config.access,
            watch: config.watch,
            loaded: Loaded {
                generation,
                hash: config.hash,
                unix: clock::unix(),
                settings: Arc::new(config.settings),
            },
        }
    }

    /// Writes down from now on what every pool is asked, and what it says.
    pub fn record(&self, tape: &Arc<Tape>, began: Timestamp, seed: u64) {
        for (index, pool) in self.pools.iter().enumerate() {
            let beginning = Beginning {
                pool: index,
                name: pool.name(),
                config: self.loaded.hash,
                seed: seed.wrapping_add(index as u64),
                at: began,
            };
            pool.state.record(tape, &beginning);
        }
    }

    /// All upstreams of all pools.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<LiveUpstream>> {
        self.pools.iter().flat_map(|pool| pool.upstreams.iter())
    }
}

/// What a pool's core tells.
pub type Told = (Arc<LivePool>, Vec<PoolEvent>);
