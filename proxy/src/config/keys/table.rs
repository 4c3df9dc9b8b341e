//! Every key of the configuration: one entry each, in the order of the file. Flat, and long because flat; what concerns
//! the process as a whole stands in `process`, listeners in `listener`, client quotas in `quota`.
//!
//! The defaults of pools are those of `aorta-core` (a test compares them). The others fit API Gateway, which
//! takes 10 MiB of body and 10 kB of headers; headers have room for plain upstreams that take more.

use super::listener::LISTENER;
use super::process::{ADMIN, AUDIT, BUFFERS, LOG, RELOAD, SHUTDOWN, TRACES};
use super::quota::{QUOTA_STORE, RATE_LIMIT};
use super::{Change, Key, Kind, Need};
use aorta_core::retry::ATTEMPTS_CEILING;
use std::time::Duration;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn live(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, change: Change::Live, doc }
}

pub(super) const fn restart(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, change: Change::Restart, doc }
}

pub(super) const fn required(like: &'static str) -> Kind {
    Kind::Text { need: Need::Required, like }
}

pub(super) const fn optional(like: &'static str) -> Kind {
    Kind::Text { need: Need::Optional, like }
}

pub(super) const fn text(default: &'static str, like: &'static str) -> Kind {
    Kind::Text { need: Need::Default(default), like }
}

pub(super) const fn count(default: u32, min: u32, max: u32) -> Kind {
    Kind::Count { default, min, max }
}

pub(super) const fn duration(default: Duration, min: Duration, max: Duration) -> Kind {
    Kind::Duration { default, min, max }
}

pub(super) const fn size(default: u64, min: u64, max: u64) -> Kind {
    Kind::Size { default, min, max }
}

pub(super) const fn flag(default: bool) -> Kind {
    Kind::Flag { default }
}

/// The whole file.
pub(in crate::config) static ROOT: [Key; 12] = [
    restart("listeners", Kind::Blocks(&LISTENER), "Where clients are accepted."),
    restart("admin", Kind::Block(&ADMIN), "Where metrics and the admin API are."),
    restart("shutdown", Kind::Block(&SHUTDOWN), "How the process ends, on SIGTERM and after an upgrade."),
    live("reload", Kind::Block(&RELOAD), "When a change of this file takes effect by itself."),
    restart(
        "state_dir",
        text("/var/lib/aorta", "/var/lib/aorta"),
        "What outlives the process: who is out and until when, drills. One proxy each; without it nothing is remembered.",
    ),
    restart("buffers", Kind::Block(&BUFFERS), "Memory for held answers and replayable bodies."),
    live("log", Kind::Block(&LOG), "What is logged. Never a query, a token or a record."),
    restart("traces", Kind::OptionalBlock(&TRACES), "Where spans of requests are told; absent: nowhere."),
    restart("audit", Kind::OptionalBlock(&AUDIT), "Who did what: where entries go; absent: there are none."),
    restart(
        "quota_store",
        Kind::OptionalBlock(&QUOTA_STORE),
        "Valkey or Redis, where a fleet counts its clients together; absent: each proxy by itself.",
    ),
    live("routes", Kind::Blocks(&ROUTE), "Which request goes to which pool; the most specific match wins."),
    live("pools", Kind::NamedBlocks(&POOL), "Upstreams that serve the same records, by the pool's name."),
];

static ROUTE: [Key; 6] = [
    live("name", required("ehr"), "Unique; the label of its metrics."),
    live("match", Kind::Block(&MATCH), "What a request must look like; empty matches every one."),
    live("pool", required("records"), "The pool that serves it."),
    live(
        "strip_prefix",
        text("", "/fhir"),
        "Taken off the path before the upstream's own base path is put before it.",
    ),
    live(
        "rate_limit",
        Kind::OptionalBlock(&RATE_LIMIT),
        "How often one client may ask; what is beyond is refused with 429. Absent: no limit.",
    ),
    live(
        "audit",
        Kind::Choice { words: &["off", "open", "closed"], default: "off" },
        "Each request leaves an audit entry; when that cannot be written, `open` serves and `closed` refuses.",
    ),
];

static MATCH: [Key; 4] = [
    live(
        "host",
        text("*", "fhir.example.org"),
        "The host asked for: `*`, a name, or `*.name` for all below it.",
    ),
    live("path_prefix", text("/", "/fhir"), "The start of the path, whole segments."),
    live("methods", Kind::Words { words: &METHODS }, "The methods taken; empty takes all."),
    live("headers", Kind::Headers, "Headers that must stand with exactly this value."),
];

/// What FHIR uses, and what plain HTTP adds that may pass a proxy.
static METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

static POOL: [Key; 16] = [
    live(
        "balance",
        Kind::WordOr(&["round_robin", "least_request", "peak_ewma", "random", "ring_hash"], &BALANCE),
        "Who is asked next among those in rotation; weights are shares for every policy.",
    ),
    live(
        "dialect",
        Kind::Choice { words: &["http", "api_gateway"], default: "http" },
        "How upstreams answer: a status that says it all, or Amazon API Gateway before Lambda.",
    ),
    live("fhir", flag(false), "They speak FHIR: its rules of repetition, and OperationOutcome for errors."),
    live("unwrap_envelope", flag(false), "Turn a Lambda envelope into the response it carries."),
    live(
        "paging",
        Kind::Choice { words: &["pinned", "any"], default: "pinned" },
        "Who continues a search: the upstream that made the page link, or its data_domain; or any.",
    ),
    live(
        "reveal_upstream",
        Kind::Choice { words: &["off", "name", "url"], default: "off" },
        "What `x-aorta-upstream` tells the client.",
    ),
    live("compression", Kind::Block(&COMPRESSION), "Answers in a coding that the client takes."),
    live("upstreams", Kind::Blocks(&UPSTREAM), "Whom it asks: the list to edit when a region comes or goes."),
    live(
        "passive_health",
        Kind::Block(&PASSIVE_HEALTH),
        "When clients' own answers put an upstream out of rotation.",
    ),
    live(
        "active_health",
        Kind::OptionalBlock(&ACTIVE_HEALTH),
        "The proxy's own check: ejects, brings back, and verifies a denial; absent: none.",
    ),
    live(
        "write_affinity",
        duration(secs(0), ms(0), secs(3600)),
        "A client that wrote reads from the same data_domain for this long; `0s` is off.",
    ),
    live(
        "slow_start",
        duration(secs(30), ms(0), secs(3600)),
        "A readmitted upstream takes this long from a tenth of its share to all of it; `0s` is at once.",
    ),
    live("retry", Kind::Block(&RETRY), "When a request is tried again."),
    live("hedge", Kind::Block(&HEDGE), "A second attempt beside a late one, for what only reads."),
    live("timeouts", Kind::Block(&TIMEOUTS), "How long things may take."),
    live("concurrency", Kind::Block(&CONCURRENCY), "How many requests it carries at once."),
];

static COMPRESSION: [Key; 2] = [
    live("enabled", flag(false), "zstd, br or gzip; off, because lengths tell of contents (BREACH)."),
    live("min_bytes", size(KIB, 0, GIB), "Shorter answers go out as they are."),
];

static BALANCE: [Key; 1] = [live(
    "ring_hash",
    Kind::OptionalBlock(&RING_HASH),
    "The same upstream for the same key, unless it carries a quarter more than its share.",
)];

static RING_HASH: [Key; 1] = [live(
    "key",
    text("client_ip", "header:x-tenant"),
    "`client_ip`, `header:NAME` or `cookie:NAME`; a request without it goes to any upstream.",
)];

static UPSTREAM: [Key; 10] = [
    live("name", required("virginia"), "Its identity: health survives a reload under this name."),
    live(
        "url",
        required("https://virginia.fhir.example.org/Server1"),
        "Scheme, host (also Host and SNI), port and base path.",
    ),
    live("addresses", Kind::Texts { like: "192.0.2.1:443" }, "Connect here instead of resolving the host."),
    live("weight", count(1, 1, 1000), "Its share of the pool's requests."),
    live(
        "priority",
        count(0, 0, 100),
        "A higher number takes traffic only when all lower ones are out, throttle or warm up.",
    ),
    live(
        "data_domain",
        text("", "cluster-east"),
        "Upstreams with the same name here share one record store.",
    ),
    live("concurrency_max", count(0, 0, 1_000_000), "Attempts it carries at once; 0 sets no limit."),
    live("tls", Kind::Block(&UPSTREAM_TLS), "How its certificate is judged."),
    live(
        "headers",
        Kind::SecretHeaders,
        "Set on every request to it; a secret is `{file: F}` or `{env: V}`.",
    ),
    live(
        "sigv4",
        Kind::OptionalBlock(&SIGV4),
        "Sign each request to it (AWS Signature Version 4); a client's `Authorization` is replaced; absent: no.",
    ),
];

static SIGV4: [Key; 5] = [
    live("region", required("us-east-1"), "The AWS region of its API."),
    live("service", text("execute-api", "execute-api"), "The service that is asked: API Gateway's name."),
    live("access_key_id", Kind::Secret, "Whose key signs; a file is read again when it changes."),
    live("secret_access_key", Kind::Secret, "The key's secret; likewise."),
    live("session_token", Kind::OptionalSecret, "Of credentials that expire; likewise."),
];

static UPSTREAM_TLS: [Key; 2] = [
    live("ca", optional("/etc/aorta/tls/ca.crt"), "PEM file: trust these roots only; absent: the system's."),
    live(
        "server_name",
        optional("virginia.fhir.example.org"),
        "The name its certificate must bear; absent: the host.",
    ),
];

static PASSIVE_HEALTH: [Key; 12] = [
    live(
        "consecutive_failures",
        count(3, 1, 1000),
        "Failures of transport or gateway in a row that eject; also goodbyes (HTTP/2).",
    ),
    live("consecutive_app_failures", count(5, 1, 1000), "Failures of any kind in a row that eject."),
    live(
        "success_rate_min",
        Kind::Share { default: 0.8 },
        "The share of successes below which it is ejected.",
    ),
    live(
        "success_rate_requests",
        count(10, 1, 1_000_000),
        "Answers the window must hold before its share counts.",
    ),
    live("window", duration(secs(10), secs(1), secs(3600)), "What the share looks back on."),
    live(
        "latency_factor",
        count(5, 0, 1000),
        "Usually this many times slower than most siblings loses share, and with two or more ejects; 0 is off.",
    ),
    live(
        "latency_min",
        duration(ms(500), ms(1), secs(60)),
        "Whatever usually answers within this is never too slow.",
    ),
    live(
        "ejection",
        duration(secs(10), ms(100), secs(3600)),
        "The first ejection; each further one doubles.",
    ),
    live("ejection_max", duration(secs(300), ms(100), secs(86_400)), "The longest ejection."),
    live("min_healthy", count(1, 1, 1000), "Upstreams that stay in rotation whatever they do."),
    live("readmit_successes", count(2, 1, 100), "Successes in a row that bring a probed upstream back."),
    live("dry_run", flag(false), "Say what would be ejected, and eject nobody."),
];

static ACTIVE_HEALTH: [Key; 8] = [
    live("path", text("/metadata", "/metadata"), "Asked below the base path; where `fhir` is on, for JSON."),
    live(
        "interval",
        duration(secs(10), ms(100), secs(3600)),
        "Each upstream is checked at least this often; no two proxies beat in step.",
    ),
    live(
        "timeout",
        duration(secs(2), ms(10), secs(60)),
        "How long its answer may take; not above `interval`.",
    ),
    live("fall", count(3, 1, 100), "Failed checks in a row that eject; the last healthy upstream stays."),
    live("rise", count(2, 1, 100), "Passed checks in a row that bring back what the checks found dead."),
    live(
        "status",
        Kind::Statuses { default: "200-299", min: 200, max: 499 },
        "What a working upstream answers with.",
    ),
    live("header", Kind::Headers, "Headers its answer must bear with exactly this value."),
    live(
        "json",
        Kind::Members,
        "Members its JSON must hold, by path, such as `{resourceType: CapabilityStatement}`.",
    ),
];

static RETRY: [Key; 10] = [
    live(
        "attempts_max",
        count(3, 1, ATTEMPTS_CEILING as u32),
        "Attempts for one request, the first one included.",
    ),
    live(
        "attempts_max_ambiguous",
        count(2, 1, ATTEMPTS_CEILING as u32),
        "The same, for a write that an earlier attempt may have executed.",
    ),
    live("budget_percent", count(20, 0, 100), "Retries for each hundred requests."),
    live("budget_min_per_second", count(3, 0, 10_000), "Retries each second that are always allowed."),
    live("budget_burst", count(20, 0, 100_000), "The most retries that can be saved up."),
    live(
        "backoff",
        duration(ms(25), ms(0), secs(10)),
        "The longest wait before the first retry; doubles, with jitter.",
    ),
    live("backoff_max", duration(ms(250), ms(0), secs(60)), "The longest wait before any retry."),
    live(
        "replay_body_max",
        size(MIB, 0, 64 * MIB),
        "Larger request bodies are streamed and get one attempt.",
    ),
    live(
        "hold_max",
        size(64 * KIB, KIB, 6 * MIB),
        "An answer is held until complete or until it is this long.",
    ),
    live(
        "retry_unconditional_put",
        flag(false),
        "Repeat a FHIR PUT without If-Match, at the price of another version.",
    ),
];

static CONCURRENCY: [Key; 3] = [
    live("max", count(1024, 1, 1_000_000), "Requests under way at once."),
    live(
        "queue",
        count(256, 0, 65_536),
        "Requests that may wait for a place; when it is full, bulk goes first.",
    ),
    live("queue_timeout", duration(secs(1), ms(1), secs(60)), "The longest that one waits."),
];

static HEDGE: [Key; 4] = [
    live(
        "enabled",
        flag(false),
        "Hedge at all; in any case a probe by a request is, and a read whose deadline is near.",
    ),
    live("after", text("p95", "200ms"), "How late an answer must be: `p95` of the pool's reads, or a time."),
    live("after_min", duration(ms(20), ms(0), secs(60)), "The least that `p95` comes to."),
    live("budget_percent", count(5, 0, 100), "Hedges for each hundred requests."),
];

static TIMEOUTS: [Key; 4] = [
    live("connect", duration(secs(2), ms(1), secs(300)), "Until TCP and TLS stand."),
    live("attempt", duration(secs(10), ms(1), secs(3600)), "One attempt, until its answer is judged."),
    live(
        "request",
        duration(secs(29), ms(1), secs(3600)),
        "All attempts; API Gateway itself gives up after 29s.",
    ),
    live(
        "idle",
        duration(secs(60), ms(100), secs(3600)),
        "An unused connection is kept, a stream may pause this long.",
    ),
];
