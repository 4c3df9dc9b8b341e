//! Pools: what the core decides by, and what the adapter needs beside it.

use super::balance::balance;
use super::check::active_health;
use super::hedge::hedge;
use super::names::check_name;
use super::upstream::upstreams;
use crate::config::block::{Block, Text};
use crate::config::outside::Outside;
use crate::config::units::show_duration;
use crate::config::{PoolConfig, Reveal, UpstreamConfig};
use crate::links::page;
use aorta_core::admission::Concurrency;
use aorta_core::bounds::Ratio;
use aorta_core::classify::Dialect;
use aorta_core::outlier::PassiveHealth;
use aorta_core::pool::PoolSpec;
use aorta_core::retry::RetryPolicy;
use aorta_core::retry::backoff::Backoff;
use aorta_core::retry::budget::BudgetSpec;
use aorta_core::slow_start::SlowStart;
use aorta_core::timeout::Timeouts;
use aorta_core::upstream::UpstreamSpec;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

/// What a function takes in one event ("Lambda quotas"); API Gateway's own limit of 10 MB lies above it.
const LAMBDA_BODY_MAX: usize = 6 * 1024 * 1024;

/// All pools, in the order of the file.
pub(super) fn pools(root: &Block<'_>, outside: &Outside<'_>) -> Vec<PoolConfig> {
    let mut pools: Vec<PoolConfig> = Vec::new();
    for (name, block) in root.named_blocks("pools") {
        check_name(&name, block.report());
        // A name that stands twice is reported by the reader; its second pool is read for its mistakes only.
        let pool = pool(&name, &block, outside);
        if !pools.iter().any(|other| other.spec.name == name.text) {
            pools.push(pool);
        }
    }
    pools
}

fn pool(name: &Text<'_>, block: &Block<'_>, outside: &Outside<'_>) -> PoolConfig {
    let (balance, hash_key) = balance(block);
    let (specs, upstreams): (Vec<_>, Vec<_>) = upstreams(block, outside).into_iter().unzip();
    let active_health = block.optional_block("active_health").map(|block| active_health(&block));
    let (active_health, check) = active_health.unzip();
    let retry = block.block("retry");
    let write_affinity = write_affinity(block, &specs);
    let concurrency = concurrency(&block.block("concurrency"), &specs);
    let passive_health = passive_health(&block.block("passive_health"), specs.len());
    let dialect = if block.choice("dialect") == "api_gateway" { Dialect::ApiGateway } else { Dialect::Http };
    let body_max = if dialect == Dialect::ApiGateway { LAMBDA_BODY_MAX } else { usize::MAX };
    let replay_body_max = retry.size("replay_body_max");
    // What is signed is hashed before it is sent, so it must be held: API Gateway takes no unsigned payload.
    let is_signed = specs.iter().any(|upstream| upstream.signed);
    let body_max = if is_signed { body_max.min(replay_body_max) } else { body_max };
    let timeouts = timeouts(&block.block("timeouts"));
    let hedge = hedge(&block.block("hedge"), &retry, &timeouts);
    let spec = PoolSpec {
        name: name.text.to_owned(),
        upstreams: specs,
        balance,
        dialect,
        fhir: block.flag("fhir"),
        passive_health,
        active_health,
        write_affinity,
        slow_start: SlowStart { span: block.duration("slow_start") },
        retry: retry_policy(&retry),
        hedge,
        timeouts,
        concurrency,
        without: None,
    };
    let reveal_upstream = match block.choice("reveal_upstream") {
        "name" => Reveal::Name,
        "url" => Reveal::Url,
        _ => Reveal::Off,
    };
    PoolConfig {
        spec: Arc::new(spec),
        hash_key,
        unwrap_envelope: block.flag("unwrap_envelope"),
        page_marks: page_marks(block, name.text, &upstreams),
        upstreams,
        reveal_upstream,
        compress_min: compress_min(&block.block("compression")),
        check,
        body_max,
        replay_body_max,
        hold_max: retry.size("hold_max"),
    }
}

fn compress_min(block: &Block<'_>) -> Option<usize> {
    let bytes_min = block.size("min_bytes");
    block.flag("enabled").then_some(bytes_min)
}

/// One upstream needs no marks, and only FHIR's links are known.
fn page_marks(block: &Block<'_>, pool: &str, upstreams: &[Arc<UpstreamConfig>]) -> Vec<String> {
    let pinned = block.choice("paging") == "pinned" && block.flag("fhir");
    if !pinned || upstreams.len() < 2 {
        return Vec::new();
    }
    upstreams.iter().map(|upstream| page::mark(pool, &upstream.name)).collect()
}

fn write_affinity(block: &Block<'_>, upstreams: &[UpstreamSpec]) -> Duration {
    let span = block.duration("write_affinity");
    let no_domain = upstreams.iter().all(|upstream| upstream.data_domain.is_empty());
    if !span.is_zero() && no_domain && !upstreams.is_empty() {
        let right = "name the `data_domain` of each upstream, or remove this key";
        block.problem("write_affinity", "means nothing where no upstream names a data_domain", right);
    }
    span
}

/// Where every upstream has its limit, the pool's is no higher than all together: what is beyond waits in the queue
/// and is not refused by all.
fn concurrency(block: &Block<'_>, upstreams: &[UpstreamSpec]) -> Concurrency {
    let limits = upstreams.iter().map(|upstream| upstream.concurrency_max.map(|max| u64::from(max.get())));
    let together =
        limits.sum::<Option<u64>>().and_then(|sum| u32::try_from(sum).ok()).and_then(NonZeroU32::new);
    let max = block.positive("max");
    Concurrency {
        max: together.map_or(max, |together| max.min(together)),
        queue: block.count("queue"),
        queue_timeout: block.duration("queue_timeout"),
    }
}

fn passive_health(block: &Block<'_>, upstreams: usize) -> PassiveHealth {
    let min_healthy = block.positive("min_healthy");
    if upstreams > 0 && min_healthy.get() as usize > upstreams {
        let wrong =
            format!("{min_healthy} is more than the pool has upstreams, so none could ever be ejected");
        block.problem("min_healthy", wrong, format!("write {} or less", (upstreams - 1).max(1)));
    }
    let (ejection, ejection_max) = nested(block, "ejection", "ejection_max");
    PassiveHealth {
        consecutive_failures: block.positive("consecutive_failures"),
        consecutive_app_failures: block.positive("consecutive_app_failures"),
        success_rate_min: block.share("success_rate_min"),
        success_rate_requests: block.positive("success_rate_requests"),
        window: block.duration("window"),
        latency_factor: block.count("latency_factor"),
        latency_min: block.duration("latency_min"),
        ejection,
        ejection_max,
        min_healthy,
        readmit_successes: block.positive("readmit_successes"),
        dry_run: block.flag("dry_run"),
    }
}

fn retry_policy(block: &Block<'_>) -> RetryPolicy {
    let attempts_max = block.count("attempts_max");
    let ambiguous = block.count("attempts_max_ambiguous");
    if ambiguous > attempts_max && block.has("attempts_max_ambiguous") {
        let wrong = format!("{ambiguous} is more than attempts_max ({attempts_max})");
        block.problem("attempts_max_ambiguous", wrong, format!("write {attempts_max} or less"));
    }
    let (base, max) = nested(block, "backoff", "backoff_max");
    RetryPolicy {
        attempts_max: attempts(attempts_max),
        attempts_max_ambiguous: attempts(ambiguous.min(attempts_max)),
        budget: BudgetSpec {
            share: Ratio::percent(u8::try_from(block.count("budget_percent")).unwrap_or(100)),
            min_per_second: block.count("budget_min_per_second"),
            burst: block.count("budget_burst"),
        },
        backoff: Backoff::try_new(base, max).unwrap_or_default(),
        retry_unconditional_put: block.flag("retry_unconditional_put"),
    }
}

/// The table bounds it to what a byte holds and above zero.
fn attempts(number: u32) -> NonZeroU8 {
    u8::try_from(number).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MIN)
}

fn timeouts(block: &Block<'_>) -> Timeouts {
    let (attempt, request) = nested(block, "attempt", "request");
    let (connect, _) = nested(block, "connect", "attempt");
    Timeouts { connect: connect.min(attempt), attempt, request, idle: block.duration("idle") }
}

/// Two times of which the first lies within the second. Written so, it is a mistake if it does not; a default
/// gives way to what was written.
pub(super) fn nested(block: &Block<'_>, inner: &str, outer: &str) -> (Duration, Duration) {
    let (within, limit) = (block.duration(inner), block.duration(outer));
    if within > limit && block.has(inner) {
        let wrong = format!("{} is longer than {outer} ({})", show_duration(within), show_duration(limit));
        block.problem(inner, wrong, format!("write less, or raise {outer}"));
    }
    (within.min(limit), limit)
}
