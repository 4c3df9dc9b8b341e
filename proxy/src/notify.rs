//! What systemd is told (`Type=notify`, sd_notify(3)). Without systemd nothing is told, and nothing is missing.

use crate::life::{self, Life};
use sd_notify::NotifyState;
use std::time::Duration;

/// The process serves.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The process reads its configuration anew; [`ready`] ends that.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic time"),
    }
}

/// How it stands, in a sentence for `systemctl status`.
pub fn status(sentence: &str) {
    tell(&[NotifyState::Status(sentence)]);
}

/// The process is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the service from now on.
pub fn replaced_by(process: u32) {
    tell(&[NotifyState::MainPid(process)]);
}

/// Feeds the watchdog, if systemd keeps one, for as long as the process really serves: as every thread that is to
/// accept runs, and every listener takes connections. Ends only with the process.
pub async fn keep_watchdog(life: &Life) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    // Twice within the limit, as sd_watchdog_enabled(3) advises.
    let mut turns = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    let mut served = true;
    loop {
        turns.tick().await;
        let serves = life::serves(life);
        if serves {
            tell(&[NotifyState::Watchdog]);
        } else if served {
            tracing::error!("not every listener accepts, or not every thread runs: the watchdog goes hungry");
        }
        served = serves;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // Without a socket in the environment this does nothing, and is no error.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
