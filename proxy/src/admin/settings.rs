//! What can be set while the process runs.

use super::answer::{Answer, json, text};
use crate::log_level::{LogLevel, WORDS};
use http::StatusCode;
use serde_json::{Value, json};

/// The level that is written.
pub(super) fn log(level: &LogLevel) -> Answer {
    json(&json!({ "level": level.word() }))
}

/// Another level, until the process ends.
pub(super) fn set_log(level: &LogLevel, body: Option<&[u8]>) -> Answer {
    let wish = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let word = wish.as_ref().and_then(|wish| wish["level"].as_str());
    if !word.is_some_and(|word| level.set(word)) {
        let levels = WORDS.join(", ");
        let right = format!("send for example {{\"level\": \"debug\"}}; the levels are {levels}\n");
        return text(StatusCode::BAD_REQUEST, &right);
    }
    tracing::warn!(level = word, "the log level was changed");
    log(level)
}
