//! Two regions and the proxy in front of them: what most tests start from.

use harness::authority::Authority;
use harness::client::{Client, Target};
use harness::eventually::BOUND;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use std::ffi::OsStr;
use std::time::Instant;
use tokio::sync::{Mutex, MutexGuard};

/// A run under load has time limits, which are those of a machine that is not overloaded: one goes on at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Waits until no other run under load goes on, and keeps others waiting until it is dropped.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// A proxy before Virginia (`/Server1`) and Ohio (`/Server2`); requests begin with Virginia.
pub(crate) struct World {
    /// First, so that it ends while its upstreams still live.
    pub(crate) proxy: Proxy,
    pub(crate) virginia: Upstream,
    pub(crate) ohio: Upstream,
    pub(crate) authority: Authority,
}

impl World {
    /// With the defaults of [`Setup`], over HTTP/1.1 with TLS to the regions.
    pub(crate) async fn new() -> Self {
        Self::with(Speech::Http1, |setup, _| setup).await
    }

    /// With changes to the configuration.
    pub(crate) async fn with(speech: Speech, change: impl FnOnce(Setup, &Authority) -> Setup) -> Self {
        Self::as_told(speech, change, &[]).await
    }

    /// The same, with more arguments for the proxy.
    pub(crate) async fn as_told(
        speech: Speech,
        change: impl FnOnce(Setup, &Authority) -> Setup,
        more: &[&OsStr],
    ) -> Self {
        let authority = Authority::new();
        let virginia = Upstream::start("virginia", speech, &authority);
        let ohio = Upstream::start("ohio", speech, &authority);
        let setup = change(Setup::new(&[&virginia, &ohio]), &authority);
        let proxy = Proxy::start_as(&setup.yaml(), &[], more).await;
        Self { proxy, virginia, ohio, authority }
    }

    /// A client of the proxy, HTTP/1.1 in the clear.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.proxy.target())
    }

    /// How often a marked request took effect, wherever.
    pub(crate) fn executed(&self, marker: &str) -> u32 {
        let at = |upstream: &Upstream| upstream.ledger().executed.get(marker).copied().unwrap_or_default();
        at(&self.virginia) + at(&self.ohio)
    }

    /// Requests seen by both regions.
    pub(crate) fn seen(&self) -> usize {
        self.virginia.count() + self.ohio.count()
    }

    /// Reads until this upstream has answered so often in all.
    pub(crate) async fn served_by(&self, target: Target, upstream: &str, often: usize) {
        let (mut client, start, mut served) = (Client::new(target), Instant::now(), 0);
        while served < often {
            assert!(start.elapsed() < BOUND, "{upstream} does not serve:\n{}", self.proxy.metrics().text);
            served += usize::from(client.get("/Patient/again").await.upstream() == upstream);
        }
    }
}
