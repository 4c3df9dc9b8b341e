//! Requests of the proxy's own: no client waits for them, and nothing is judged or retried here.

use super::connect::connect;
use super::request::{Outgoing, sign};
use crate::buffers::Reservation;
use crate::clock;
use crate::config::Check;
use crate::held::Held;
use crate::service::Proxy;
use crate::snapshot::{LivePool, Purpose};
use crate::wire::Head;
use aorta_core::upstream::UpstreamKey;
use bytes::Bytes;

/// An answer to a request of the proxy's own.
pub struct OwnAnswer {
    /// Its head.
    pub head: Head,
    /// Its body, or the beginning of one that is too large.
    pub body: Bytes,
    /// That is all of it.
    pub whole: bool,
    _reservation: Reservation,
}

/// A request of the proxy's own, on a connection of its own.
pub async fn own_request(
    proxy: &Proxy,
    pool: &LivePool,
    upstream: UpstreamKey,
    check: &Check,
    body_max: usize,
) -> Option<OwnAnswer> {
    let live = pool.upstream(upstream)?;
    let by = clock::instant(clock::now() + pool.config.spec.timeouts.connect);
    let (mut connection, _) = connect(&proxy.connector, &live.site, Purpose::Own, by).await?;
    let mut head = Outgoing::own(&check.path).ok()?.own_head(&live.config).ok()?;
    sign(&live, &mut head, &[]).ok()?;
    connection.send(&head, Bytes::new(), false).await.ok()?;
    let head = connection.read_head(false).await.ok()?;
    let (mut body, mut whole) = (Held::default(), true);
    let mut reservation = proxy.buffers.reservation();
    while whole && let Some(chunk) = connection.read_body().await.ok()? {
        whole = reservation.grow(chunk.len()) && body.bytes + chunk.len() <= body_max;
        body.push(chunk);
    }
    Some(OwnAnswer { head, body: body.join(), whole, _reservation: reservation })
}
