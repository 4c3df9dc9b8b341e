//! A new process takes over.

use super::Admin;
use super::answer::{Answer, json, text};
use crate::memory;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Admin {
    /// Lets a new process take over, and this one end.
    pub(super) async fn upgrade(&self) -> Answer {
        if self.proxy.draining.load(Ordering::Relaxed) || self.upgrading.swap(true, Ordering::Relaxed) {
            return text(StatusCode::CONFLICT, "this process is about to end already\n");
        }
        let (program, proxy) = (self.program.clone(), Arc::clone(&self.proxy));
        let succeeding =
            tokio::task::spawn_blocking(move || program.succeed(&proxy.life, || memory::write(&proxy)));
        match succeeding.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(process) => {
                tracing::warn!(process, "another process has taken over");
                // From now on the new process keeps what outlives both.
                self.proxy.state.let_go();
                self.proxy.life.replace();
                json(&json!({ "process": process }))
            }
            Err(error) => {
                self.upgrading.store(false, Ordering::Relaxed);
                tracing::error!(error, "the upgrade failed");
                text(StatusCode::BAD_GATEWAY, &format!("{error}\n"))
            }
        }
    }
}
