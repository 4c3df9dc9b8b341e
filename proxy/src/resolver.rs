//! Names to addresses, off the request path: refreshed when their time to live ends, and the last good answer
//! is kept when a refresh fails or comes back empty.

use crate::service::Proxy;
use crate::snapshot::Site;
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// No name is looked up more often, whatever its record says: AWS serves records of 0 to 60 seconds.
const TTL_MIN: Duration = Duration::from_secs(5);
/// No answer is trusted longer.
const TTL_MAX: Duration = Duration::from_secs(300);
/// A failed lookup is tried again after this.
const RETRY: Duration = Duration::from_secs(2);

/// The background task that keeps upstream addresses fresh.
pub struct Resolver {
    proxy: Arc<Proxy>,
}

impl Resolver {
    /// A resolver for the upstreams in force.
    #[must_use]
    pub const fn new(proxy: Arc<Proxy>) -> Self {
        Self { proxy }
    }

    /// Follows every name of every generation, each for as long as anybody needs it.
    async fn keep_following(&self, system: Arc<TokioResolver>) {
        let mut generations = self.proxy.generations.subscribe();
        let (mut tasks, mut followed) = (JoinSet::new(), BTreeSet::new());
        loop {
            for upstream in self.proxy.snapshot.load().upstreams() {
                if upstream.config.addresses.is_empty() && followed.insert(upstream.site.number()) {
                    tasks.spawn(follow(Arc::clone(&system), Arc::downgrade(&upstream.site)));
                }
            }
            tokio::select! {
                Some(ended) = tasks.join_next() => {
                    followed.retain(|followed| !ended.as_ref().is_ok_and(|ended| ended == followed));
                }
                changed = generations.changed() => if changed.is_err() { return },
            }
        }
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
        tokio::select! {
            () = self.keep_following(system) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Keeps one upstream's addresses fresh for as long as it lives; says which it was.
async fn follow(system: Arc<TokioResolver>, site: Weak<Site>) -> u64 {
    let mut number = 0;
    while let Some(held) = site.upgrade() {
        number = held.number();
        let pause = refresh(&system, &held).await;
        drop(held);
        tokio::time::sleep(pause).await;
    }
    number
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
