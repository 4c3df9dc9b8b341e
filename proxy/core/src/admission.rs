//! Who may begin: at most so many requests of a pool at once, a bounded queue before them, and who is turned away
//! when that is full.
//!
//! A machine without a clock: the adapter waits, and reports who gave up. What is waited for is a place, never an
//! answer, so nothing that waits here was sent anywhere.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

/// What is let in first, and turned away last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// One record is read: somebody waits for a patient's page.
    Record,
    /// Something is written: turned away, it may be lost.
    Write,
    /// Records are searched, or something is computed from them.
    Search,
    /// Very many records are fetched: a machine waits, and can come again.
    Bulk,
}

impl Priority {
    /// Every class, first to last.
    pub const ALL: [Self; 4] = [Self::Record, Self::Write, Self::Search, Self::Bulk];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Write => "write",
            Self::Search => "search",
            Self::Bulk => "bulk",
        }
    }
}

/// How many requests a pool carries at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Requests that are under way.
    pub max: NonZeroU32,
    /// Requests that may wait for a place.
    pub queue: u32,
    /// The longest that one waits.
    pub queue_timeout: Duration,
}

impl Default for Concurrency {
    fn default() -> Self {
        const MAX: NonZeroU32 = NonZeroU32::new(1024).expect("the default is not zero");
        Self { max: MAX, queue: 256, queue_timeout: Duration::from_secs(1) }
    }
}

/// A request that waits. Tickets are ordered as they are let in: by class, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    priority: Priority,
    number: u64,
}

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shed {
    /// The queue was full of requests that come first.
    QueueFull,
    /// One that comes first took its place in the queue.
    Displaced,
    /// No place came free in time.
    QueueTimeout,
}

impl Shed {
    /// Every reason, for zero series at start.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Displaced, Self::QueueTimeout];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Displaced => "displaced",
            Self::QueueTimeout => "queue_timeout",
        }
    }
}

/// What becomes of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It may begin. Its end must be reported by [`Admission::leave`], once.
    Admitted,
    /// It waits. It is let in by somebody's [`Admission::leave`], or gives up.
    Queued {
        /// Its own ticket.
        ticket: Ticket,
        /// Who is turned away for it.
        displaced: Option<Ticket>,
    },
    /// It is turned away.
    Refused,
}

/// Of so many requests that are let in from the queue, one is the longest waiting, whatever its class: what comes
/// last is slow under load, but never stands still. A few per cent are felt by nobody before it.
const FAIR_EVERY: u32 = 16;

/// A pool's places.
#[derive(Clone, Debug)]
pub struct Admission {
    spec: Concurrency,
    running: u32,
    waiting: BTreeSet<Ticket>,
    arrived: u64,
    let_in: u32,
}

impl Admission {
    /// All places are free.
    #[must_use]
    pub const fn new(spec: Concurrency) -> Self {
        Self { spec, running: 0, waiting: BTreeSet::new(), arrived: 0, let_in: 0 }
    }

    /// Other bounds from now on: who is let in by them at once. Who is in stays, and who waits waits.
    pub fn reconfigure(&mut self, spec: Concurrency) -> Vec<Ticket> {
        self.spec = spec;
        let mut let_in = Vec::new();
        while self.running < spec.max.get()
            && let Some(next) = self.next()
        {
            self.waiting.remove(&next);
            self.running += 1;
            let_in.push(next);
        }
        let_in
    }

    /// Requests under way.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A request arrives.
    pub fn arrive(&mut self, priority: Priority) -> Arrival {
        if self.running < self.spec.max.get() {
            self.running += 1;
            return Arrival::Admitted;
        }
        self.arrived += 1;
        let ticket = Ticket { priority, number: self.arrived };
        let has_room = self.waiting.len() < self.spec.queue as usize;
        // The last of the last class: it has waited least.
        let last = self.waiting.last().copied().filter(|last| !has_room && last.priority > priority);
        if !has_room && last.is_none() {
            return Arrival::Refused;
        }
        if let Some(last) = last {
            self.waiting.remove(&last);
        }
        self.waiting.insert(ticket);
        Arrival::Queued { ticket, displaced: last }
    }

    /// A request that was admitted has ended: who takes its place.
    pub fn leave(&mut self) -> Option<Ticket> {
        // There may be more than may be by now.
        let next = if self.running > self.spec.max.get() { None } else { self.next() };
        match next {
            Some(next) => drop(self.waiting.remove(&next)),
            None => self.running = self.running.saturating_sub(1),
        }
        next
    }

    /// A request that waits gives up; false when it was let in or turned away already.
    pub fn give_up(&mut self, ticket: Ticket) -> bool {
        self.waiting.remove(&ticket)
    }

    fn next(&mut self) -> Option<Ticket> {
        let first = self.waiting.first().copied()?;
        self.let_in = (self.let_in + 1) % FAIR_EVERY;
        if self.let_in > 0 {
            return Some(first);
        }
        let first_of = |priority| self.waiting.range(Ticket { priority, number: 0 }..).next().copied();
        Priority::ALL.into_iter().filter_map(first_of).min_by_key(|ticket| ticket.number)
    }
}

#[cfg(test)]
mod tests;
