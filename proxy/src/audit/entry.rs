//! What an entry says.

use crate::clock;
use crate::config::access::Secret;
use crate::head;
use crate::interaction::Interaction;
use crate::record::{UpstreamName, Visit, upstream_name};
use crate::snapshot::Snapshot;
use aorta_core::receipt::Receipt;
use hmac::{Hmac, Mac as _};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;

#[derive(Serialize)]
struct Request<'a> {
    kind: &'static str,
    time: f64,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    method: &'a str,
    path_template: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    route: &'a str,
    upstream: UpstreamName,
    attempts: usize,
    status: u16,
    outcome: &'static str,
}

/// One request.
pub(super) fn request(snapshot: &Snapshot, visit: &Visit, receipt: &Receipt) -> Vec<u8> {
    let pool = visit.pool.and_then(|pool| snapshot.pools.get(pool));
    let route = visit.route.and_then(|route| snapshot.routes.routes().get(route));
    let last = receipt.attempts.deciding();
    let upstream = pool.zip(last).map(|(pool, last)| upstream_name(pool, last.upstream));
    let (resource_type, interaction) = visit.interaction.map(Interaction::words).unzip();
    let entry = Request {
        kind: "request",
        time: clock::unix().as_secs_f64(),
        request_id: visit.request_id.to_str().unwrap_or_default(),
        client: visit.client.map(|client| client.to_canonical().to_string()),
        method: if head::judge_method(&visit.method).is_ok() { visit.method.as_str() } else { "other" },
        path_template: &visit.template,
        resource_type,
        interaction,
        record: visit.record.as_deref(),
        route: route.map_or("", |route| &route.name),
        upstream: upstream.unwrap_or_default(),
        attempts: visit.attempts,
        status: visit.status,
        outcome: receipt.felt().name(),
    };
    serde_json::to_vec(&entry).unwrap_or_default()
}

/// An order of an operator.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// By whose token, or what made the proxy do it.
    pub who: &'a str,
    /// The admin port's path, with stars; or a word where nobody asked there.
    pub order: &'a str,
    /// What stood for the stars.
    pub on: &'a str,
    /// Why, in the operator's words.
    pub reason: &'a str,
    /// What came of it.
    pub status: u16,
}

/// Characters of what an operator says.
const SAID_MAX: usize = 256;

/// An order of an operator.
pub(super) fn order(order: &Order<'_>) -> Vec<u8> {
    let short = |text: &str| text.chars().take(SAID_MAX).collect::<String>();
    said(json!({
        "kind": "order",
        "who": order.who,
        "order": order.order,
        "on": short(order.on),
        "reason": short(order.reason),
        "status": order.status,
    }))
}

/// The process starts.
pub(super) fn start() -> Vec<u8> {
    said(json!({ "kind": "start", "version": env!("CARGO_PKG_VERSION"), "process": std::process::id() }))
}

/// The process ends.
pub(super) fn end() -> Vec<u8> {
    said(json!({ "kind": "end", "process": std::process::id() }))
}

/// So many entries could not be kept.
pub(super) fn lost(count: u64) -> Vec<u8> {
    said(json!({ "kind": "lost", "entries": count }))
}

fn said(mut entry: Value) -> Vec<u8> {
    entry["time"] = clock::unix().as_secs_f64().into();
    entry.to_string().into_bytes()
}

/// What stands for a record: the same for the same record, and nothing to whoever has not the key.
#[derive(Clone, Debug)]
pub(super) struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    pub(super) fn new(key: &Secret) -> Option<Self> {
        Hmac::new_from_slice(key.expose()).ok().map(Self)
    }

    /// Of the record that a path is about: `/Patient/1`, and what is below it.
    pub(super) fn of(&self, path: &str) -> Option<String> {
        let mut words = path.split('/').filter(|word| !word.is_empty());
        let (of, id) = (words.next()?, words.next()?);
        if of.starts_with(['_', '$']) || id.starts_with(['_', '$']) {
            return None;
        }
        let mut hash = self.0.clone();
        hash.update(format!("{of}/{id}").as_bytes());
        let digest: [u8; 32] = hash.finalize().into_bytes().into();
        let half = digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        Some(format!("{half:032x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_one_pseudonym_wherever_it_stands_and_it_tells_nothing() {
        let pseudonyms = Pseudonyms::new(&Secret::new(b"key")).unwrap();
        let of = |path| pseudonyms.of(path);
        let patient = of("/Patient/1").unwrap();
        for same in
            ["/Patient/1/", "/Patient/1/_history/2", "/Patient/1/Observation", "/Patient/1/$everything"]
        {
            assert_eq!(of(same).as_ref(), Some(&patient), "{same}");
        }
        assert_ne!(of("/Patient/2"), of("/Patient/1"));
        for none in ["/", "/Patient", "/Patient/_search", "/Patient/$match", "/_history/1", "/metadata"] {
            assert_eq!(of(none), None, "{none}");
        }
        // printf %s Patient/1 | openssl dgst -sha256 -hmac key -r | cut -c 1-32
        assert_eq!(patient, "cfb29c80fecdbc2b314839b2182f172a");
        assert_ne!(Pseudonyms::new(&Secret::new(b"other")).unwrap().of("/Patient/1"), Some(patient));
    }
}
