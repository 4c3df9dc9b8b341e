//! Records from files: single resources and Bundles, as an operator or a demonstration loads them.

use std::collections::HashMap;

use fhir::{Id, ResourceType};
use serde_json::{Map, Value};

use crate::concurrency::Precondition;
use crate::request::decode_form;
use crate::resource::{InvalidResource, Resource};
use crate::search::Search;
use crate::store::{Key, Put, PutOutcome, Store, StoreError};
use crate::time::Timestamp;

/// What a load did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were not there.
    pub created: usize,
    /// Records that have a new version.
    pub updated: usize,
    /// Records that were there already, word for word.
    pub unchanged: usize,
    /// Conditional references (`Practitioner?identifier=…`) that nothing or several matched; they stay as they are.
    pub unresolved: usize,
}

/// Why a file was not loaded. Resources before the failing one are stored.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Resource number so-and-so of the file, counted from 1, is none.
    #[error("resource {0}: {1}")]
    Invalid(usize, InvalidResource),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Loads one file's bytes: a resource, or a Bundle whose entries are taken one by one, in order. What is sent as a
/// collection (`collection`, `transaction`, `batch`, `searchset`, `history`) is unpacked; a `document` or `message` is a
/// record itself.
pub async fn load<S: Store>(
    store: &S,
    bytes: &[u8],
    now: Timestamp,
    mut new_id: impl FnMut() -> Id,
) -> Result<Report, LoadError> {
    let whole = Resource::parse(bytes).map_err(|error| LoadError::Invalid(1, error))?;
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|_| LoadError::Invalid(1, InvalidResource::NotJson { line: 0, column: 0 }))?;
    let entries = match (whole.kind().as_str(), value.get("type").and_then(Value::as_str)) {
        ("Bundle", Some("collection" | "transaction" | "batch" | "searchset" | "history")) => entries(&value),
        _ => vec![(None, value)],
    };
    let mut places = HashMap::new();
    let mut resources = Vec::new();
    for (index, (full_url, value)) in entries.into_iter().enumerate() {
        let resource =
            Resource::from_value(value.clone()).map_err(|error| LoadError::Invalid(index + 1, error))?;
        let id = resource.id().cloned().unwrap_or_else(&mut new_id);
        let key = Key { kind: resource.kind(), id };
        if let Some(full_url) = full_url.filter(|url| url.starts_with("urn:")) {
            places.insert(full_url, key.to_string());
        }
        resources.push((index, key, value));
    }
    let mut report = Report::default();
    for (index, key, mut value) in resources {
        resolve(store, &mut value, &mut places, &mut report).await?;
        let resource = Resource::from_value(value).map_err(|error| LoadError::Invalid(index + 1, error))?;
        put(store, key, resource, now, &mut report).await?;
    }
    Ok(report)
}

fn entries(bundle: &Value) -> Vec<(Option<String>, Value)> {
    let entries = bundle.get("entry").and_then(Value::as_array).into_iter().flatten();
    entries
        .filter_map(|entry| {
            let full_url = entry.get("fullUrl").and_then(Value::as_str).map(str::to_owned);
            Some((full_url, entry.get("resource")?.clone()))
        })
        .collect()
}

async fn put<S: Store>(
    store: &S,
    key: Key,
    resource: Resource,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), StoreError> {
    let stored = store.get(&key).await?.and_then(|stored| stored.body);
    if stored
        .and_then(|body| serde_json::from_str(&body).ok())
        .is_some_and(|stored: Value| resource.says_the_same_as(&stored))
    {
        report.unchanged += 1;
        return Ok(());
    }
    let put = Put { key, resource, precondition: Precondition::default(), unless: Vec::new(), now };
    match store.put_if(put).await? {
        PutOutcome::Created(_) => report.created += 1,
        PutOutcome::Updated(_) => report.updated += 1,
        PutOutcome::Found(_) | PutOutcome::SeveralFound | PutOutcome::Unmet => {}
    }
    Ok(())
}

/// Makes references inside the Bundle (`urn:uuid:…`) and conditional ones (`Practitioner?identifier=…`) point at records
/// (<https://hl7.org/fhir/R4/http.html#trules>). `places` remembers what was found.
async fn resolve<S: Store>(
    store: &S,
    value: &mut Value,
    places: &mut HashMap<String, String>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut references = Vec::new();
    for_each_reference(value, &mut |members| {
        if let Some(reference) = members.get("reference").and_then(Value::as_str) {
            references.push(reference.to_owned());
        }
    });
    for reference in references.into_iter().filter(|reference| reference.contains('?')) {
        if places.contains_key(&reference) {
            continue;
        }
        match look_up(store, &reference).await? {
            Some(found) => drop(places.insert(reference, found)),
            None => report.unresolved += 1,
        }
    }
    for_each_reference(value, &mut |members| {
        let place = members.get("reference").and_then(Value::as_str).and_then(|text| places.get(text));
        if let Some(place) = place {
            members.insert("reference".into(), place.as_str().into());
        }
    });
    Ok(())
}

async fn look_up<S: Store>(store: &S, reference: &str) -> Result<Option<String>, StoreError> {
    let Some((kind, query)) = reference.split_once('?') else { return Ok(None) };
    let (Ok(kind), Ok(pairs)) = (kind.parse::<ResourceType>(), decode_form(query.as_bytes())) else {
        return Ok(None);
    };
    let Ok(search) = Search::parse(kind, &pairs) else { return Ok(None) };
    if search.query.criteria.is_empty() || !search.ignored.is_empty() {
        return Ok(None);
    }
    let matches = store.query(search.query).await?.matches;
    Ok(match matches.as_slice() {
        [only] => Some(only.key.to_string()),
        _ => None,
    })
}

fn for_each_reference(value: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_reference(item, visit)),
        Value::Object(members) => {
            visit(members);
            members.values_mut().for_each(|member| for_each_reference(member, visit));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
