//! Where records are kept: what every store promises, whatever the engine.
//!
//! A store keeps every version, joined by a hash chain; writes are atomic and conditional. `conformance` is the suite
//! that each one passes; `chain` and `sql` are what engines share; [`sqlite`] is the embedded one.

pub mod chain;
#[cfg(test)]
pub mod conformance;
pub mod sql;
pub mod sqlite;

use std::fmt;
use std::future::Future;

use fhir::{Id, ResourceType, VersionId};

use crate::concurrency::Precondition;
use crate::resource::Resource;
use crate::search::cursor::{CursorKey, Position};
use crate::search::{Criterion, Query};
use crate::time::Timestamp;

/// What a record is found under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its type.
    pub kind: ResourceType,
    /// Its id.
    pub id: Id,
}

/// One version of a record, as it was written and proven unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whose version it is.
    pub key: Key,
    /// Which.
    pub version: VersionId,
    /// When it was written.
    pub updated: Timestamp,
    /// The resource as JSON text; `None` for a deletion.
    pub body: Option<String>,
}

/// A write to be carried out if what it depends on holds.
#[derive(Clone, Debug)]
pub struct Put {
    /// Under which key.
    pub key: Key,
    /// What is written.
    pub resource: Resource,
    /// What must hold of the current version.
    pub precondition: Precondition,
    /// `If-None-Exist`: nothing of the type may match these; empty when it was not asked.
    pub unless: Vec<Criterion>,
    /// The time that is stamped.
    pub now: Timestamp,
}

/// What became of a [`Put`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// There was no such record, or a deleted one.
    Created(Stored),
    /// There was one, and this is its new version.
    Updated(Stored),
    /// Nothing was written: this one record matched [`Put::unless`].
    Found(Stored),
    /// Nothing was written: several records matched [`Put::unless`].
    SeveralFound,
    /// Nothing was written: the precondition did not hold.
    Unmet,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// It is gone now, and this version says so.
    Deleted(VersionId),
    /// It was not there.
    Absent,
    /// Nothing was written: the precondition did not hold.
    Unmet,
}

/// One page of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records of this page.
    pub matches: Vec<Stored>,
    /// How many match in all.
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

/// Why a store cannot do what it was asked. None of this is for a client's eyes.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Others hold the lock for too long; nothing was written.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// What is stored is not what was written. The digest names the row without naming a person.
    #[error("integrity: version {version} of a {kind} fails its hash chain; its stored hash is {hash}")]
    Corrupt {
        /// The type of the record.
        kind: ResourceType,
        /// The version that fails.
        version: u64,
        /// The hash that is stored with it.
        hash: String,
    },
    /// Anything else.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Keeps records. Every method sees one consistent state; every write is on disk when it returns.
pub trait Store: Send + Sync + 'static {
    /// The newest version, which may be a deletion; `None` if there never was one.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// One version; `None` if there is no such one.
    fn get_version(
        &self,
        key: &Key,
        version: VersionId,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// Writes one version if all that it depends on holds: check and write are one step.
    fn put_if(&self, put: Put) -> impl Future<Output = Result<PutOutcome, StoreError>> + Send;

    /// Writes a deletion if the precondition holds and there is something to delete.
    fn delete_if(
        &self,
        key: &Key,
        precondition: Precondition,
        now: Timestamp,
    ) -> impl Future<Output = Result<DeleteOutcome, StoreError>> + Send;

    /// One page of the current records that match. It ends early where its bodies pass [`PAGE_BYTES`].
    fn query(&self, query: Query) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// At most `count` versions older than `before`, newest first, and how many versions there are in all; their chain is
    /// proven.
    fn history(
        &self,
        key: &Key,
        before: Option<VersionId>,
        count: usize,
    ) -> impl Future<Output = Result<(Vec<Stored>, u64), StoreError>> + Send;

    /// The key of this store's cursors, made once and the same for every process.
    fn cursor_key(&self) -> impl Future<Output = Result<CursorKey, StoreError>> + Send;
}

/// A page ends behind the resource that passes this: Lambda answers at most 6 MB, in which the page is escaped once more.
pub const PAGE_BYTES: usize = 3 * 1024 * 1024;

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}
