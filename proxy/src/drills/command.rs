//! `aorta-proxy drill`: orders a drill, follows it to its end, and prints what came of it.

use super::report;
use crate::admin_client::{self, Door};
use serde_json::Value;
use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

/// How often it is looked at.
const TURN: Duration = Duration::from_secs(1);
/// Looks in a row that may fail: the proxy may be restarted meanwhile.
const BLIND_MAX: u32 = 30;

/// What became of the order.
#[derive(Debug)]
pub enum Outcome {
    /// There was no drill, or nobody can tell any more; why.
    None(String),
    /// Its report.
    Over(Value),
}

/// Orders it and waits for its end; progress goes to standard error.
///
/// # Errors
/// When no proxy answers, or standard error is closed.
pub fn run(door: &Door, order: &Value) -> io::Result<Outcome> {
    let said = admin_client::post(door, "/api/drills", &order.to_string())?;
    if said.status != 201 {
        return Ok(Outcome::None(said.body));
    }
    let begun: Value = serde_json::from_str(&said.body)?;
    let id = begun["id"].as_str().unwrap_or_default();
    writeln!(io::stderr().lock(), "drill {id} is under way; to end it: POST /api/drills/{id}/stop")?;
    let mut blind = 0;
    loop {
        thread::park_timeout(TURN);
        let look = admin_client::get(door, &format!("/api/drills/{id}"));
        match look {
            Ok(said) if said.status == 200 => {
                blind = 0;
                let told: Value = serde_json::from_str(&said.body)?;
                if told["state"] == "over" {
                    return Ok(Outcome::Over(told));
                }
                let score = &told["score"];
                let (met, rescued, lost) = (&score["met"], &score["rescued"], &score["lost"]);
                let ran = told["ran_seconds"].as_f64().unwrap_or_default();
                writeln!(io::stderr().lock(), "{ran:.0} s: {met} met it, {rescued} rescued, {lost} lost")?;
            }
            Ok(_) | Err(_) => {
                blind += 1;
                if blind >= BLIND_MAX {
                    return Ok(Outcome::None(format!("the proxy does not tell of drill {id} any more\n")));
                }
            }
        }
    }
}

/// For people.
#[must_use]
pub fn show(report: &Value) -> String {
    report::lines(report)
}
