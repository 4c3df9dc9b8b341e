//! The keys of client quotas: of a route, and of the store that a fleet shares.

use super::table::{count, duration, flag, live, ms, optional, required, restart, secs, text};
use super::{Key, Kind};

pub(super) static RATE_LIMIT: [Key; 6] = [
    live("requests", count(600, 1, 1_000_000), "So many requests of one client ..."),
    live("per", duration(secs(60), secs(1), secs(86_400)), "... in this time, in the long run."),
    live(
        "burst",
        count(0, 0, 1_000_000),
        "The most that a client which was quiet may ask at once; 0 is as many as `requests`.",
    ),
    live(
        "key",
        text("client_ip", "header:x-tenant"),
        "What tells clients apart: `client_ip` (IPv6 by its /64), or `header:NAME`, else the address.",
    ),
    live("shared", flag(false), "All proxies with the same `quota_store` count together."),
    live(
        "clients_max",
        count(10_000, 1, 1_000_000),
        "Clients remembered; of more, the one furthest from its limit is forgotten.",
    ),
];

pub(super) static QUOTA_STORE: [Key; 7] = [
    restart("address", text("127.0.0.1:6379", "127.0.0.1:6379"), "Host and port."),
    restart("tls", Kind::OptionalBlock(&STORE_TLS), "Speak TLS to it; absent: in the clear."),
    restart(
        "timeout",
        duration(ms(20), ms(1), secs(1)),
        "The longest that a request waits for it; then the proxy counts alone.",
    ),
    restart("prefix", text("aorta", "aorta"), "Its keys are `PREFIX:quota:ROUTE:CLIENT`."),
    restart(
        "secret",
        Kind::Secret,
        "Clients are hashed with it; the same in every proxy that counts together.",
    ),
    restart("username", text("", "aorta"), "A user of its access list; empty: its default user."),
    restart("password", Kind::OptionalSecret, "Its password, if it wants one."),
];

static STORE_TLS: [Key; 2] = [
    restart(
        "ca",
        required("/etc/aorta/tls/ca.crt"),
        "PEM file: the roots that its certificate must lead to.",
    ),
    restart(
        "server_name",
        optional("quota.example.org"),
        "The name its certificate must bear; absent: the host.",
    ),
];
