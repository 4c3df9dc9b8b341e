//! The few steps of FHIRPath that the rows need, on plain JSON. As in FHIRPath, a single value is a collection of one,
//! a missing or wrong one is an empty collection, and nothing fails.

use serde_json::Value;

use super::Field;
use super::text::clean;

/// `path` as a collection: the elements of a list, or the value itself.
pub fn items<'v>(parent: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    let value = parent.get(path).unwrap_or(&Value::Null);
    let list = match value {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    };
    list.iter().filter(|item| !item.is_null())
}

/// `path.first()`; JSON null when there is none.
#[must_use]
pub fn first<'v>(parent: &'v Value, path: &str) -> &'v Value {
    items(parent, path).next().unwrap_or(&Value::Null)
}

/// `path.where(key = wanted).first()`; JSON null when there is none.
#[must_use]
pub fn first_where<'v>(parent: &'v Value, path: &str, key: &str, wanted: &Value) -> &'v Value {
    items(parent, path).find(|item| item.get(key) == Some(wanted)).unwrap_or(&Value::Null)
}

/// The text of a primitive: strings as they are, numbers and booleans as they are written. None for anything else
/// and for the empty string, which FHIR does not allow.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `path` as the value of a row.
#[must_use]
pub fn field(parent: &Value, path: &str) -> Field {
    let value = first(parent, path);
    match scalar(value) {
        Some(text) => Field::Known(clean(&text)),
        None if matches!(value, Value::Array(_) | Value::Object(_)) => Field::Unreadable,
        None => Field::Absent,
    }
}

/// The parts that are there, joined; absent when none is.
#[must_use]
pub fn joined(parts: impl IntoIterator<Item = String>, separator: &str) -> Field {
    let parts: Vec<String> = parts.into_iter().collect();
    if parts.is_empty() { Field::Absent } else { Field::Known(clean(&parts.join(separator))) }
}
