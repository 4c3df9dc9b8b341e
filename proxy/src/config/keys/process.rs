//! The keys that concern the process as a whole: its end, its memory, what it tells.

use super::table::{GIB, MIB, duration, live, required, restart, secs, size, text};
use super::{Key, Kind};

pub(super) static ADMIN: [Key; 3] = [
    restart(
        "address",
        text("127.0.0.1:9901", "127.0.0.1:9901"),
        "Where the admin port is. One that other machines reach wants `tokens`, or `remote: probes`.",
    ),
    live(
        "remote",
        Kind::Choice { words: &["all", "probes"], default: "all" },
        "What other machines may ask: all that their token allows, or only /livez, /readyz and /metrics, as everybody may.",
    ),
    live(
        "tokens",
        Kind::OptionalBlocks(&TOKEN),
        "Who may ask for more than those. Absent: whoever is on this machine; else everybody needs one.",
    ),
];

static TOKEN: [Key; 3] = [
    live("name", required("on-call"), "Who bears it: it stands beside what was ordered with it."),
    live(
        "right",
        Kind::Choice { words: &["read", "write"], default: "read" },
        "To look only, or to give orders too.",
    ),
    live("secret", Kind::Secret, "The token, at least 16 characters; sent as `Authorization: Bearer`."),
];

pub(super) static AUDIT: [Key; 2] = [
    restart(
        "file",
        required("/var/lib/aorta/audit.jsonl"),
        "Appended to, an entry a line, each with the hash of the one before: `aorta-proxy audit verify`.",
    ),
    restart(
        "key",
        Kind::OptionalSecret,
        "Entries name the record asked for by a pseudonym made with it; absent: not at all.",
    ),
];

pub(super) static SHUTDOWN: [Key; 3] = [
    restart(
        "unready",
        duration(secs(0), secs(0), secs(300)),
        "After SIGTERM readiness fails this long before the listeners close: what a load balancer needs to notice.",
    ),
    restart(
        "idle",
        duration(secs(3), secs(0), secs(300)),
        "An idle client connection is kept this long, to serve one more request and be closed with its answer.",
    ),
    restart(
        "limit",
        duration(secs(30), secs(1), secs(3600)),
        "The longest wait for what is in flight, from the moment the listeners close.",
    ),
];

pub(super) static BUFFERS: [Key; 1] = [restart(
    "total",
    size(256 * MIB, MIB, 1024 * GIB),
    "For all requests together; beyond it a request is streamed and gets one attempt.",
)];

pub(super) static RELOAD: [Key; 1] = [live(
    "watch",
    duration(secs(1), secs(0), secs(3600)),
    "How often this file, and the certificates and secrets it names, are looked at for a change; `0s` is never.",
)];

pub(super) static LOG: [Key; 2] = [
    live(
        "level",
        Kind::Choice { words: &["error", "warn", "info", "debug", "trace"], default: "info" },
        "The least severe line that is written.",
    ),
    live(
        "access",
        Kind::WordOr(&["all", "errors", "none"], &SAMPLED),
        "Which requests leave an access line; failed ones do unless it is `none`.",
    ),
];

static SAMPLED: [Key; 1] =
    [live("sampled", Kind::Share { default: 0.1 }, "The share of successful requests that leave a line.")];

pub(super) static TRACES: [Key; 2] = [
    restart(
        "endpoint",
        text("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
        "A collector that takes OTLP over HTTP in the clear, beside the proxy.",
    ),
    restart(
        "sampled",
        Kind::Share { default: 0.1 },
        "The share of traces begun here that is told; a client's own `traceparent` says so itself.",
    ),
];
