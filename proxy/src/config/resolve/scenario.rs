//! What a scenario means: the core's own, and what must come of it.

use crate::config::block::{Block, Text};
use crate::config::keys::scenario;
use crate::config::nearest::nearest;
use crate::config::problem::{Problem, Report, quoted};
use crate::config::raw::Node;
use crate::config::scenario::{Expect, Scenario};
use crate::config::units::show_duration;
use crate::config::{Config, PoolConfig};
use aorta_core::simulate::scenario::{self as core, Burst, Capacity, Rhythm, Sky, Spell, Throttle, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Some minutes of computing.
const REQUESTS_MAX: f64 = 1e8;

/// Builds the scenario over a pool of `config`: the one asked for, else the one the file names, else the only
/// one.
///
/// # Errors
/// Every mistake in the file.
pub(in crate::config) fn resolve(
    node: &Node,
    config: &Config,
    asked: Option<&str>,
) -> Result<Scenario, Vec<Problem>> {
    let report = Report::default();
    let root = Block::root(node, &scenario::ROOT, &report);
    let pool = pool(&root, config, asked);
    let span = root.duration("span");
    let proxies = root.count("proxies");
    let traffic = traffic(&root.block("traffic"), span);
    bounded(&root, proxies, &traffic, span);
    let skies = skies(&root, pool, span);
    let expect = root.optional_block("expect").map(|block| expect(&block)).unwrap_or_default();
    let about = root.text("about").map(|about| about.text.to_owned()).unwrap_or_default();
    match (pool, report.into_problems()) {
        (Some(pool), problems) if problems.is_empty() => {
            let scenario = core::Scenario {
                pool: Arc::clone(&pool.spec),
                proxies,
                traffic,
                skies,
                span,
                orders: Vec::new(),
            };
            Ok(Scenario { about, scenario, expect })
        }
        (_, problems) => Err(problems),
    }
}

fn pool<'c>(root: &Block<'_>, config: &'c Config, asked: Option<&str>) -> Option<&'c PoolConfig> {
    let names = || config.pools.iter().map(|pool| pool.spec.name.as_str());
    let named = |name: &str| config.pools.iter().find(|pool| pool.spec.name == name);
    let written = root.text("pool");
    if let Some(asked) = asked {
        return named(asked);
    }
    if let Some(Text { text, .. }) = written {
        let found = named(text);
        if found.is_none() {
            root.problem("pool", format!("{} is no pool", quoted(text)), one_of(text, names()));
        }
        return found;
    }
    match &config.pools[..] {
        [only] => Some(only),
        _ if root.has("pool") => None,
        _ => {
            let wrong = "is missing where the configuration has several pools";
            root.problem("pool", wrong, one_of("", names()));
            None
        }
    }
}

fn traffic(block: &Block<'_>, span: Duration) -> Traffic {
    let clients = block.count("clients");
    let bad_keys = block.count("bad_keys");
    if bad_keys > clients {
        let wrong = format!("{bad_keys} is more than there are clients");
        block.problem("bad_keys", wrong, format!("write {clients} or less, or raise `clients`"));
    }
    let burst = |block: &Block<'_>| {
        let (from, until) = period(block, span);
        Burst { from, until, rate: f64::from(block.count("requests_per_second")) }
    };
    Traffic {
        rate: f64::from(block.count("requests_per_second")),
        bursts: block.blocks("bursts").iter().map(burst).collect(),
        safe: block.share("reads"),
        idempotent: block.share("repeatable_writes"),
        conditional: block.share("conditional_writes"),
        clients: u64::from(clients),
        bad_keys: u64::from(bad_keys),
        unkept: block.share("large_bodies"),
        streamed: block.share("streamed"),
        leaving: block.share("impatient"),
        hurried: block.share("hurried"),
    }
}

/// A run must end while somebody waits for it.
fn bounded(root: &Block<'_>, proxies: u32, traffic: &Traffic, span: Duration) {
    let busiest = traffic.bursts.iter().map(|burst| burst.rate).fold(traffic.rate, f64::max);
    let requests = f64::from(proxies) * busiest * span.as_secs_f64();
    if requests > REQUESTS_MAX {
        let wrong = format!("means up to {requests} requests, and {REQUESTS_MAX} are the most");
        root.problem("span", wrong, "write a shorter span, a lower rate or fewer proxies");
    }
}

/// A sky for each upstream of the pool, in its order. Without a pool they are read for their mistakes only.
fn skies(root: &Block<'_>, pool: Option<&PoolConfig>, span: Duration) -> Vec<Sky> {
    let upstreams = pool.map(|pool| pool.spec.upstreams.as_slice());
    let mut skies = vec![Sky::default(); upstreams.map_or(0, <[_]>::len)];
    for (name, block) in root.named_blocks("upstreams") {
        let sky = sky(&block, span);
        let Some(upstreams) = upstreams else { continue };
        match upstreams.iter().position(|upstream| upstream.name == name.text) {
            // A name that stands twice is reported by the reader.
            Some(index) => skies[index] = sky,
            None => {
                let wrong = "is no upstream of the pool";
                let names = upstreams.iter().map(|upstream| upstream.name.as_str());
                root.report().add(name.at, &name.path, wrong, one_of(name.text, names));
            }
        }
    }
    skies
}

fn sky(block: &Block<'_>, span: Duration) -> Sky {
    let latency = block.duration("latency");
    let tail = if block.has("latency_p99") {
        let p99 = block.duration("latency_p99");
        if p99 < latency {
            let wrong = format!("{} is less than latency ({})", show_duration(p99), show_duration(latency));
            block.problem("latency_p99", wrong, "write as much or more");
        }
        p99.as_secs_f64() / latency.as_secs_f64()
    } else {
        Sky::default().tail
    };
    let throttle = |block: Block<'_>| Throttle {
        per_second: block.count("requests_per_second"),
        burst: block.count("burst"),
    };
    let throttle = block.optional_block("throttle").map(throttle);
    let at_once = Some(block.count("at_once")).filter(|at_once| *at_once > 0);
    let spells = block.blocks("faults").iter().map(|fault| spell(fault, span)).collect();
    Sky { latency, tail, capacity: Capacity { throttle, at_once }, spells }
}

fn spell(block: &Block<'_>, span: Duration) -> Spell {
    let (from, until) = period(block, span);
    let weather = Weather::named(block.choice("fault")).unwrap_or(Weather::Refuse);
    if block.has("times") && weather != Weather::Slow {
        block.problem("times", "means nothing to this fault", "write `fault: slow`, or remove this key");
    }
    let slowness = block.count("times");
    Spell { share: block.share("share"), slowness, rhythm: rhythm(block), ..Spell::new(weather, from, until) }
}

fn rhythm(block: &Block<'_>) -> Option<Rhythm> {
    let (every, lasting) = (block.duration("every"), block.duration("lasting"));
    match (block.has("every"), block.has("lasting")) {
        (false, false) => return None,
        (true, true) if lasting < every => {}
        (true, true) => {
            let wrong =
                format!("{} is not less than every ({})", show_duration(lasting), show_duration(every));
            block.problem("lasting", wrong, "write less, or raise `every`");
        }
        (true, false) => {
            block.problem("every", "stands without `lasting`", "say how long it stays each time")
        }
        (false, true) => block.problem("lasting", "stands without `every`", "say how often it comes"),
    }
    Some(Rhythm { every, lasting })
}

/// From when to when, within the span.
fn period(block: &Block<'_>, span: Duration) -> (Timestamp, Timestamp) {
    let (from, until) = (block.duration("from"), block.duration("until"));
    if block.has("from") && from >= span {
        let wrong = format!("{} is not within the span ({})", show_duration(from), show_duration(span));
        block.problem("from", wrong, "write less, or raise `span`");
    } else if block.has("until") && until <= from {
        let wrong = format!("{} is not after from ({})", show_duration(until), show_duration(from));
        block.problem("until", wrong, "write a later time");
    }
    (Timestamp::ZERO + from, Timestamp::ZERO + until)
}

fn expect(block: &Block<'_>) -> Expect {
    let count = |name: &str| {
        let count = block.count(name);
        block.has(name).then_some(count)
    };
    let p99 = block.duration("p99");
    Expect {
        lost: count("lost"),
        lost_reads: count("lost_reads"),
        executed_twice: count("executed_twice"),
        ejections: count("ejections"),
        attempts_percent: count("attempts_percent"),
        p99: block.has("p99").then_some(p99),
        overload_percent: count("overload_percent"),
    }
}

fn one_of<'n>(word: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(word, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", names.collect::<Vec<_>>().join(", ")),
    }
}
