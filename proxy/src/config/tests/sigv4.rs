//! Signed upstreams: what must stand, what must not stand beside it, and what nobody sees.

use super::{GOOD, check, good};
use crate::config::Renewable;

const KEYS: &str = "access_key_id: {env: KEY}, secret_access_key: {env: KEY}";

fn signed(sigv4: &str) -> String {
    GOOD.replace("Server2\n", &format!("Server2\n        {sigv4}\n"))
}

#[test]
fn a_signature_needs_a_region_and_a_key_whose_secrets_are_never_printed() {
    let config = good(&signed(&format!("sigv4: {{region: us-east-2, {KEYS}}}")));
    let [virginia, ohio] = &config.pools[0].upstreams[..] else { panic!("two upstreams") };
    assert!(virginia.sigv4.is_none());
    let sigv4 = ohio.sigv4.as_ref().unwrap();
    assert_eq!((sigv4.region.as_str(), sigv4.service.as_str()), ("us-east-2", "execute-api"));
    assert_eq!(sigv4.secret_access_key.value(), "s3cr3t-value");
    assert!(sigv4.session_token.is_none() && !Renewable::may_change(&sigv4.access_key_id));
    assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
    let signs: Vec<_> = config.pools[0].spec.upstreams.iter().map(|upstream| upstream.signed).collect();
    assert_eq!(signs, [false, true]);
}

#[test]
fn what_a_pool_that_signs_cannot_hold_it_does_not_take() {
    let unsigned = &good(&GOOD.replace("upstreams:", "dialect: api_gateway\n    upstreams:")).pools[0];
    assert_eq!(unsigned.body_max, 6 << 20);
    let pool = &good(&signed(&format!("sigv4: {{region: us-east-2, {KEYS}}}"))).pools[0];
    assert_eq!(pool.body_max, pool.replay_body_max);
}

#[test]
fn every_mistake_of_a_signature_is_told() {
    check(
        &signed(
            "sigv4: {region: US East, service: \"\", access_key_id: AKIDEXAMPLE, session_token: {env: NONE}}",
        ),
        &[
            "10:9: pools.records.upstreams[1].sigv4.secret_access_key: is missing; write `{env: VARIABLE}` or \
             `{file: PATH}`",
            "10:25: pools.records.upstreams[1].sigv4.region: `US East` is no name of AWS; write it as AWS does, in \
             small letters, digits and hyphens",
            "10:43: pools.records.upstreams[1].sigv4.service: `` is no name of AWS; write it as AWS does, in small \
             letters, digits and hyphens",
            "10:62: pools.records.upstreams[1].sigv4.access_key_id: holds a secret in plain sight; write \
             `{env: VARIABLE}` or `{file: PATH}`",
            "10:96: pools.records.upstreams[1].sigv4.session_token.env: the environment has no `NONE`; set it for the \
             proxy's process, or use `{file: PATH}`",
        ],
    );
    check(
        &signed(&format!(
            "headers: {{authorization: {{env: KEY}}}}\n        sigv4: {{region: us-east-2, {KEYS}}}"
        )),
        &[
            "10:9: pools.records.upstreams[1].headers: sets `authorization`, which belongs to the signature of `sigv4`; \
           remove it there, or remove `sigv4`",
        ],
    );
}
