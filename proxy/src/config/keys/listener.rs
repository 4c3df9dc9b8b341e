//! The keys of a listener: where clients are accepted, what they may use, and who may speak for them.

use super::table::{GIB, KIB, MIB, count, duration, live, ms, required, restart, secs, size};
use super::{Key, Kind};

pub(super) static LISTENER: [Key; 4] = [
    restart("address", required("127.0.0.1:8080"), "Address and port to accept on."),
    restart("tls", Kind::OptionalBlock(&LISTENER_TLS), "Speak TLS here; absent: plain HTTP."),
    live(
        "limits",
        Kind::Block(&LIMITS),
        "What one client may use. Of a header: after the request that a connection waits for, with HTTP/2 from its next on.",
    ),
    live(
        "trusted_proxies",
        Kind::Texts { like: "10.0.0.0/8" },
        "Proxies before this one: what they say of their client (X-Forwarded-For, -Proto) is believed.",
    ),
];

static LISTENER_TLS: [Key; 2] = [
    live("certificate", required("/etc/aorta/tls/aorta.crt"), "PEM file: the leaf first, then its chain."),
    live("private_key", required("/etc/aorta/tls/aorta.key"), "PEM file with the key of the leaf."),
];

static LIMITS: [Key; 6] = [
    live("header_bytes", size(32 * KIB, KIB, MIB), "Request line and header block together."),
    live(
        "header_time",
        duration(secs(10), ms(100), secs(300)),
        "From a request's first byte to the end of its header block.",
    ),
    live("body_bytes", size(10 * MIB, 0, 4 * GIB), "Request body; API Gateway takes 10 MiB."),
    live(
        "body_time",
        duration(secs(60), ms(100), secs(3600)),
        "From the end of the header block to the body's.",
    ),
    live("connections", count(10_000, 1, 1_000_000), "Connections open at once."),
    live("connections_per_client", count(256, 1, 1_000_000), "Of them from one address."),
];
