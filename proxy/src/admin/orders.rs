//! Orders for an upstream: what was posted, carried out by its pool, and who ordered it recorded.

use super::answer::{Answer, json, text};
use super::rights::Caller;
use crate::clock;
use crate::config::{parse_duration, show_duration};
use crate::explain;
use crate::keeper;
use crate::service::Proxy;
use crate::snapshot::LivePool;
use aorta_core::order::{Declined, EJECTION_MAX, Note, Order, Ordered, REASON_MAX};
use aorta_core::pool::Pool;
use aorta_core::upstream::Upstream;
use http::StatusCode;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// The orders there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Drain,
    Undrain,
    Eject,
    Readmit,
}

/// What was posted.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    reason: String,
    lasts: Option<Duration>,
    forced: bool,
}

/// Carries out an order for an upstream of a pool, both by name.
pub(super) async fn give(
    proxy: &Arc<Proxy>,
    verb: Verb,
    words: &[&str],
    caller: &Caller,
    body: Option<&[u8]>,
) -> Answer {
    let snapshot = proxy.snapshot.load_full();
    let [pool, upstream] = words else { return text(StatusCode::NOT_FOUND, "no such page\n") };
    let Some(live) = snapshot.pools.iter().find(|live| live.name() == *pool) else {
        return unknown("pool", snapshot.pools.iter().map(|live| live.name()));
    };
    let named =
        |pool: &Pool| pool.upstreams().iter().find(|held| held.name() == *upstream).map(Upstream::key);
    let Some(key) = live.read(named) else {
        return unknown("upstream", live.config.upstreams.iter().map(|upstream| upstream.name.as_str()));
    };
    let wish = match read(verb, body) {
        Ok(wish) => wish,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, &format!("{wrong}\n")),
    };
    let now = clock::now();
    let Ok(note) = Note::try_new(&caller.name, &wish.reason, now) else {
        let right = format!("`reason` is to be one line of 1 to {REASON_MAX} characters that can be seen\n");
        return text(StatusCode::BAD_REQUEST, &right);
    };
    let order = match verb {
        Verb::Drain => Order::Drain,
        Verb::Undrain => Order::Undrain,
        Verb::Readmit => Order::Readmit,
        Verb::Eject => {
            let usual = live.config.spec.passive_health.ejection_max.min(EJECTION_MAX);
            Order::Eject { length: wish.lasts.unwrap_or(usual) }
        }
    };
    let ordered = Ordered { order, forced: wish.forced, note: note.clone() };
    let (done, events) = live.decide_untaped(|pool, rng| pool.order(key, ordered, now, rng));
    proxy.tell_ordered(live, &events, Some((key, &note)));
    let (by, why, order, forced) = (note.by(), note.why(), order.name(), wish.forced);
    match done {
        Ok(()) => {
            proxy.metrics.ordered(live.name(), upstream, order);
            tracing::warn!(pool, upstream, order, forced, by, why, "ordered");
            // A killed process leaves word of it.
            let saved = keeper::save(proxy).await;
            stands(live, upstream, order, saved)
        }
        Err(declined) => {
            let words = refusal(upstream, declined);
            tracing::warn!(pool, upstream, order, forced, by, why, declined = words, "an order was declined");
            text(StatusCode::CONFLICT, &format!("{words}\n"))
        }
    }
}

/// How the upstream stands now, and whether that outlives the process.
fn stands(live: &LivePool, upstream: &str, order: &str, saved: bool) -> Answer {
    let mut said = explain::stands(live, upstream).unwrap_or_default();
    if let Value::Object(map) = &mut said {
        map.insert("order".to_owned(), order.into());
        map.insert("saved".to_owned(), saved.into());
    }
    json(&said)
}

fn unknown<'a>(what: &str, known: impl Iterator<Item = &'a str>) -> Answer {
    let known: Vec<_> = known.collect();
    text(StatusCode::NOT_FOUND, &format!("no such {what}; there are {}\n", known.join(", ")))
}

fn refusal(name: &str, declined: Declined) -> String {
    match declined {
        Declined::NoSuchUpstream => format!("{name} is gone"),
        Declined::Drained => format!("{name} is drained already: undrain it to bring it back"),
        Declined::NotDrained => format!("{name} is not drained: readmit it if it is out"),
        Declined::NotOut => format!("{name} is not out: there is nothing to readmit"),
        Declined::TooLong => {
            let most = show_duration(EJECTION_MAX);
            format!("an ejection lasts {most} at most: drain {name} to keep it out until you say otherwise")
        }
        Declined::TooFewLeft { left, needed } => format!(
            "beside {name} {left} would be healthy, and min_healthy is {needed}: bring another one back first, or \
             say that you mean it with `force` (\"force\": true, or --force)"
        ),
    }
}

fn read(verb: Verb, body: Option<&[u8]>) -> Result<Wish, String> {
    let like = match verb {
        Verb::Eject => r#"{"reason": "failing over by hand", "for": "10m"}"#,
        Verb::Drain => r#"{"reason": "patched until noon", "force": true}"#,
        Verb::Undrain | Verb::Readmit => r#"{"reason": "it is mended"}"#,
    };
    let wrong = |what: &str| format!("{what}; send for example {like}");
    let sent = body.and_then(|body| serde_json::from_slice::<Map<String, Value>>(body).ok());
    let sent = sent.ok_or_else(|| wrong("this is no JSON object, or a long one"))?;
    let mut wish = Wish { reason: String::new(), lasts: None, forced: false };
    for (key, value) in &sent {
        match (key.as_str(), value) {
            ("reason", Value::String(reason)) => wish.reason.clone_from(reason),
            ("force", Value::Bool(forced)) if matches!(verb, Verb::Drain | Verb::Eject) => {
                wish.forced = *forced
            }
            ("for", Value::String(lasts)) if verb == Verb::Eject => {
                let lasts = parse_duration(lasts).filter(|lasts| !lasts.is_zero());
                wish.lasts = Some(lasts.ok_or_else(|| wrong("`for` is no time with its unit"))?);
            }
            _ => return Err(wrong(&format!("`{}` is out of place here", key.escape_debug()))),
        }
    }
    if sent.contains_key("reason") { Ok(wish) } else { Err(wrong("a reason is wanted")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(verb: Verb, body: &str) -> Result<Wish, String> {
        read(verb, Some(body.as_bytes()))
    }

    #[test]
    fn an_order_is_read_strictly() {
        let wish = |lasts: Option<u64>, forced| {
            Ok(Wish { reason: "r".to_owned(), lasts: lasts.map(Duration::from_secs), forced })
        };
        assert_eq!(posted(Verb::Undrain, r#"{"reason": "r"}"#), wish(None, false));
        assert_eq!(posted(Verb::Drain, r#"{"reason": "r", "force": true}"#), wish(None, true));
        assert_eq!(posted(Verb::Eject, r#"{"reason": "r", "for": "10m"}"#), wish(Some(600), false));
        for (verb, body) in [
            (Verb::Drain, ""),
            (Verb::Drain, "[]"),
            (Verb::Drain, "{}"),
            (Verb::Drain, r#"{"reason": 1}"#),
            (Verb::Drain, r#"{"reason": "r", "for": "10m"}"#),
            (Verb::Drain, r#"{"reason": "r", "force": "yes"}"#),
            (Verb::Undrain, r#"{"reason": "r", "force": true}"#),
            (Verb::Eject, r#"{"reason": "r", "for": "10"}"#),
            (Verb::Eject, r#"{"reason": "r", "for": "0s"}"#),
            (Verb::Eject, r#"{"reason": "r", "pool": "x"}"#),
        ] {
            let wrong = posted(verb, body).expect_err(body);
            assert!(wrong.contains("send for example {\"reason\": "), "{wrong}");
        }
        assert!(read(Verb::Drain, None).is_err(), "what was too long is not read");
    }

    #[test]
    fn a_refusal_says_what_to_do_instead() {
        for (declined, remedy) in [
            (Declined::Drained, "undrain"),
            (Declined::NotDrained, "readmit"),
            (Declined::TooLong, "drain"),
            (Declined::TooFewLeft { left: 0, needed: 1 }, "--force"),
        ] {
            assert!(refusal("ohio", declined).contains(remedy), "{declined:?}");
        }
    }
}
