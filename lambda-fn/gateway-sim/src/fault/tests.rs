//! Orders: which are refused, whom they hit.

use super::*;

fn order(json: &str) -> Order {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_ratio_hits_exactly_its_share() {
    for (ratio, hit) in [(1.0, 100), (0.5, 50), (0.25, 25), (0.1, 10), (0.33, 33)] {
        let faults = Faults::default();
        faults.set(order(&format!(r#"{{"kind":"throttled","ratio":{ratio}}}"#))).unwrap();
        assert_eq!((0..100).filter(|_| faults.draw("/Patient").is_some()).count(), hit, "{ratio}");
    }
}

#[test]
fn only_matching_paths_are_hit() {
    let faults = Faults::default();
    faults.set(order(r#"{"kind":"hang","paths":"/Patient"}"#)).unwrap();
    assert!(faults.draw("/Patient/1").is_some());
    assert!(faults.draw("/metadata").is_none());
}

#[test]
fn a_counted_fault_ends_by_itself() {
    let faults = Faults::default();
    faults.set(order(r#"{"kind":"hang","count":2}"#)).unwrap();
    assert_eq!((0..10).filter(|_| faults.draw("/").is_some()).count(), 2);
}

#[test]
fn a_cleared_fault_hits_nobody() {
    let faults = Faults::default();
    faults.set(order(r#"{"kind":"hang"}"#)).unwrap();
    faults.clear();
    assert_eq!(faults.draw("/"), None);
    assert_eq!(faults.order(), None);
}

#[test]
fn orders_without_sense_are_refused_and_change_nothing() {
    let faults = Faults::default();
    for (json, refused) in [
        (r#"{"kind":"hang","ratio":0}"#, Refused::Ratio),
        (r#"{"kind":"hang","ratio":1.5}"#, Refused::Ratio),
        (r#"{"kind":"slow"}"#, Refused::Millis),
        (r#"{"kind":"refuse_connections","ratio":0.5}"#, Refused::Partial),
        (r#"{"kind":"hang","cut_live":true}"#, Refused::CutLive),
    ] {
        assert_eq!(faults.set(order(json)), Err(refused), "{json}");
    }
    assert_eq!(faults.order(), None);
    assert!(serde_json::from_str::<Order>(r#"{"kind":"hang","ration":1}"#).is_err());
}

#[test]
fn the_name_of_a_kind_is_the_word_an_order_uses() {
    for name in [
        "disabled",
        "forbidden",
        "missing_authentication_token",
        "throttled",
        "quota",
        "bad_gateway",
        "unavailable",
        "gateway_timeout",
        "internal",
        "authorizer",
        "hang",
        "slow",
        "reset_before",
        "reset_inside",
        "truncate",
        "garbage",
        "envelope_500",
        "lambda_error",
        "html",
        "late_execution",
        "refuse_connections",
        "app_403",
    ] {
        let kind: Kind = serde_json::from_value(name.into()).unwrap();
        assert_eq!(kind.name(), name);
    }
}
