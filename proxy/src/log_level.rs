//! What is logged, from the start and as it is changed while the process runs. A restart goes back to the file.

use std::io;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

/// The words for levels, the least severe last.
pub const WORDS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Shows whole requests in its lines, whatever they hold.
const TALKATIVE: &str = "aws_sigv4";

/// The least severe level that is written.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<LevelFilter, Registry>);

impl LogLevel {
    /// Begins to write JSON lines to standard error, from this level on.
    ///
    /// # Errors
    /// When the process writes a log already.
    pub fn start(level: LevelFilter) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(level);
        let silent = filter_fn(|line| !line.target().starts_with(TALKATIVE));
        let lines = fmt::layer().json().with_writer(io::stderr).with_filter(silent);
        tracing_subscriber::registry().with(filter).with(lines).try_init()?;
        Ok(Self(handle))
    }

    /// The word for the level in force.
    #[must_use]
    pub fn word(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Puts the level of this word in force; false when it is none.
    pub fn set(&self, word: &str) -> bool {
        let level = WORDS.contains(&word).then(|| word.parse::<LevelFilter>().ok()).flatten();
        level.is_some_and(|level| self.0.reload(level).is_ok())
    }
}
