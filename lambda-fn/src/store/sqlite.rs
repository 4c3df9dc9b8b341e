//! The embedded store: one SQLite file that several processes of one machine may share. The only file that names
//! rusqlite.
//!
//! Every write is one short `BEGIN IMMEDIATE` transaction; readers see one snapshot (WAL). A process that is frozen
//! inside a transaction holds the others' writes up until `BUSY_TIMEOUT` turns them into [`StoreError::Busy`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fhir::{Id, ResourceType, VersionId};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
    params_from_iter,
};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::chain::Link;
use super::sql::{self, Statement};
use super::{DeleteOutcome, Key, PAGE_BYTES, Page, Put, PutOutcome, Store, StoreError, Stored};
use crate::concurrency::Precondition;
use crate::search::cursor::{CursorKey, Position};
use crate::search::{Order, Query, index};
use crate::time::Timestamp;

/// How long a write waits for another's. Well below the 10 s that the proxy gives an attempt.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of one process: more readers than this gain nothing on a machine that also runs the writers.
const CONNECTIONS_MAX: usize = 8;
/// The layout of `schema.sql`; a file that says a higher one was written by a newer program.
const SCHEMA_VERSION: i64 = 1;

/// Records in one SQLite file.
pub struct Sqlite {
    pool: Arc<Pool>,
}

struct Pool {
    path: PathBuf,
    busy_timeout: Duration,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Sqlite {
    /// Opens the file, making it and its schema where they are absent.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_waiting(path, BUSY_TIMEOUT).await
    }

    async fn open_waiting(path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        let pool = Pool {
            path: path.to_owned(),
            busy_timeout,
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(CONNECTIONS_MAX),
        };
        let store = Self { pool: Arc::new(pool) };
        store.run(prepare).await?;
        Ok(store)
    }

    /// Runs blocking work on a connection, off the threads that serve requests.
    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let pool = Arc::clone(&self.pool);
        let _permit =
            self.pool.permits.acquire().await.map_err(|error| StoreError::Failed(error.to_string()))?;
        let blocking = tokio::task::spawn_blocking(move || {
            let mut connection = pool.take()?;
            let outcome = work(&mut connection);
            pool.give(connection);
            outcome
        });
        blocking.await.map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

impl Pool {
    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| connect(&self.path, self.busy_timeout), Ok)
    }

    fn give(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    // The mode stays in the file. Changing it needs the file alone, and a process that meets another doing so is refused
    // at once rather than made to wait: hence the question first.
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        let words = format!("its schema is version {found}, this program knows {SCHEMA_VERSION}");
        return Err(StoreError::Failed(words));
    }
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}

impl Store for Sqlite {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let key = key.clone();
        self.run(move |connection| Ok(newest(connection, &key)?.map(|proven| proven.stored))).await
    }

    async fn get_version(&self, key: &Key, version: VersionId) -> Result<Option<Stored>, StoreError> {
        let key = key.clone();
        self.run(move |connection| {
            let mut versions = versions(connection, &key, Some(version.next()), 1)?;
            Ok(versions.pop().map(|proven| proven.stored).filter(|stored| stored.version == version))
        })
        .await
    }

    async fn put_if(&self, put: Put) -> Result<PutOutcome, StoreError> {
        self.run(move |connection| write(connection, &put)).await
    }

    async fn delete_if(
        &self,
        key: &Key,
        precondition: Precondition,
        now: Timestamp,
    ) -> Result<DeleteOutcome, StoreError> {
        let key = key.clone();
        self.run(move |connection| delete(connection, &key, &precondition, now)).await
    }

    async fn query(&self, query: Query) -> Result<Page, StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            find(&transaction, &query)
        })
        .await
    }

    async fn history(
        &self,
        key: &Key,
        before: Option<VersionId>,
        count: usize,
    ) -> Result<(Vec<Stored>, u64), StoreError> {
        let key = key.clone();
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let versions = versions(&transaction, &key, before, count)?;
            let mut total =
                transaction.prepare_cached("SELECT count(*) FROM res WHERE type = ?1 AND id = ?2")?;
            let total: i64 =
                total.query_row(params![key.kind.as_str(), key.id.as_str()], |row| row.get(0))?;
            Ok((versions.into_iter().map(|proven| proven.stored).collect(), total.unsigned_abs()))
        })
        .await
    }

    async fn cursor_key(&self) -> Result<CursorKey, StoreError> {
        // The first process to ask makes the key; the engine's randomness is seeded by the operating system.
        const MAKE: &str =
            "INSERT OR IGNORE INTO fact (name, value) VALUES ('cursor_key', hex(randomblob(32)))";
        self.run(|connection| {
            connection.execute(MAKE, [])?;
            let secret: String =
                connection
                    .query_row("SELECT value FROM fact WHERE name = 'cursor_key'", [], |row| row.get(0))?;
            Ok(CursorKey::from_secret(&secret))
        })
        .await
    }
}

/// A version whose own hash was proven, and the two hashes that join it to its neighbours.
struct Proven {
    stored: Stored,
    hash: String,
    prev_hash: String,
}

fn newest(connection: &Connection, key: &Key) -> Result<Option<Proven>, StoreError> {
    Ok(versions(connection, key, None, 1)?.pop())
}

/// The versions older than `before`, newest first; each is proven, and so is every joint between two of them.
fn versions(
    connection: &Connection,
    key: &Key,
    before: Option<VersionId>,
    count: usize,
) -> Result<Vec<Proven>, StoreError> {
    const SELECT: &str = "SELECT id, vid, deleted, updated, body, hash, prev_hash FROM res \
                          WHERE type = ?1 AND id = ?2 AND vid < ?3 ORDER BY vid DESC LIMIT ?4";
    let before = before.map_or(i64::MAX, |version| i64::try_from(version.number()).unwrap_or(i64::MAX));
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(SELECT)?;
    let mut rows = statement.query(params![key.kind.as_str(), key.id.as_str(), before, count])?;
    let mut versions: Vec<Proven> = Vec::new();
    while let Some(row) = rows.next()? {
        let proven = prove(key.kind, row)?;
        if let Some(newer) = versions.last().filter(|newer| newer.prev_hash != proven.hash) {
            return Err(corrupt(key.kind, newer.stored.version.number(), &newer.hash));
        }
        versions.push(proven);
    }
    Ok(versions)
}

/// Reads a row of `res` and proves that it is what was written.
fn prove(kind: ResourceType, row: &Row<'_>) -> Result<Proven, StoreError> {
    let (id, number): (String, i64) = (row.get(0)?, row.get(1)?);
    let (deleted, updated): (bool, String) = (row.get(2)?, row.get(3)?);
    let hash: String = row.get(5)?;
    let prev_hash: String = row.get(6)?;
    let number = number.unsigned_abs();
    let broken = || corrupt(kind, number, &hash);
    // A flipped byte may leave no text at all: that is damage like any other.
    let body: String = row.get(4).map_err(|_| broken())?;
    let link = Link {
        prev_hash: &prev_hash,
        key: &format!("{kind}/{id}"),
        version: number,
        deleted,
        updated: &updated,
        body: &body,
    };
    if link.hash() != hash {
        return Err(broken());
    }
    let id: Id = id.parse().map_err(|_| broken())?;
    let version = VersionId::new(number).ok_or_else(broken)?;
    let updated = crate::search::date::Interval::parse(&updated).map_err(|_| broken())?.low;
    let stored = Stored { key: Key { kind, id }, version, updated, body: (!deleted).then_some(body) };
    Ok(Proven { stored, hash, prev_hash })
}

fn corrupt(kind: ResourceType, version: u64, hash: &str) -> StoreError {
    StoreError::Corrupt { kind, version, hash: hash.chars().take(16).collect() }
}

fn write(connection: &mut Connection, put: &Put) -> Result<PutOutcome, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !put.unless.is_empty() {
        let query = Query {
            kind: put.key.kind,
            criteria: put.unless.clone(),
            order: Order::Id,
            after: None,
            count: 2,
        };
        let mut found = find(&transaction, &query)?.matches;
        match (found.pop(), found.is_empty()) {
            (None, _) => {}
            (Some(only), true) => return Ok(PutOutcome::Found(only)),
            (Some(_), false) => return Ok(PutOutcome::SeveralFound),
        }
    }
    let before = newest(&transaction, &put.key)?;
    let current = before.as_ref().filter(|before| before.stored.body.is_some());
    if !put.precondition.holds(current.map(|current| current.stored.version)) {
        return Ok(PutOutcome::Unmet);
    }
    let version = before.as_ref().map_or(VersionId::FIRST, |before| before.stored.version.next());
    let resource = put.resource.stamped(&put.key.id, version, put.now);
    let existed = current.is_some();
    let stored = append(&transaction, &put.key, before.as_ref(), Some(&resource), put.now)?;
    transaction.commit()?;
    Ok(if existed { PutOutcome::Updated(stored) } else { PutOutcome::Created(stored) })
}

fn delete(
    connection: &mut Connection,
    key: &Key,
    precondition: &Precondition,
    now: Timestamp,
) -> Result<DeleteOutcome, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = newest(&transaction, key)?.filter(|before| before.stored.body.is_some());
    if !precondition.holds(before.as_ref().map(|before| before.stored.version)) {
        return Ok(DeleteOutcome::Unmet);
    }
    let Some(before) = before else { return Ok(DeleteOutcome::Absent) };
    let stored = append(&transaction, key, Some(&before), None, now)?;
    transaction.commit()?;
    Ok(DeleteOutcome::Deleted(stored.version))
}

/// Adds one version to the chain and brings `cur` and `ix` up to it.
fn append(
    transaction: &Transaction<'_>,
    key: &Key,
    before: Option<&Proven>,
    resource: Option<&Value>,
    now: Timestamp,
) -> Result<Stored, StoreError> {
    let version = before.map_or(VersionId::FIRST, |before| before.stored.version.next());
    let (kind, id, number) = (key.kind.as_str(), key.id.as_str(), version.number() as i64);
    let (updated, body) = (now.to_string(), resource.map(Value::to_string));
    let prev_hash = before.map_or("", |before| before.hash.as_str());
    let link = Link {
        prev_hash,
        key: &key.to_string(),
        version: version.number(),
        deleted: body.is_none(),
        updated: &updated,
        body: body.as_deref().unwrap_or_default(),
    };
    transaction
        .prepare_cached("INSERT INTO res VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![kind, id, number, link.deleted, updated, link.body, link.hash(), prev_hash])?;
    transaction.prepare_cached("DELETE FROM ix WHERE type = ?1 AND id = ?2")?.execute(params![kind, id])?;
    let Some(resource) = resource else {
        transaction
            .prepare_cached("DELETE FROM cur WHERE type = ?1 AND id = ?2")?
            .execute(params![kind, id])?;
        return Ok(Stored { key: key.clone(), version, updated: now, body });
    };
    transaction
        .prepare_cached("INSERT OR REPLACE INTO cur VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![kind, id, number, updated])?;
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO ix VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in index::rows(key.kind, resource) {
        insert.execute(params![kind, row.param, row.sys, row.val, id])?;
    }
    Ok(Stored { key: key.clone(), version, updated: now, body })
}

fn find(connection: &Connection, query: &Query) -> Result<Page, StoreError> {
    let Statement { text, parameters } = sql::total(query);
    let total: i64 = connection
        .prepare_cached(&text)?
        .query_row(params_from_iter(&parameters), |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let mut page = Page { matches: Vec::new(), total: total.unsigned_abs(), next: None };
    if query.count == 0 {
        return Ok(page);
    }
    let Statement { text, parameters } = sql::page(query);
    let mut statement = connection.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(&parameters))?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if page.matches.len() == query.count || bytes > PAGE_BYTES {
            page.next = page.matches.last().map(|last| position(query.order, last));
            break;
        }
        let stored = prove(query.kind, row)?.stored;
        bytes += stored.body.as_ref().map_or(0, String::len);
        page.matches.push(stored);
    }
    Ok(page)
}

fn position(order: Order, last: &Stored) -> Position {
    let key = match order {
        Order::Id | Order::IdDescending => String::new(),
        Order::Updated | Order::UpdatedDescending => last.updated.to_string(),
    };
    Position { key, id: last.key.id.clone() }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // The extended code and its fixed words only: the full text can quote SQL.
        match error.sqlite_error() {
            Some(cause) if matches!(cause.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy(cause.to_string())
            }
            Some(cause) => Self::Failed(cause.to_string()),
            None => Self::Failed("the store answered in an unexpected shape".into()),
        }
    }
}

#[cfg(test)]
mod tests;
