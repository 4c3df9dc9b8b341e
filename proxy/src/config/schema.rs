//! The configuration's JSON Schema (draft 2020-12), for editors: made from the table of keys.
//!
//! It says less than `check`: what one key may hold, not how keys and files fit together.

use super::keys::{Change, Key, Kind, Need, scenario, table};
use super::units::{DURATION_PATTERN, SIZE_PATTERN, STATUSES_PATTERN, show_duration, show_size};
use serde_json::{Map, Value, json};

/// The schema of the whole file.
#[must_use]
pub fn schema() -> Value {
    file(&table::ROOT, "Aorta proxy configuration")
}

/// The schema of a scenario, for `simulate`.
#[must_use]
pub fn scenario_schema() -> Value {
    file(&scenario::ROOT, "Aorta scenario")
}

fn file(keys: &[Key], title: &str) -> Value {
    let mut schema = object(keys);
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".to_owned(), json!(title));
    }
    schema
}

fn object(keys: &[Key]) -> Value {
    let properties: Map<_, _> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<_> = keys.iter().filter(|key| key.required()).map(|key| key.name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn property(key: &Key) -> Value {
    let mut value = kind(&key.kind);
    if let Value::Object(map) = &mut value {
        let applies = match key.change {
            Change::Live => "A reload applies it.",
            Change::Restart => "A restart applies it.",
            Change::Never => "",
        };
        let description = format!("{} {}{applies}", key.doc, bounds(&key.kind));
        map.insert("description".to_owned(), json!(description.trim_end()));
        if let Some(default) = default(&key.kind) {
            map.insert("default".to_owned(), default);
        }
    }
    value
}

/// Bounds that a pattern cannot say.
fn bounds(kind: &Kind) -> String {
    match kind {
        Kind::Duration { min, max, .. } => format!("{} to {}. ", show_duration(*min), show_duration(*max)),
        Kind::Size { min, max, .. } => format!("{} to {}. ", show_size(*min), show_size(*max)),
        _ => String::new(),
    }
}

fn kind(kind: &Kind) -> Value {
    let named = |value: Value| json!({"type": "object", "additionalProperties": value});
    match kind {
        Kind::Text { like, .. } => json!({"type": "string", "examples": [like]}),
        Kind::Choice { words, .. } => json!({"enum": words}),
        Kind::Flag { .. } => json!({"type": "boolean"}),
        Kind::Count { min, max, .. } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Share { .. } => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Kind::Duration { .. } => json!({"type": "string", "pattern": DURATION_PATTERN}),
        Kind::Size { .. } => json!({"type": "string", "pattern": SIZE_PATTERN}),
        Kind::Texts { like } => json!({"type": "array", "items": {"type": "string", "examples": [like]}}),
        Kind::Words { words } => json!({"type": "array", "items": {"enum": words}, "uniqueItems": true}),
        Kind::Statuses { min, max, .. } => {
            let one = json!({"type": "integer", "minimum": min, "maximum": max});
            let range = json!({"type": "string", "pattern": STATUSES_PATTERN});
            json!({"oneOf": [one, range, {"type": "array", "minItems": 1, "items": {"oneOf": [one, range]}}]})
        }
        Kind::Members => named(json!({"type": ["string", "boolean", "integer"]})),
        Kind::Headers => named(json!({"type": "string"})),
        Kind::Secret | Kind::OptionalSecret => json!({"oneOf": [one("file"), one("env")]}),
        Kind::SecretHeaders => named(json!({"oneOf": [{"type": "string"}, one("file"), one("env")]})),
        Kind::WordOr(words, keys) => json!({"oneOf": [{"enum": words}, object(keys)]}),
        Kind::Block(keys) | Kind::OptionalBlock(keys) => object(keys),
        Kind::Blocks(keys) | Kind::OptionalBlocks(keys) => {
            json!({"type": "array", "minItems": 1, "items": object(keys)})
        }
        Kind::NamedBlocks(keys) => {
            json!({"type": "object", "minProperties": 1, "additionalProperties": object(keys)})
        }
    }
}

fn one(source: &str) -> Value {
    let properties = Map::from_iter([(source.to_owned(), json!({"type": "string"}))]);
    json!({"type": "object", "properties": properties, "required": [source], "additionalProperties": false})
}

fn default(kind: &Kind) -> Option<Value> {
    Some(match kind {
        Kind::Text { need: Need::Default(text), .. } => json!(text),
        Kind::Choice { default, .. } | Kind::Statuses { default, .. } => json!(default),
        Kind::Flag { default } => json!(default),
        Kind::Count { default, .. } => json!(default),
        Kind::Share { default } => json!(default),
        Kind::Duration { default, .. } => json!(show_duration(*default)),
        Kind::Size { default, .. } => json!(show_size(*default)),
        Kind::WordOr(words, _) => json!(words.first()),
        _ => return None,
    })
}
