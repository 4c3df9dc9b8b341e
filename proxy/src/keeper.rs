//! Keeps what outlives the process, and ends drills whose time is up. Neither is done where requests are served.

use crate::clock;
use crate::memory;
use crate::service::Proxy;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The file in `state_dir`.
const FILE: &str = "memory.json";
/// A drill ends no later than this after its time, and is saved so often.
const DRILL_TURN: Duration = Duration::from_millis(100);
const DRILL_SAVE: Duration = Duration::from_secs(1);
/// Without news it is looked whether there is something to save after this.
const TURN: Duration = Duration::from_secs(5);
/// After a change this long passes before the next one is written.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes up what the process before has left: what it handed over, else what stands in the folder.
pub fn take_up(proxy: &Arc<Proxy>, inherited: &[u8]) {
    if !inherited.is_empty() {
        return memory::take_up(proxy, inherited);
    }
    match proxy.state.read(FILE) {
        Ok(None) => {}
        Ok(Some(text)) => memory::take_up(proxy, &text),
        Err(error) => tracing::warn!(%error, "what an earlier process knew of upstreams cannot be read"),
    }
}

/// Saves now; false when it cannot be.
pub async fn save(proxy: &Arc<Proxy>) -> bool {
    let proxy = Arc::clone(proxy);
    let saving = tokio::task::spawn_blocking(move || proxy.state.write(FILE, &memory::write(&proxy)));
    saving.await.unwrap_or(false)
}

/// Keeps it, for as long as this future lives.
pub async fn keep(proxy: &Arc<Proxy>) {
    // The first save tells a folder that cannot be written, before anything depends on it.
    let (mut saved, mut at) = (None, clock::now());
    loop {
        let drilling = look_after_drills(proxy).await;
        let known = known(proxy);
        if saved.as_ref() != Some(&known)
            || (drilling && clock::now().since(at) >= DRILL_SAVE)
            || !proxy.state.is_good()
        {
            saved = save(proxy).await.then_some(known);
            at = clock::now();
            sleep(if drilling { DRILL_TURN } else { PAUSE }).await;
        }
        let turn = if drilling { DRILL_TURN } else { TURN };
        let _ = timeout(turn, proxy.news.notified()).await;
    }
}

/// What is to be remembered, apart from what changes by itself.
fn known(proxy: &Proxy) -> Vec<(Vec<aorta_core::memory::Remembered>, bool)> {
    let now = clock::now();
    let snapshot = proxy.snapshot.load();
    snapshot
        .pools
        .iter()
        .map(|pool| pool.read(|core| (core.memory(now), core.drill(now).is_some())))
        .collect()
}

/// True while a drill is under way, or its last requests are.
async fn look_after_drills(proxy: &Arc<Proxy>) -> bool {
    if proxy.drills.is_idle() {
        return false;
    }
    let snapshot = proxy.snapshot.load_full();
    let of_it = Arc::clone(&snapshot);
    keeping(proxy, move |proxy| {
        let is_there = |name: &str| of_it.pools.iter().any(|pool| pool.name() == name);
        proxy.drills.forget_gone(&proxy.state, is_there);
    })
    .await;
    for pool in &snapshot.pools {
        let now = clock::now();
        let ((stands, drilled), events) = pool.decide_untaped(|core, rng| {
            core.review_drill(now, rng);
            (core.drill(now), core.take_drilled(now))
        });
        proxy.tell(pool, &events);
        if let Some(stands) = stands {
            proxy.drills.note(pool, stands);
        }
        if let Some(drilled) = drilled {
            let pool = Arc::clone(pool);
            keeping(proxy, move |proxy| proxy.drills.finish(&proxy.state, &pool, &drilled)).await;
        }
    }
    !proxy.drills.is_idle()
}

/// Waits for the disk elsewhere.
async fn keeping(proxy: &Arc<Proxy>, work: impl FnOnce(&Proxy) + Send + 'static) {
    let proxy = Arc::clone(proxy);
    let _ = tokio::task::spawn_blocking(move || work(&proxy)).await;
}
