//! The tape of `run --tape FILE`: every question to the core with what it said, a line of JSON each, so that
//! `simulate --replay FILE` can ask them again.
//!
//! It is for looking into a fault, not for every day: each line is written at once, under the pool's lock, so that a
//! killed process leaves a tape that ends at its last decision. What stands on it is what the core knows: numbers,
//! classes and hashes, no path, header or body.

pub mod line;

use aorta_core::tape::Question;
use aorta_core::time::Timestamp;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A tape that has grown to this ends: some hundred thousand requests.
pub const BYTES_MAX: usize = 256 * 1024 * 1024;

/// A file that is recorded into.
#[derive(Debug)]
pub struct Tape(Mutex<Reel>);

#[derive(Debug)]
struct Reel {
    file: Option<File>,
    left: usize,
}

impl Tape {
    /// A new tape; what the file held before is gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path) -> io::Result<Arc<Self>> {
        // Who may read it can tell clients apart by their hashes: only its owner.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Arc::new(Self(Mutex::new(Reel { file: Some(file), left: BYTES_MAX }))))
    }

    fn write(&self, line: &serde_json::Value) {
        let mut reel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("{line}\n");
        let Some(mut file) = reel.file.as_ref() else { return };
        if text.len() > reel.left {
            tracing::warn!("the tape is full");
            reel.file = None;
        } else if let Err(error) = file.write_all(text.as_bytes()) {
            tracing::warn!(%error, "the tape cannot be written any more");
            reel.file = None;
        } else {
            reel.left -= text.len();
        }
    }
}

/// The questions to one pool, on their way to the tape.
#[derive(Debug)]
pub struct Recorder {
    tape: Arc<Tape>,
    pool: usize,
    ended: bool,
}

/// What a pool is when its recording begins: one that nobody has asked yet.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// Its place in the configuration.
    pub pool: usize,
    /// Its name.
    pub name: &'a str,
    /// A hash of the configuration.
    pub config: u64,
    /// What its dice are seeded with.
    pub seed: u64,
    /// The moment.
    pub at: Timestamp,
}

impl Recorder {
    /// Begins.
    #[must_use]
    pub fn begin(tape: Arc<Tape>, beginning: &Beginning<'_>) -> Self {
        let Beginning { pool, name, config, seed, at } = *beginning;
        let version = env!("CARGO_PKG_VERSION");
        tape.write(&json!({
            "begin": name, "pool": pool, "config": config, "seed": seed, "at": at.as_micros(), "version": version,
        }));
        Self { tape, pool, ended: false }
    }

    /// Writes down a question of this exchange, and what the pool said.
    pub fn note(&mut self, exchange: u64, question: &Question, now: Timestamp, said: &str) {
        if self.ended {
            return;
        }
        let mut line = line::write(question);
        line["pool"] = self.pool.into();
        line["exchange"] = exchange.into();
        line["at"] = now.as_micros().into();
        line["said"] = said.into();
        self.tape.write(&line);
    }

    /// What follows could not be asked again: the tape of this pool ends here.
    pub fn end(&mut self, why: &str, now: Timestamp) {
        if !std::mem::replace(&mut self.ended, true) {
            self.tape.write(&json!({ "end": why, "pool": self.pool, "at": now.as_micros() }));
        }
    }
}
