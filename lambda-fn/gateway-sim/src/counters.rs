//! What happened, for a harness to wait on and to compare with what it sent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::fault::Kind;

/// Counts since the start or the last reset.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    invocations: AtomicU64,
    faulted: AtomicU64,
    connections: AtomicU64,
    executed: Mutex<BTreeMap<String, u64>>,
    per_fault: Mutex<BTreeMap<&'static str, u64>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Requests whose head was read.
    pub requests: u64,
    /// Events made for the function: what passed every check of the gateway.
    pub invocations: u64,
    /// Events a function process took, by method: from then on the function may have acted.
    pub executed: BTreeMap<String, u64>,
    /// Requests a fault hit.
    pub faulted: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Requests hit, by kind of fault.
    pub per_fault: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// One more request.
    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// One more event for the function.
    pub fn invocation(&self) {
        self.invocations.fetch_add(1, Ordering::Relaxed);
    }

    /// One more connection.
    pub fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A function took an event of this method.
    pub fn executed(&self, method: &str) {
        let mut executed = self.executed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = executed.get_mut(method) {
            *count += 1;
        } else {
            executed.insert(method.to_owned(), 1);
        }
    }

    /// A fault hit a request.
    pub fn faulted(&self, kind: Kind) {
        self.faulted.fetch_add(1, Ordering::Relaxed);
        *self.per_fault.lock().unwrap_or_else(PoisonError::into_inner).entry(kind.name()).or_default() += 1;
    }

    /// All counts now.
    #[must_use]
    pub fn read(&self) -> Counted {
        Counted {
            requests: self.requests.load(Ordering::Relaxed),
            invocations: self.invocations.load(Ordering::Relaxed),
            executed: self.executed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            faulted: self.faulted.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            per_fault: self.per_fault.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Starts again at zero.
    pub fn reset(&self) {
        for count in [&self.requests, &self.invocations, &self.faulted, &self.connections] {
            count.store(0, Ordering::Relaxed);
        }
        self.executed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.per_fault.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
