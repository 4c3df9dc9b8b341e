//! What is in force: the configuration joined with live state. A request holds one snapshot from its first
//! byte to its last.

mod pool;
mod upstream;

pub use pool::{LivePool, PoolState};
pub use upstream::{LiveUpstream, Peer, Purpose, Site, Turn};

use crate::clock;
use crate::config::access::Access;
use crate::config::{AccessLog, Config, RouteSettings};
use crate::metrics::{Metrics, RouteSeries};
use crate::tape::{Beginning, Tape};
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
    /// Which configuration it is.
    pub loaded: Loaded,
}

/// Which configuration is in force.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// How many there have been, this one included.
    pub generation: u64,
    /// A hash of the file's text.
    pub hash: u64,
    /// When it was brought into force, since the Unix epoch.
    pub unix: Duration,
}

impl Snapshot {
    /// Brings a configuration into force.
    #[must_use]
    pub fn new(config: Config, metrics: &Metrics, now: Timestamp, seed: u64) -> Self {
        let pools = config
            .pools
            .into_iter()
            .enumerate()
            .map(|(index, pool)| Arc::new(LivePool::new(pool, metrics, now, seed.wrapping_add(index as u64))))
            .collect();
        let limited = config.route_settings.iter().map(|settings| settings.rate_limit.is_some());
        let routes = config.routes.routes().iter().zip(limited);
        let route_series = routes.map(|(route, limited)| metrics.route(&route.name, limited)).collect();
        Self {
            route_series,
            routes: config.routes,
            route_settings: config.route_settings,
            pools,
            access: config.log.access,
            admin: config.access,
            loaded: Loaded { generation: 1, hash: config.hash, unix: clock::unix() },
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
}
