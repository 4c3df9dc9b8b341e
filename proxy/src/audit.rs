//! The audit trail: who did what with which kind of record, one entry for each request of an audited route and each
//! order of an operator, in a file whose entries are chained.
//!
//! An entry holds words of the configuration and of FHIR, the client's address, numbers, and, where a key is
//! configured, a pseudonym of the record that was asked for: never its id, a query or a body. One thread writes. What
//! cannot be written waits for as long as there is room; then a route that audits `open` serves on and what is lost is
//! counted, in the chain too. One that audits `closed` is refused as soon as the file cannot be written, before any
//! attempt, and each of its requests has its room in the queue before it begins.

pub mod chain;
mod entry;
mod trail;
pub mod verify;

use crate::clock;
use crate::config::{Audit as Settings, Audited};
use crate::record::Visit;
use crate::snapshot::Snapshot;
use aorta_core::receipt::Receipt;
use aorta_core::verdict::Refusal;
pub use entry::Order;
use entry::Pseudonyms;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use trail::Trail;

/// Entries that wait to be written: each takes under 1 KiB.
const WAITING_MAX: usize = 1024;
/// Entries that are written at once, and made durable together.
const BATCH_MAX: usize = 256;
/// A file that could not be written is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);
/// A process that ends waits so long for its last entries.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// The audit trail of this process.
#[derive(Clone, Debug)]
pub struct Audit {
    desk: Arc<Desk>,
    pseudonyms: Option<Pseudonyms>,
}

/// What requests and the writing thread share.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    came: Condvar,
    written: Condvar,
    lost: AtomicU64,
    entries: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    /// Entries that the thread holds.
    writing: usize,
    /// Room that is promised to requests that are under way.
    promised: usize,
    /// Lost since the chain last said so.
    lost: u64,
    /// The last attempt to write succeeded.
    works: bool,
}

impl State {
    fn has_room(&self) -> bool {
        self.waiting.len() + self.writing + self.promised < WAITING_MAX
    }
}

/// Room for one entry, promised until it is dropped.
#[derive(Debug)]
pub struct Room(Arc<Desk>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.state.lock().promised -= 1;
    }
}

/// How a request is audited.
#[derive(Debug, Default)]
pub enum Auditing {
    /// Not at all.
    #[default]
    No,
    /// If there is room.
    Open,
    /// Whatever happens.
    Closed(Room),
}

impl Audit {
    /// Opens the file, says that the process starts, and begins to write.
    #[must_use]
    pub fn start(settings: &Settings) -> Self {
        let desk = Arc::new(Desk::default());
        let pseudonyms = settings.key.as_ref().and_then(Pseudonyms::new);
        let (trail, writer) = (Trail::new(settings.file.clone()), Arc::clone(&desk));
        // Before anybody is served: a route that audits `closed` serves from the first request on, or not at all.
        let trail = writer.write(trail, vec![entry::start()]);
        std::thread::spawn(move || writer.keep_writing(trail));
        Self { desk, pseudonyms }
    }

    /// A request of a route that is audited so comes in.
    ///
    /// # Errors
    /// When it must be audited and cannot.
    pub fn admit(&self, audited: Audited) -> Result<Auditing, Refusal> {
        match audited {
            Audited::Off => Ok(Auditing::No),
            Audited::Open => Ok(Auditing::Open),
            Audited::Closed => {
                let mut state = self.desk.state.lock();
                if !state.works || !state.has_room() {
                    return Err(Refusal::AuditUnavailable);
                }
                state.promised += 1;
                Ok(Auditing::Closed(Room(Arc::clone(&self.desk))))
            }
        }
    }

    /// A pseudonym of the record that this path, below the route, is about.
    #[must_use]
    pub fn pseudonym(&self, path: &str) -> Option<String> {
        self.pseudonyms.as_ref().and_then(|pseudonyms| pseudonyms.of(path))
    }

    /// Books a finished visit.
    pub fn book(&self, snapshot: &Snapshot, visit: &Visit, receipt: &Receipt) {
        if !matches!(visit.auditing, Auditing::No) {
            let has_room = matches!(visit.auditing, Auditing::Closed(_));
            self.desk.push(entry::request(snapshot, visit, receipt), has_room);
        }
    }

    /// Books what an operator ordered, and what came of it.
    pub fn order(&self, order: &Order<'_>) {
        self.desk.push(entry::order(order), false);
    }

    /// The process ends: waits until everything is written, within a bound.
    pub fn end(&self) {
        self.desk.push(entry::end(), false);
        let mut state = self.desk.state.lock();
        let busy = |state: &mut State| state.writing > 0 || !state.waiting.is_empty();
        self.desk.written.wait_while_for(&mut state, busy, FLUSH_MAX);
        let lost = state.waiting.len() + state.writing;
        if lost > 0 {
            tracing::error!(lost, "audit entries could not be written and are lost");
        }
    }

    /// The last attempt to write succeeded.
    #[must_use]
    pub fn works(&self) -> bool {
        self.desk.state.lock().works
    }

    /// Entries that were written, and that were lost.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.desk.entries.load(Ordering::Relaxed), self.desk.lost.load(Ordering::Relaxed))
    }
}

impl Desk {
    fn push(&self, entry: Vec<u8>, has_room: bool) {
        let mut state = self.state.lock();
        if has_room || state.has_room() {
            state.waiting.push_back(entry);
            self.came.notify_one();
        } else {
            state.lost += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn keep_writing(&self, mut trail: Trail) {
        loop {
            let batch = self.gather();
            trail = self.write(trail, batch);
        }
    }

    /// Waits for entries and takes some.
    fn gather(&self) -> Vec<Vec<u8>> {
        let mut state = self.state.lock();
        self.came.wait_while(&mut state, |state| state.waiting.is_empty() && state.lost == 0);
        let count = state.waiting.len().min(BATCH_MAX);
        let mut batch: Vec<_> = state.waiting.drain(..count).collect();
        // They came when the queue was full, so after all that is in it.
        if state.waiting.is_empty() && state.lost > 0 {
            batch.push(entry::lost(std::mem::take(&mut state.lost)));
        }
        state.writing = batch.len();
        batch
    }

    /// Writes a batch, and tries again until it is written; but returns from the first attempt of all.
    fn write(&self, mut trail: Trail, batch: Vec<Vec<u8>>) -> Trail {
        loop {
            let appended = trail.append(&batch);
            let mut state = self.state.lock();
            let first = state.writing == 0;
            self.say(&mut state, first, appended.as_ref().err());
            if appended.is_ok() {
                state.writing = 0;
                self.entries.fetch_add(batch.len() as u64, Ordering::Relaxed);
                self.written.notify_all();
                return trail;
            }
            if first {
                state.waiting.extend(batch);
                return trail;
            }
            self.pause(&mut state);
        }
    }

    /// Says when it becomes worse or better, and not each second.
    fn say(&self, state: &mut MutexGuard<'_, State>, first: bool, error: Option<&std::io::Error>) {
        match error {
            Some(error) if first || state.works => {
                tracing::error!(%error, "the audit file cannot be written: routes that audit `closed` refuse");
            }
            None if !first && !state.works => tracing::warn!("the audit file can be written again"),
            _ => {}
        }
        state.works = error.is_none();
    }

    fn pause(&self, state: &mut MutexGuard<'_, State>) {
        // Nobody notifies this one for it: a timer that lets the lock go.
        let until = clock::now() + AGAIN;
        self.written.wait_while_for(state, |_| clock::now() < until, AGAIN);
    }
}
