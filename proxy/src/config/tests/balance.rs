//! Who is asked next: a word, or a map where the policy wants more.

use super::{check, good, pool_with};
use crate::config::HashKey;
use aorta_core::balance::BalancePolicy;

#[test]
fn every_policy_is_a_word() {
    for policy in BalancePolicy::ALL {
        let config = good(&pool_with(&format!("    balance: {}\n", policy.name())));
        assert_eq!(config.pools[0].spec.balance, policy);
    }
}

#[test]
fn a_ring_is_hashed_by_address_header_or_cookie() {
    for (written, key) in [
        ("ring_hash", HashKey::ClientIp),
        ("{ring_hash: {}}", HashKey::ClientIp),
        ("{ring_hash: {key: header:X-Tenant}}", HashKey::Header("x-tenant".parse().unwrap())),
        ("{ring_hash: {key: cookie:session}}", HashKey::Cookie("session".to_owned())),
    ] {
        let config = good(&pool_with(&format!("    balance: {written}\n")));
        assert_eq!(config.pools[0].hash_key, Some(key), "{written}");
    }
}

#[test]
fn a_policy_that_is_none_and_a_key_that_names_nothing_are_mistakes() {
    check(
        &pool_with("    balance: ringhash\n"),
        &["10:14: pools.records.balance: `ringhash` is no choice; did you mean `ring_hash`?"],
    );
    check(
        &pool_with("    balance: {ring_hash: {key: header}}\n"),
        &["10:32: pools.records.balance.ring_hash.key: `header` names no part of a request; \
           write `client_ip`, `header:NAME` or `cookie:NAME`"],
    );
    check(
        &pool_with("    balance: {}\n"),
        &["10:5: pools.records.balance.ring_hash: is missing; write `ring_hash: {key: client_ip}`"],
    );
}
