//! The embedded store: one SQLite file that several processes of one machine may share. The only file that names
//! rusqlite.
//!
//! Every write is one short `BEGIN IMMEDIATE` transaction; readers see one snapshot (WAL). A process that is frozen
//! inside a transaction holds the others' writes up until `BUSY_TIMEOUT` turns them into [`StoreError::Busy`].

mod records;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fhir::VersionId;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
    params_from_iter,
};
use tokio::sync::Semaphore;

use super::{DeleteOutcome, Key, Page, Put, PutOutcome, Store, StoreError, Stored};
use crate::concurrency::Precondition;
use crate::search::Query;
use crate::search::cursor::CursorKey;
use crate::time::Timestamp;

/// How long a write waits for another's. Well below the 10 s that the proxy gives an attempt.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two tries to change a file's mode while another process does it, which takes it a few milliseconds.
const MODE_PAUSE: Duration = Duration::from_millis(5);
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
    /// One writer of this process at a time, first come first served: the engine itself lets writers poll, which
    /// starves some of them. Writers of other processes are met by the busy time-out.
    writing: tokio::sync::Mutex<()>,
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
            writing: tokio::sync::Mutex::new(()),
        };
        let store = Self { pool: Arc::new(pool) };
        let began = Instant::now();
        // Whoever meets a process that changes the file's mode is refused at once, and not made to wait by the engine.
        while let Err(busy) = store.run(change_mode).await {
            if !matches!(busy, StoreError::Busy(_)) || began.elapsed() >= busy_timeout {
                return Err(busy);
            }
            tokio::time::sleep(MODE_PAUSE).await;
        }
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

/// The mode stays in the file. Changing it needs the file alone, hence the question first.
fn change_mode(connection: &mut Connection) -> Result<(), StoreError> {
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    Ok(())
}

fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
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
        self.run(move |connection| Ok(records::newest(connection, &key)?.map(|proven| proven.stored))).await
    }

    async fn get_version(&self, key: &Key, version: VersionId) -> Result<Option<Stored>, StoreError> {
        let key = key.clone();
        self.run(move |connection| {
            let mut versions = records::versions(connection, &key, Some(version.next()), 1)?;
            Ok(versions.pop().map(|proven| proven.stored).filter(|stored| stored.version == version))
        })
        .await
    }

    async fn put_if(&self, put: Put) -> Result<PutOutcome, StoreError> {
        let _turn = self.pool.writing.lock().await;
        self.run(move |connection| records::write(connection, &put)).await
    }

    async fn delete_if(
        &self,
        key: &Key,
        precondition: Precondition,
        now: Timestamp,
    ) -> Result<DeleteOutcome, StoreError> {
        let key = key.clone();
        let _turn = self.pool.writing.lock().await;
        self.run(move |connection| records::delete(connection, &key, &precondition, now)).await
    }

    async fn query(&self, query: Query) -> Result<Page, StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            records::find(&transaction, &query)
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
            let versions = records::versions(&transaction, &key, before, count)?;
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
