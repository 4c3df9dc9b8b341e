//! Gauges that are read from the pools when Prometheus asks.

use super::Metrics;
use crate::clock;
use crate::service::Proxy;
use crate::snapshot::{LivePool, Snapshot};
use crate::spans::Counts;
use aorta_core::drill::DrillEnd;
use aorta_core::outlier::EjectReason;
use aorta_core::time::Timestamp;
use aorta_core::upstream::{Health, Upstream};
use prometheus::{Encoder as _, GaugeVec, TextEncoder};
use std::sync::atomic::Ordering;

/// All families in Prometheus' text format.
///
/// # Errors
/// When the encoder fails.
pub fn expose(proxy: &Proxy) -> Result<Vec<u8>, prometheus::Error> {
    let metrics = &proxy.metrics;
    let _still = metrics.still();
    let snapshot = &*proxy.snapshot.load();
    metrics.forget(snapshot);
    for pool in &snapshot.pools {
        look(metrics, pool);
    }
    look_around(metrics, proxy, snapshot);
    let mut text = Vec::new();
    TextEncoder::new().encode(&metrics.registry.gather(), &mut text)?;
    Ok(text)
}

/// What belongs to the process and to no pool.
fn look_around(metrics: &Metrics, proxy: &Proxy, snapshot: &Snapshot) {
    let f = &metrics.families;
    let set = |gauge: &GaugeVec, value: f64| gauge.with_label_values::<&str>(&[]).set(value);
    set(&f.buffers_free, proxy.buffers.free() as f64);
    set(&f.buffers_size, proxy.buffers.size() as f64);
    set(&f.state_saved, f64::from(u8::from(proxy.state.is_good())));
    set(&f.requests_in_flight, proxy.in_flight.load(Ordering::Relaxed) as f64);
    let lost = f.lines_lost.with_label_values::<&str>(&[]);
    lost.inc_by(proxy.access_log.lost().saturating_sub(lost.get()));
    let none = Counts::default();
    let counts = proxy.spans.as_ref().map_or(&none, |spans| &spans.counts);
    for (result, count) in [("sent", &counts.sent), ("lost", &counts.lost), ("failed", &counts.failed)] {
        let told = f.traced.with_label_values(&[result]);
        told.inc_by(count.load(Ordering::Relaxed).saturating_sub(told.get()));
    }
    if let Some(audit) = &proxy.audit {
        set(&f.audit_up, f64::from(u8::from(audit.works())));
        let (written, lost) = audit.counts();
        for (family, count) in [(&f.audit_written, written), (&f.audit_lost, lost)] {
            let booked = family.with_label_values::<&str>(&[]);
            booked.inc_by(count.saturating_sub(booked.get()));
        }
    }
    if let Some(store) = &proxy.quotas.store {
        set(&f.quota_store_up, f64::from(u8::from(store.is_up())));
        for (trouble, count) in store.troubles() {
            let booked = f.quota_store_errors.with_label_values(&[trouble.name()]);
            booked.inc_by(count.saturating_sub(booked.get()));
        }
    }
    set(&f.config_generation, snapshot.loaded.generation as f64);
    set(&f.config_loaded, snapshot.loaded.unix.as_secs_f64());
    // Only the hash in force has a series.
    f.config_info.reset();
    f.config_info.with_label_values(&[format!("{:016x}", snapshot.loaded.hash).as_str()]).set(1.0);
}

fn look(metrics: &Metrics, live: &LivePool) {
    let f = &metrics.families;
    let name = live.name();
    live.read(|pool| {
        let healthy = pool.healthy();
        f.healthy.with_label_values(&[name]).set(healthy as f64);
        f.upstreams.with_label_values(&[name]).set(pool.upstreams().len() as f64);
        f.panic.with_label_values(&[name]).set(f64::from(u8::from(pool.in_panic())));
        f.budget.with_label_values(&[name]).set(pool.budget_balance());
        f.hedge_budget.with_label_values(&[name]).set(pool.hedge_budget_balance());
        let spec = &live.config.spec;
        f.budget_max.with_label_values(&[name]).set(f64::from(spec.retry.budget.burst));
        let min_healthy = spec.passive_health.min_healthy.get();
        f.min_healthy.with_label_values(&[name]).set(f64::from(min_healthy));
        let now = clock::now();
        let drill = pool.drill(now);
        for upstream in pool.upstreams() {
            let drill = drill.filter(|drill| drill.plan.upstream == upstream.key());
            let labels = [name, upstream.name()];
            let until = drill.map_or(0.0, |drill| unix(now + drill.plan.length.saturating_sub(drill.ran)));
            f.drill_active.with_label_values(&labels).set(f64::from(u8::from(drill.is_some())));
            f.drill_until.with_label_values(&labels).set(until);
            look_at(metrics, name, upstream, pool.spec().active_health.is_some());
        }
    });
    for end in DrillEnd::ALL {
        f.drills.with_label_values(&[name, end.name()]);
    }
    let (admitted, queued) = live.state.places.counts();
    f.admitted.with_label_values(&[name]).set(f64::from(admitted));
    f.queued.with_label_values(&[name]).set(queued as f64);
    f.concurrency_max.with_label_values(&[name]).set(f64::from(live.config.spec.concurrency.max.get()));
    for upstream in live.upstreams.iter() {
        let labels = [name, upstream.config.name.as_str()];
        f.dns_stale.with_label_values(&labels).set(f64::from(u8::from(upstream.site.is_stale())));
        f.dns_success.with_label_values(&labels).set(upstream.site.resolved_unix());
    }
}

fn look_at(metrics: &Metrics, pool: &str, upstream: &Upstream, checks: bool) {
    let f = &metrics.families;
    let labels = [pool, upstream.name()];
    for state in Health::NAMES {
        let on = f64::from(u8::from(state == upstream.state(clock::now())));
        f.state.with_label_values(&[pool, upstream.name(), state]).set(on);
    }
    let until = match upstream.health() {
        Health::Ejected { until, .. } => unix(until),
        _ => 0.0,
    };
    f.ejected_until.with_label_values(&labels).set(until);
    let is_ordered = matches!(
        upstream.health(),
        Health::Draining { .. } | Health::Ejected { reason: EjectReason::Operator, .. }
    );
    f.ordered_out.with_label_values(&labels).set(f64::from(u8::from(is_ordered)));
    f.changed.with_label_values(&labels).set(unix(upstream.changed()));
    if checks {
        f.check_up.with_label_values(&labels).set(f64::from(u8::from(upstream.checked().is_up())));
    } else {
        // Where a reload took the checks away; else there is none to be removed.
        let _ = f.check_up.remove_label_values(&labels);
    }
    f.in_flight.with_label_values(&labels).set(f64::from(upstream.in_flight()));
}

/// A moment of the core on the wall clock.
fn unix(moment: Timestamp) -> f64 {
    let now = clock::now();
    clock::unix().as_secs_f64() + now.until(moment).as_secs_f64() - now.since(moment).as_secs_f64()
}
