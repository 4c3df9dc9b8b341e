//! The work on one connection: reading proven versions, writing new ones, searching. Each function runs inside one
//! transaction, its own or its caller's.

use fhir::{Id, ResourceType, VersionId};
use serde_json::Value;

use super::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params, params_from_iter};
use crate::concurrency::Precondition;
use crate::search::cursor::Position;
use crate::search::date::Interval;
use crate::search::{Order, Query, index};
use crate::store::chain::Link;
use crate::store::sql::{self, Statement};
use crate::store::{DeleteOutcome, Key, PAGE_BYTES, Page, Put, PutOutcome, StoreError, Stored};
use crate::time::Timestamp;

/// A version whose own hash was proven, and the two hashes that join it to its neighbours.
pub(super) struct Proven {
    pub(super) stored: Stored,
    hash: String,
    prev_hash: String,
}

pub(super) fn newest(connection: &Connection, key: &Key) -> Result<Option<Proven>, StoreError> {
    Ok(versions(connection, key, None, 1)?.pop())
}

/// The versions older than `before`, newest first; each is proven, and so is every joint between two of them.
pub(super) fn versions(
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
    let updated = Interval::parse(&updated).map_err(|_| broken())?.low;
    let stored = Stored { key: Key { kind, id }, version, updated, body: (!deleted).then_some(body) };
    Ok(Proven { stored, hash, prev_hash })
}

fn corrupt(kind: ResourceType, version: u64, hash: &str) -> StoreError {
    StoreError::Corrupt { kind, version, hash: hash.chars().take(16).collect() }
}

pub(super) fn write(connection: &mut Connection, put: &Put) -> Result<PutOutcome, StoreError> {
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

pub(super) fn delete(
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

pub(super) fn find(connection: &Connection, query: &Query) -> Result<Page, StoreError> {
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
