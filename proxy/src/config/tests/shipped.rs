//! Every file that is shipped loads, and says what is true.

use super::good;
use crate::config::keys::{Key, Kind, table};
use crate::config::load::parse_as;
use crate::config::{Config, Problems, schema};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

/// Loads a shipped file with the secrets and certificates it names in place.
fn load(file: &Path) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("tls")).unwrap();
    fs::create_dir_all(at("secrets")).unwrap();
    let made = rcgen::generate_simple_self_signed(["fhir.example.org".to_owned()]).unwrap();
    fs::write(at("tls/aorta.crt"), made.cert.pem()).unwrap();
    fs::write(at("tls/ca.crt"), made.cert.pem()).unwrap();
    fs::write(at("tls/aorta.key"), made.signing_key.serialize_pem()).unwrap();
    fs::create_dir_all(at("secrets/aws")).unwrap();
    for name in ["ohio.key", "quota.key", "aws/access_key_id", "aws/secret_access_key", "aws/session_token"] {
        fs::write(at("secrets").join(name), "secret\n").unwrap();
    }
    let text = fs::read_to_string(file).unwrap();
    let files = std::cell::RefCell::default();
    let name = file.display().to_string();
    parse_as((&name, &text), folder.path(), &|_| Some("secret".to_owned()), &files)
}

#[test]
fn every_shipped_file_loads() {
    let mut files = vec![shipped().join("aorta.yaml")];
    files.extend(fs::read_dir(shipped().join("examples")).unwrap().map(|entry| entry.unwrap().path()));
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        if let Err(problems) = load(&file) {
            panic!("{problems}");
        }
    }
}

#[test]
fn the_shipped_file_states_the_defaults() {
    let stated = load(&shipped().join("aorta.yaml")).unwrap();
    let meant = good(
        "listeners: [{address: 127.0.0.1:8080}]\nroutes: [{name: ehr, pool: records}]\npools:\n  records:\n    \
         dialect: api_gateway\n    fhir: true\n    active_health: {}\n    upstreams:\n      \
         - {name: virginia, url: https://virginia.fhir.example.org/Server1}\n      \
         - {name: ohio, url: https://ohio.fhir.example.org/Server2}\n",
    );
    // They say the same in other words.
    assert_ne!(stated.hash, meant.hash);
    assert_eq!(format!("{:?}", Config { hash: meant.hash, ..stated }), format!("{meant:?}"));
}

fn every_key(keys: &'static [Key], visit: &mut dyn FnMut(&'static Key)) {
    for key in keys {
        visit(key);
        if let Kind::Block(keys)
        | Kind::OptionalBlock(keys)
        | Kind::Blocks(keys)
        | Kind::OptionalBlocks(keys)
        | Kind::NamedBlocks(keys)
        | Kind::WordOr(_, keys) = key.kind
        {
            every_key(keys, visit);
        }
    }
}

#[test]
fn the_shipped_file_names_every_key() {
    let text = fs::read_to_string(shipped().join("aorta.yaml")).unwrap();
    every_key(&table::ROOT, &mut |key| {
        assert!(text.contains(&format!("{}:", key.name)), "{} is not in aorta.yaml", key.name);
        assert!(key.doc.ends_with('.'), "{}: {}", key.name, key.doc);
    });
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    fn count(schema: &Value) -> usize {
        let below = |name: &str| schema.get(name).map_or(0, count);
        let instead: usize =
            schema.get("oneOf").and_then(Value::as_array).map_or(0, |all| all.iter().map(count).sum());
        let properties = schema.get("properties").and_then(Value::as_object);
        let own = properties.map_or(0, |map| map.len() + map.values().map(count).sum::<usize>());
        own + instead + below("items") + below("additionalProperties")
    }
    let mut keys = 0;
    // A secret is a block of its own form: `file` or `env`.
    let secret = |key: &Key| matches!(key.kind, Kind::Secret | Kind::OptionalSecret | Kind::SecretHeaders);
    every_key(&table::ROOT, &mut |key| keys += if secret(key) { 3 } else { 1 });
    let schema = schema();
    assert_eq!(count(&schema), keys);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let connect = &schema["properties"]["pools"]["additionalProperties"]["properties"]["timeouts"]["properties"]
        ["connect"];
    assert_eq!(connect["default"], "2s");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn every_default_is_within_its_bounds() {
    every_key(&table::ROOT, &mut |key| {
        let within = match key.kind {
            Kind::Count { default, min, max } => (min..=max).contains(&default),
            Kind::Duration { default, min, max } => (min..=max).contains(&default),
            Kind::Size { default, min, max } => (min..=max).contains(&default),
            Kind::Share { default } => (0.0..=1.0).contains(&default),
            Kind::Choice { words, default } => words.contains(&default),
            _ => true,
        };
        assert!(within, "{}", key.name);
    });
}
