//! Connections to an upstream: its addresses in turn, the next one a moment after the last, without giving that
//! one up (RFC 8305, "Happy Eyeballs"). An address that leads nowhere costs that moment, and is asked last for a
//! while; the upstream is one, whatever its addresses do.

use crate::clock;
use crate::snapshot::{Peer, Purpose, Site, Turn};
use crate::wire::Wire;
use aorta_core::time::Timestamp;
use pingora::connectors::http::Connector;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// RFC 8305 section 8: "Connection Attempt Delay", whose recommended value this is.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// A connection that waits for a request already: at the address whose turn it is, or else at another.
pub(super) fn waiting(upstream: &Site, purpose: Purpose) -> Option<(Wire, Arc<Peer>)> {
    let of = |peer: Arc<Peer>| Some((peer.line(purpose).waiting()?, peer));
    match upstream.only_peer() {
        Some(only) => of(only),
        None => upstream.peers(Turn::Next, clock::now()).into_iter().find_map(of),
    }
}

/// A new connection to whichever address stands first, within the time given; an attempt's turn came when it looked
/// for one that waits.
pub(super) async fn connect(
    connector: &Connector,
    upstream: &Site,
    purpose: Purpose,
    by: Instant,
) -> Option<(Wire, Arc<Peer>)> {
    let turn = if purpose == Purpose::Own { Turn::Next } else { Turn::Same };
    let tries = upstream.peers(turn, clock::now()).into_iter().map(|peer| async move {
        let mut trying = Trying { peer: Arc::clone(&peer), since: Some(clock::now()) };
        let wire = peer.line(purpose).open(connector).await;
        trying.since = None;
        if wire.is_none() {
            peer.failed(clock::now());
        }
        wire.map(|wire| (wire, peer))
    });
    timeout_at(by, first(tries, NEXT_AFTER)).await.ok().flatten()
}

/// An address that is being connected to.
struct Trying {
    peer: Arc<Peer>,
    /// None once that came to something.
    since: Option<Timestamp>,
}

impl Drop for Trying {
    /// Given up when its turn was over: a later address was sooner, or the time is up.
    fn drop(&mut self) {
        let now = clock::now();
        if self.since.is_some_and(|since| now.since(since) >= NEXT_AFTER) {
            self.peer.failed(now);
        }
    }
}

/// The first result there is. Each work starts when the one before has failed or has had `pause`; it goes on while
/// later ones run.
async fn first<T, W: Future<Output = Option<T>>>(
    works: impl Iterator<Item = W>,
    pause: Duration,
) -> Option<T> {
    let mut works = works.peekable();
    let mut running: Vec<Pin<Box<W>>> = Vec::new();
    loop {
        running.extend(works.next().map(Box::pin));
        if running.is_empty() {
            return None;
        }
        let ended = any(&mut running);
        let result = if works.peek().is_none() {
            ended.await
        } else {
            tokio::select! {
                result = ended => result,
                () = sleep(pause) => None,
            }
        };
        if result.is_some() {
            return result;
        }
    }
}

/// The result of the first that ends; it is taken out.
async fn any<T, W: Future<Output = Option<T>>>(running: &mut Vec<Pin<Box<W>>>) -> Option<T> {
    poll_fn(|context| {
        for index in 0..running.len() {
            if let Poll::Ready(result) = running[index].as_mut().poll(context) {
                drop(running.swap_remove(index));
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    const BOUND: Duration = Duration::from_secs(10);
    const NEVER: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_millis(20);

    type Work = Pin<Box<dyn Future<Output = Option<&'static str>>>>;

    async fn of(works: Vec<Work>, pause: Duration) -> Option<&'static str> {
        timeout(BOUND, first(works.into_iter(), pause)).await.expect("it ends")
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_does_not_stand_in_time() {
        let works: Vec<Work> = vec![Box::pin(pending()), Box::pin(pending()), Box::pin(ready(Some("c")))];
        assert_eq!(of(works, SOON).await, Some("c"));
    }

    #[tokio::test]
    async fn the_next_address_is_tried_at_once_when_one_fails() {
        let works: Vec<Work> = vec![Box::pin(ready(None)), Box::pin(ready(None)), Box::pin(ready(Some("c")))];
        assert_eq!(of(works, NEVER).await, Some("c"));
        assert_eq!(of(vec![Box::pin(ready(None))], NEVER).await, None);
        assert_eq!(of(Vec::new(), NEVER).await, None);
    }

    #[tokio::test]
    async fn the_first_address_goes_on_while_the_second_is_tried() {
        let (go, went) = oneshot::channel();
        let slow = async move { went.await.ok() };
        let other = async move {
            go.send("a").expect("the first is still waited for");
            pending().await
        };
        assert_eq!(of(vec![Box::pin(slow), Box::pin(other)], SOON).await, Some("a"));
    }
}
