//! Every key of a scenario, in the order of the file: what `simulate` sends a pool through.
//!
//! The defaults are those of the simulation in `aorta-core` (a test compares them) and, for a throttle, those
//! of an AWS account (AWS, "Amazon API Gateway quotas": 10,000 requests per second, burst 5,000).

use super::table::{count, duration, ms, optional, secs, text};
use super::{Change, Key, Kind};
use aorta_core::simulate::weather::Weather;

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, change: Change::Never, doc }
}

/// A share that is nothing unless it is written.
const NONE: Kind = Kind::Share { default: 0.0 };

/// The whole file.
pub(in crate::config) static ROOT: [Key; 7] = [
    key("about", text("", "Ohio went dark for half a minute"), "What happens, in a sentence."),
    key("pool", optional("records"), "The pool that is tried; absent: `--pool`, or the only one."),
    key("proxies", count(1, 1, 10_000), "Proxies with this configuration, before the same upstreams."),
    key("span", duration(secs(120), secs(1), secs(86_400)), "Requests arrive this long."),
    key("traffic", Kind::Block(&TRAFFIC), "Who asks each proxy."),
    key("upstreams", Kind::NamedBlocks(&UPSTREAM), "How upstreams fare, by their names in the pool."),
    key("expect", Kind::OptionalBlock(&EXPECT), "What must come of it, or `simulate` ends with 1."),
];

static TRAFFIC: [Key; 11] = [
    key("requests_per_second", count(100, 1, 100_000), "At each proxy, on average."),
    key("reads", Kind::Share { default: 1.0 }, "The share that reads; the others write."),
    key("repeatable_writes", NONE, "The share of writes that may be executed twice."),
    key("conditional_writes", NONE, "The share of those that may be so in one `data_domain` only."),
    key("clients", count(10, 1, 1_000_000), "How many clients a proxy has."),
    key("bad_keys", count(0, 0, 1_000_000), "Clients whose key every gateway refuses."),
    key("large_bodies", NONE, "The share whose body is too large to be kept for a repetition."),
    key("streamed", NONE, "The share whose answer streams."),
    key("impatient", NONE, "The share whose client leaves within a second."),
    key("hurried", NONE, "The share whose client sets a deadline within two seconds."),
    key("bursts", Kind::OptionalBlocks(&BURST), "When the rate is another."),
];

static BURST: [Key; 3] = [
    key("from", duration(secs(0), ms(0), secs(86_400)), "Its beginning."),
    key("until", duration(secs(86_400), ms(0), secs(86_400)), "Its end; absent: that of the span."),
    key("requests_per_second", count(100, 1, 100_000), "At each proxy, on average."),
];

static UPSTREAM: [Key; 5] = [
    key("latency", duration(ms(20), ms(1), secs(60)), "What half of its answers take at most."),
    key(
        "latency_p99",
        duration(ms(100), ms(1), secs(600)),
        "What all but one in a hundred take at most; absent: five times `latency`.",
    ),
    key("throttle", Kind::OptionalBlock(&THROTTLE), "The gateway answers 429 beyond this; absent: never."),
    key(
        "at_once",
        count(0, 0, 1_000_000),
        "Requests of all proxies that it serves in its usual time; twice as many take twice as long; 0: any.",
    ),
    key(
        "faults",
        Kind::OptionalBlocks(&FAULT),
        "When it does not serve; the first that covers a moment rules.",
    ),
];

static THROTTLE: [Key; 2] = [
    key("requests_per_second", count(10_000, 1, 10_000_000), "From all proxies together."),
    key("burst", count(5_000, 1, 10_000_000), "Requests that may come at once."),
];

static FAULT: [Key; 7] = [
    key(
        "fault",
        Kind::Choice { words: &Weather::FAULTS, default: "refuse_connections" },
        "What it does to requests.",
    ),
    key("from", duration(secs(0), ms(0), secs(86_400)), "Its beginning."),
    key("until", duration(secs(86_400), ms(0), secs(86_400)), "Its end; absent: that of the span."),
    key("share", Kind::Share { default: 1.0 }, "The share of requests it hits."),
    key("times", count(50, 2, 100_000), "How many times slower `slow` is."),
    key(
        "every",
        duration(secs(10), ms(1), secs(86_400)),
        "It flaps: from one beginning to the next; only with `lasting`.",
    ),
    key("lasting", duration(secs(5), ms(1), secs(86_400)), "How long it stays each time; only with `every`."),
];

static EXPECT: [Key; 7] = [
    key("lost", count(0, 0, u32::MAX), "Requests that may be lost; what is absent here is not judged."),
    key("lost_reads", count(0, 0, u32::MAX), "Reads that may be lost."),
    key("executed_twice", count(0, 0, u32::MAX), "Requests that must not be executed twice, and are."),
    key("ejections", count(0, 0, u32::MAX), "Times that a proxy may eject an upstream."),
    key("attempts_percent", count(127, 100, 1_000), "Attempts for each hundred requests."),
    key("p99", duration(secs(1), ms(1), secs(3_600)), "What all but one in a hundred may take."),
    key(
        "overload_percent",
        count(110, 100, 100_000),
        "What an upstream may receive in any step after its last fault, in per cent of its fair share.",
    ),
];
