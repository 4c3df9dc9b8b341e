//! What is in force, and another one in its place.

use super::Admin;
use super::answer::{Answer, json, text, whole};
use crate::reload::{Cause, NotReloaded};
use http::StatusCode;
use serde_json::json;

impl Admin {
    /// Which configuration is in force, and what came of the last reload.
    pub(super) fn config(&self) -> Answer {
        json(&self.reloads.show(&self.proxy.snapshot.load()))
    }

    /// Reads the file anew.
    pub(super) async fn reload(&self) -> Answer {
        match self.reloads.reload(&self.proxy, Cause::Admin).await {
            Ok(()) => {
                let mut said = self.reloads.show(&self.proxy.snapshot.load());
                // Who orders wants to know what came of it, not every key.
                if let Some(map) = said.as_object_mut() {
                    map.remove("settings");
                }
                json(&said)
            }
            Err(NotReloaded::Ending) => {
                text(StatusCode::CONFLICT, "this process is about to end: nothing is reloaded\n")
            }
            Err(NotReloaded::Wrong(problems)) => {
                let said = json!({ "problems": problems }).to_string().into_bytes();
                whole(StatusCode::UNPROCESSABLE_ENTITY, "application/json", said)
            }
        }
    }
}
