//! A repeated conditional update that is answered 412 may be refused because of its own first try: that one was
//! carried out and only its answer was lost. A read tells: when the record holds what the client sent, its
//! update stands, and it is told so.

use super::Call;
use super::answer::{self, Answer};
use super::attempt;
use super::commit;
use super::request::sign;
use crate::clock;
use crate::snapshot::LivePool;
use aorta_core::exchange::Attempt;
use aorta_core::upstream::UpstreamKey;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::timeout_at;

/// The record as it stands, when it is what the client sent; none when it is not, or cannot be read.
///
/// A patch cannot be compared with the record it led to, so only `PUT` is confirmed.
pub(super) async fn confirm(call: &Call<'_>, plan: &Attempt, sent: &Bytes) -> Option<Answer> {
    if *call.outgoing.method() != Method::PUT {
        return None;
    }
    let reading = read_back(call, plan.upstream, call.pool);
    let mut answer = timeout_at(clock::instant(plan.request_deadline), reading).await.ok().flatten()?;
    if call.pool.config.unwrap_envelope {
        commit::open_envelope(&mut answer);
    }
    let stands = answer.head.status == StatusCode::OK && answer.is_whole() && is_same(&answer.held, sent);
    stands.then_some(answer)
}

async fn read_back(call: &Call<'_>, upstream: UpstreamKey, pool: &LivePool) -> Option<Answer> {
    let live = pool.upstream(upstream)?;
    let mut head = call.outgoing.read_back().own_head(&live.config).ok()?;
    sign(&live, &mut head, &[]).ok()?;
    let by = clock::instant(clock::now() + call.pool.config.spec.timeouts.connect);
    let mut connection = attempt::connect(call.way(), upstream, by).await?;
    connection.wire.send(&head, Bytes::new(), false).await.ok()?;
    answer::receive(call.way(), connection).await.ok()
}

/// The same resource, whatever the server wrote into its `meta`.
fn is_same(stored: &[u8], sent: &[u8]) -> bool {
    let strip = |text: &[u8]| match serde_json::from_slice(text) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("meta");
            Some(fields)
        }
        _ => None,
    };
    strip(stored).is_some_and(|stored| strip(sent) == Some(stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_recognised_whatever_its_meta_and_the_order_of_its_members() {
        let sent = br#"{"resourceType":"Patient","id":"1","active":true}"#;
        let stored = br#"{"id":"1","meta":{"versionId":"2"},"resourceType":"Patient","active":true}"#;
        assert!(is_same(stored, sent));
        assert!(!is_same(br#"{"id":"1","resourceType":"Patient","active":false}"#, sent));
        assert!(!is_same(b"not json", b"not json"));
    }
}
