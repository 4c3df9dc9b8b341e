//! The end of the process, such that no request is lost.

use crate::config::Shutdown;
use crate::last_call;
use crate::life::{self, Life};
use crate::notify;
use crate::reload::{Cause, NotReloaded, Reloads};
use crate::service::Proxy;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

/// A connection that was just accepted is counted once its TLS stands: so long it may be under way uncounted.
const SETTLE: Duration = Duration::from_millis(100);
/// Answers are out, and their connections are told to close: whoever does not close within this is gone.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Waits for what ends the process, and then sees to it that nobody is served half.
pub struct Stop {
    /// Who is still served.
    pub proxy: Arc<Proxy>,
    /// What a hang-up signal asks for.
    pub reloads: Arc<Reloads>,
    /// How long for what.
    pub shutdown: Shutdown,
}

/// What ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A service manager: load balancers may still send clients here.
    Terminated,
    /// Somebody at a terminal.
    Interrupted,
    /// Another process has the listeners' sockets, and serves.
    Replaced,
}

struct Signals {
    /// Left alone, it ends a process that writes to a file beyond what is allowed: the log's disk is full, and that must
    /// not end the service. Received, it makes the write fail.
    _file_too_large: Signal,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn receive() -> std::io::Result<Self> {
        let file_too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Self {
            _file_too_large: signal(file_too_large)?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn end(&mut self, of: &Stop) -> Why {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Why::Terminated,
                _ = self.interrupt.recv() => return Why::Interrupted,
                _ = self.hangup.recv() => of.reload(),
            }
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        let Ok(mut signals) = Signals::receive() else {
            tracing::error!("signals cannot be received; only a kill ends this process");
            return std::future::pending().await;
        };
        let why = tokio::select! {
            why = signals.end(self) => why,
            () = self.proxy.life.replaced() => Why::Replaced,
        };
        self.proxy.draining.store(true, Ordering::Relaxed);
        if why != Why::Replaced {
            notify::stopping();
        }
        tokio::select! {
            () = self.drain(why) => {}
            again = signals.end(self) => tracing::warn!(?again, "stopping at once: told to end a second time"),
        }
        self.proxy.access_log.flush();
        if let Some(audit) = &self.proxy.audit {
            audit.end();
        }
        if let Some(spans) = &self.proxy.spans {
            spans.flush().await;
        }
        ShutdownSignal::FastShutdown
    }
}

impl Stop {
    fn reload(&self) {
        let (proxy, reloads) = (Arc::clone(&self.proxy), Arc::clone(&self.reloads));
        tokio::spawn(async move {
            if reloads.reload(&proxy, Cause::Signal).await == Err(NotReloaded::Ending) {
                tracing::warn!("a hang-up signal changes nothing any more: the process is about to end");
            }
        });
    }

    /// Readiness fails first; then nobody new is taken in, and the process ends as soon as nobody is left.
    async fn drain(&self, why: Why) {
        let (life, Shutdown { unready, idle, limit }) = (&self.proxy.life, self.shutdown);
        if why == Why::Terminated && !unready.is_zero() {
            tracing::info!(?unready, "not ready any more");
            sleep(unready).await;
        }
        if why != Why::Replaced && life.last_call() {
            sleep(last_call::SPAN).await;
        }
        life.close();
        if why == Why::Replaced {
            life.close_admin();
        }
        tracing::info!(in_flight = self.in_flight(), connections = connections(life), "draining");
        if timeout(limit, self.empty(idle)).await.is_err() {
            tracing::warn!(in_flight = self.in_flight(), "stopping all the same");
        }
    }

    async fn empty(&self, idle: Duration) {
        let life = &self.proxy.life;
        life::until(|| !life.is_accepting()).await;
        // Who was accepted last may not be counted yet.
        sleep(SETTLE).await;
        let nobody = || connections(life) == 0;
        if timeout(idle, life::until(nobody)).await.is_ok() {
            return;
        }
        life.end_idle();
        life::until(|| self.in_flight() == 0).await;
        let _ = timeout(CLOSE_MAX, life::until(nobody)).await;
    }

    fn in_flight(&self) -> usize {
        self.proxy.in_flight.load(Ordering::Relaxed)
    }
}

fn connections(life: &Life) -> usize {
    life.connections.load(Ordering::Relaxed)
}
