//! Names to addresses, off the request path: refreshed when their time to live ends, and the last good answer
//! is kept when a refresh fails or comes back empty.

use crate::snapshot::{Site, Snapshot};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No name is looked up more often, whatever its record says: AWS serves records of 0 to 60 seconds.
const TTL_MIN: Duration = Duration::from_secs(5);
/// No answer is trusted longer.
const TTL_MAX: Duration = Duration::from_secs(300);
/// A failed lookup is tried again after this.
const RETRY: Duration = Duration::from_secs(2);

/// The background task that keeps upstream addresses fresh.
pub struct Resolver {
    snapshot: Arc<ArcSwap<Snapshot>>,
}

impl Resolver {
    /// A resolver for the upstreams in force.
    #[must_use]
    pub const fn new(snapshot: Arc<ArcSwap<Snapshot>>) -> Self {
        Self { snapshot }
    }
}

#[async_trait]
impl BackgroundService for Resolver {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let built = TokioResolver::builder_tokio().and_then(|mut builder| {
            // Its default asks for IPv6 only where there is no IPv4.
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
            builder.build()
        });
        let system = match built {
            Ok(system) => Arc::new(system),
            Err(error) => {
                tracing::error!(%error, "the system's resolver configuration cannot be read; names stay unresolved");
                return;
            }
        };
        let snapshot = self.snapshot.load_full();
        let mut tasks = tokio::task::JoinSet::new();
        for pool in &snapshot.pools {
            for upstream in pool.upstreams.iter() {
                if upstream.config.addresses.is_empty() {
                    tasks.spawn(follow(Arc::clone(&system), Arc::clone(&upstream.site)));
                }
            }
        }
        let _ = shutdown.changed().await;
        tasks.shutdown().await;
    }
}

/// Keeps one upstream's addresses fresh for as long as it lives.
async fn follow(system: Arc<TokioResolver>, site: Arc<Site>) {
    loop {
        let pause = refresh(&system, &site).await;
        tokio::time::sleep(pause).await;
    }
}

/// Looks a name up once; says when to do it again.
async fn refresh(system: &TokioResolver, live: &Site) -> Duration {
    let config = live.config();
    match lookup(system, &config.host, config.port).await {
        Ok((addresses, ttl)) if !addresses.is_empty() => {
            live.replace(&addresses);
            live.resolved(crate::clock::unix());
            ttl.clamp(TTL_MIN, TTL_MAX)
        }
        Ok(_) => {
            live.lookup_failed();
            tracing::warn!(upstream = config.name, "the name has no address; the last good ones stay");
            RETRY
        }
        Err(error) => {
            live.lookup_failed();
            tracing::warn!(upstream = config.name, %error, "lookup failed; the last good addresses stay");
            RETRY
        }
    }
}

async fn lookup(
    system: &TokioResolver,
    host: &str,
    port: u16,
) -> Result<(Vec<SocketAddr>, Duration), hickory_resolver::net::NetError> {
    let answer = system.lookup_ip(host).await?;
    let ttl = answer.valid_until().saturating_duration_since(Instant::now());
    Ok((answer.iter().map(|address| SocketAddr::new(address, port)).collect(), ttl))
}

#[cfg(test)]
mod tests;
