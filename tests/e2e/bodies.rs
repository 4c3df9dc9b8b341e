//! Bodies: a request's is replayed up to the limit and streamed once beyond it; an answer's is streamed when it
//! is large, and a break in mid-stream is passed on as a break.

use crate::world::World;
use bytes::Bytes;
use harness::client::Client;
use harness::eventually;
use harness::raw::Raw;
use harness::upstream::answer::{FHIR_JSON, forbidden, record};
use harness::upstream::ledger::{Seen, hash};
use harness::upstream::script::{Answer, Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use http::Request;

const LIMIT: usize = 64 << 10;

fn body(bytes: usize) -> Bytes {
    Bytes::from_iter((0..bytes).map(|index| b"0123456789abcdef"[index % 16]))
}

async fn world() -> World {
    World::with(Speech::Http1, |setup, _| setup.pool("retry", "{replay_body_max: 64KiB}")).await
}

/// The proxy's own check may come after it.
fn last_post(upstream: &Upstream) -> Seen {
    let ledger = upstream.ledger();
    ledger.seen.iter().rfind(|seen| seen.method == "POST").cloned().expect("a POST was seen")
}

#[tokio::test]
async fn a_body_at_the_limit_is_replayed_whole() {
    let world = world().await;
    world.virginia.obey(Order::before(Behaviour::Say(forbidden())));
    let reply = world.client().post("/Patient", body(LIMIT)).await;
    assert_eq!((reply.status, reply.attempts(), reply.upstream()), (201, 2, "ohio"));
    let (first, second) = (last_post(&world.virginia), last_post(&world.ohio));
    assert_eq!((first.body_len, first.body_hash), (LIMIT, hash(&body(LIMIT))));
    assert_eq!((second.body_len, second.body_hash), (LIMIT, hash(&body(LIMIT))));
}

#[tokio::test]
async fn a_body_one_byte_over_the_limit_goes_out_once_and_is_never_replayed_truncated() {
    let world = world().await;
    world.virginia.obey(Order::before(Behaviour::Say(forbidden())));
    let reply = world.client().post("/Patient", body(LIMIT + 1)).await;
    assert_eq!((reply.status, reply.attempts()), (403, 1), "what the upstream said is passed on");
    assert_eq!(last_post(&world.virginia).body_hash, hash(&body(LIMIT + 1)));
    assert!(world.ohio.ledger().seen.is_empty(), "nobody else was asked");
    world.proxy.access(1).await;
    let denied = world.proxy.metrics().count("aorta_retries_denied_total", &[("reason", "body_too_large")]);
    assert_eq!(denied, 1);
}

#[tokio::test]
async fn a_body_over_the_limit_still_moves_when_its_first_upstream_never_got_a_byte() {
    let world = world().await;
    world.virginia.refuse().await;
    let reply = world.client().post("/Patient", body(LIMIT * 4)).await;
    assert_eq!((reply.status, reply.attempts()), (201, 2));
    assert_eq!(world.ohio.last().body_hash, hash(&body(LIMIT * 4)));
}

#[tokio::test]
async fn a_large_upload_arrives_whole_by_both_protocols_and_both_framings() {
    for speech in [Speech::Http1, Speech::Http2] {
        let world = World::with(speech, |setup, authority| setup.tls(&authority.files("aorta.test"))).await;
        for http2 in [false, true] {
            let mut client = Client::new(world.proxy.tls_target(&world.authority, http2));
            let reply = client.post("/Patient", body(3 << 20)).await;
            assert_eq!(
                (reply.status, reply.json()["body_hash"].as_str()),
                (201, Some(&*hash(&body(3 << 20))))
            );
        }
    }
}

#[tokio::test]
async fn a_chunked_upload_over_the_limit_arrives_whole_however_it_is_cut() {
    let world = world().await;
    for (bytes, piece) in [(LIMIT + 4000, 7), (LIMIT * 3, 1000), (LIMIT * 2, 4099), (LIMIT * 16, 70_000)] {
        let mut raw = Raw::connect(world.proxy.address()).await;
        raw.send("POST /Patient HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for piece in body(bytes).chunks(piece) {
            // In three writes, so that the proxy meets every border of a chunk.
            raw.send(format!("{:x}\r\n", piece.len())).await;
            raw.send(piece).await;
            raw.send("\r\n").await;
        }
        raw.send("0\r\n\r\n").await;
        let answer = raw.answer().await;
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &told["body_len"]), (201, &bytes.into()), "in pieces of {piece}");
        assert_eq!(told["body_hash"], hash(&body(bytes)));
    }
}

#[tokio::test]
async fn an_early_answer_leaves_the_rest_of_the_upload_and_the_next_request_apart() {
    let world = world().await;
    let early = Order::before(Behaviour::Early(LIMIT)).on(Answer::new(413, "text/plain", "no more"));
    let order = early.only(|seen| seen.method == "POST");
    world.virginia.obey(order.clone());
    world.ohio.obey(order);
    let upload = body(LIMIT + 4_000);
    let (first, rest) = upload.split_at(LIMIT + 2_000);
    let next = "GET /Patient/next HTTP/1.1\r\nhost: a.test\r\n\r\n";
    // How much of the rest comes with the piece that finds the upstream gone.
    for with_it in [1, 1_000, 2_000] {
        for chunked in [false, true] {
            let mut raw = Raw::connect(world.proxy.address()).await;
            raw.send("GET /Patient/first HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
            assert_eq!(raw.answer().await.status, 200, "the connection has served before");
            let (framing, end) = if chunked {
                ("transfer-encoding: chunked".to_owned(), "\r\n0\r\n\r\n")
            } else {
                (format!("content-length: {}", upload.len()), "")
            };
            let size = if chunked { format!("{:x}\r\n", upload.len()) } else { String::new() };
            let closed = || world.virginia.ledger().closed + world.ohio.ledger().closed;
            let before = closed();
            raw.send(format!("POST /Patient HTTP/1.1\r\nhost: a.test\r\n{framing}\r\n\r\n{size}")).await;
            raw.send(first).await;
            eventually::equal("the upstream has answered and left", before + 1, closed).await;
            let (piece, last) = rest.split_at(with_it);
            if last.is_empty() {
                raw.send([piece, end.as_bytes(), next.as_bytes()].concat()).await;
            } else {
                raw.send(piece).await;
            }
            let answer = raw.answer().await;
            assert_eq!((answer.status, &answer.body[..]), (413, &b"no more"[..]), "{with_it} {chunked}");
            let closes = answer.header("connection").eq_ignore_ascii_case("close");
            if !last.is_empty() {
                raw.send([last, end.as_bytes(), next.as_bytes()].concat()).await;
            }
            let answer = raw.answer().await;
            let of_the_next = if closes { (0, Vec::new()) } else { (200, record("next").to_vec()) };
            assert_eq!(
                (answer.status, answer.body),
                of_the_next,
                "{with_it} {chunked}, said to close: {closes}"
            );
        }
    }
    for region in [&world.virginia, &world.ohio] {
        let seen = region.ledger().seen.iter().map(|seen| seen.target.clone()).collect::<Vec<_>>();
        let known = ["/Patient", "/Patient/first", "/Patient/next", "/metadata"];
        let is_known = |target: &String| known.iter().any(|known| target.ends_with(known));
        assert!(seen.iter().all(is_known), "the rest was taken for a request: {seen:?}");
    }
}

#[tokio::test]
async fn an_answer_larger_than_all_buffers_streams_through() {
    let world = World::with(Speech::Http1, |setup, _| setup.top("buffers", "{total: 2MiB}")).await;
    let big = body(12 << 20);
    for chunked in [false, true] {
        for kind in [FHIR_JSON, "application/octet-stream"] {
            let answer = Answer { chunked, ..Answer::new(200, kind, big.clone()) };
            world.virginia.obey(Order::before(Behaviour::Say(answer.clone())));
            world.ohio.obey(Order::before(Behaviour::Say(answer)));
            let reply = world.client().get("/Binary/1").await;
            assert_eq!((reply.status, reply.hash()), (200, hash(&big)), "{kind}, chunked: {chunked}");
        }
    }
}

#[tokio::test]
async fn a_break_in_mid_stream_is_passed_on_as_a_break_and_never_spliced() {
    for speech in [Speech::Http1, Speech::Http2] {
        let world = World::with(speech, |setup, authority| setup.tls(&authority.files("aorta.test"))).await;
        let answer = Answer::new(200, FHIR_JSON, body(2 << 20));
        for behaviour in [Behaviour::ResetInside, Behaviour::Truncate, Behaviour::TruncateChunked] {
            let chunked = behaviour == Behaviour::TruncateChunked;
            let order = Order::before(behaviour).on(Answer { chunked, ..answer.clone() });
            world.virginia.obey(order.clone());
            world.ohio.obey(order);
            for http2 in [false, true] {
                // A stream that ends cleanly without a length has no break in it: only HTTP/2 can say that.
                if chunked && speech == Speech::Http2 {
                    continue;
                }
                let mut client = Client::new(world.proxy.tls_target(&world.authority, http2));
                let before = world.seen();
                let read = Request::get("/Binary/1").body(Bytes::new()).unwrap();
                let broken = client.send(read).await.expect_err("half an answer is no answer");
                assert!(broken.starts_with("a broken body"), "{speech:?}, HTTP/2 {http2}: {broken}");
                assert_eq!(world.seen() - before, 1, "nobody else was asked");
            }
        }
    }
}
