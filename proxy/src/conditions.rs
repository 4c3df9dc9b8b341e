//! What each listener grants its clients and whom it believes, as a reload last found it.

use crate::config::Listener;
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Of one listener: whoever needs it looks it up, for each connection and each request.
pub type Condition = Arc<ArcSwap<Listener>>;

/// Those of all listeners that accept.
#[derive(Debug)]
pub struct Conditions(Vec<(SocketAddr, Condition)>);

impl Conditions {
    /// As configured at the start.
    #[must_use]
    pub fn new(listeners: &[Listener]) -> Self {
        let held =
            |listener: &Listener| (listener.address, Arc::new(ArcSwap::from_pointee(listener.clone())));
        Self(listeners.iter().map(held).collect())
    }

    /// Those of a listener that was there at the start.
    #[must_use]
    pub fn of(&self, listener: &Listener) -> Condition {
        let held = self.0.iter().find(|(address, _)| *address == listener.address);
        held.map_or_else(|| Arc::new(ArcSwap::from_pointee(listener.clone())), |(_, held)| Arc::clone(held))
    }

    /// From the next connection, and the next request, on those of this configuration count. A listener that it does
    /// not name goes on as it is until a restart takes it away.
    pub fn replace(&self, listeners: &[Listener]) {
        for listener in listeners {
            if let Some((_, held)) = self.0.iter().find(|(address, _)| *address == listener.address) {
                held.store(Arc::new(listener.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Limits, Networks};
    use std::time::Duration;

    #[test]
    fn a_reload_replaces_all_that_a_listener_grants_and_leaves_one_that_it_does_not_name() {
        let second = Duration::from_secs(1);
        let limits = Limits {
            header_bytes: 1,
            header_time: second,
            body_bytes: 2,
            body_time: second,
            connections: 3,
            connections_per_client: 4,
        };
        let listener = |port: u16, limits, trusted: &[&str]| Listener {
            address: ([127, 0, 0, 1], port).into(),
            tls: None,
            limits,
            trusted_proxies: Networks::of(trusted),
        };
        let started = [listener(1, limits, &[]), listener(2, limits, &[])];
        let conditions = Conditions::new(&started);
        let [held, other] = started.each_ref().map(|listener| conditions.of(listener));
        let changed = Limits {
            header_bytes: 10,
            header_time: 2 * second,
            body_bytes: 20,
            body_time: 3 * second,
            connections: 30,
            connections_per_client: 40,
        };
        conditions.replace(&[listener(1, changed, &["10.0.0.0/8"]), listener(3, changed, &[])]);
        assert_eq!(held.load().limits, changed);
        assert!(held.load().trusted_proxies.hold([10, 0, 0, 1].into()));
        assert_eq!(other.load().limits, limits, "a restart takes it away");
        assert!(!other.load().trusted_proxies.hold([10, 0, 0, 1].into()));
    }
}
