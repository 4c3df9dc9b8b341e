//! Write affinity: a client that wrote reads where its write is, until copies in other stores may have it too.
//!
//! Who wrote is remembered by the hash that tells clients apart, in a table of fixed capacity: beyond it the
//! client whose last write is oldest is forgotten, and reads from anywhere as without this table.

use crate::time::Timestamp;
use crate::upstream::DomainKey;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Clients a pool remembers: a megabyte of memory, and more clients than write to one hospital's proxy in a
/// minute.
const CAPACITY: usize = 16_384;

/// Where each client last wrote.
#[derive(Clone, Debug)]
pub(crate) struct WriteAffinity {
    span: Duration,
    by_client: BTreeMap<u64, (Timestamp, DomainKey)>,
    by_age: BTreeSet<(Timestamp, u64)>,
}

impl WriteAffinity {
    /// Nobody wrote yet; a span of zero remembers nothing.
    pub(crate) const fn new(span: Duration) -> Self {
        Self { span, by_client: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    /// Another span from now on; what is remembered stays.
    pub(crate) fn reconfigure(&mut self, span: Duration) {
        self.span = span;
        if span.is_zero() {
            (self.by_client, self.by_age) = (BTreeMap::new(), BTreeSet::new());
        }
    }

    /// The client wrote in this data domain.
    pub(crate) fn wrote(&mut self, client: u64, domain: DomainKey, now: Timestamp) {
        if self.span.is_zero() {
            return;
        }
        if let Some((at, _)) = self.by_client.insert(client, (now, domain)) {
            self.by_age.remove(&(at, client));
        }
        self.by_age.insert((now, client));
        if self.by_client.len() > CAPACITY
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_client.remove(&oldest);
        }
    }

    /// The data domain where the client wrote lately.
    pub(crate) fn home(&self, client: u64, now: Timestamp) -> Option<DomainKey> {
        let (at, domain) = self.by_client.get(&client)?;
        (now < *at + self.span).then_some(*domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_write_is_remembered_for_its_span_from_the_last_one_on() {
        let mut affinity = WriteAffinity::new(Duration::from_secs(5));
        affinity.wrote(1, DomainKey(0), second(0));
        affinity.wrote(1, DomainKey(2), second(3));
        assert_eq!(affinity.home(1, second(7)), Some(DomainKey(2)));
        assert_eq!((affinity.home(1, second(8)), affinity.home(2, second(7))), (None, None));
    }

    #[test]
    fn a_span_of_zero_remembers_nothing() {
        let mut affinity = WriteAffinity::new(Duration::ZERO);
        affinity.wrote(1, DomainKey(0), second(0));
        assert!(affinity.by_client.is_empty() && affinity.by_age.is_empty());
    }

    #[test]
    fn the_table_forgets_the_oldest_write_and_never_grows_beyond_its_capacity() {
        let mut affinity = WriteAffinity::new(Duration::from_secs(1 << 40));
        let clients = CAPACITY as u64;
        for client in 0..clients {
            affinity.wrote(client, DomainKey(0), second(client));
        }
        affinity.wrote(0, DomainKey(0), second(clients));
        affinity.wrote(clients, DomainKey(0), second(clients + 1));
        assert_eq!((affinity.by_client.len(), affinity.by_age.len()), (CAPACITY, CAPACITY));
        let now = second(clients + 2);
        assert_eq!(
            [0, 1, 2].map(|client| affinity.home(client, now)),
            [Some(DomainKey(0)), None, Some(DomainKey(0))]
        );
    }
}
