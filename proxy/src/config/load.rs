//! From a file to a configuration, or to every mistake in it.

use super::outside::{Files, Outside, read_bounded};
use super::problem::{At, Problem, Problems};
use super::scenario::Scenario;
use super::settings::Settings;
use super::{Config, raw, resolve};
use aorta_core::balance::ring_hash;
use std::cell::RefCell;
use std::fmt;
use std::path::Path;

/// A thousand upstreams with every key take a tenth of it.
const FILE_MAX: u64 = 4 << 20;

/// Reads and checks the configuration of a file; relative paths in it start from its folder.
///
/// # Errors
/// Every mistake in it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_noting(path).0
}

/// The same, with the files that were read for it, whether it is good or not.
///
/// # Errors
/// As [`load`].
pub fn load_noting(path: &Path) -> (Result<Config, Problems>, Files) {
    let files = RefCell::new(Files::default());
    files.borrow_mut().note(path, None);
    let loaded = read(path).and_then(|(file, bytes)| {
        files.borrow_mut().note(path, Some(&bytes));
        let text = text(&bytes).map_err(|problem| Problems::new(&file, vec![problem]))?;
        let base = path.parent().unwrap_or(Path::new(""));
        parse_as((&file, text), base, &|name| std::env::var(name).ok(), &files)
    });
    (loaded, files.into_inner())
}

/// Reads and checks a scenario for a pool of this configuration: the one asked for, else the one it names, else
/// the only one.
///
/// # Errors
/// Every mistake in it, or why it cannot be read.
pub fn load_scenario(path: &Path, config: &Config, pool: Option<&str>) -> Result<Scenario, Problems> {
    let (file, bytes) = read(path)?;
    let text = text(&bytes).map_err(|problem| Problems::new(&file, vec![problem]))?;
    parse_scenario(&file, text, config, pool)
}

pub(super) fn parse_scenario(
    file: &str,
    text: &str,
    config: &Config,
    pool: Option<&str>,
) -> Result<Scenario, Problems> {
    let node = raw::read(text, "write at least `upstreams`");
    let scenario = node.map_err(|problem| vec![problem]);
    let scenario = scenario.and_then(|node| resolve::scenario::resolve(&node, config, pool));
    scenario.map_err(|problems| Problems::new(file, problems))
}

/// A file with its name for messages.
fn read(path: &Path) -> Result<(String, Vec<u8>), Problems> {
    let file = path.display().to_string();
    match read_bounded(path, FILE_MAX) {
        Ok(bytes) => Ok((file, bytes)),
        Err(error) => {
            let wrong = format!("cannot be read ({error})");
            let right = "name a readable YAML file of at most 4MiB".to_owned();
            Err(Problems::new(&file, vec![Problem { at: None, key: String::new(), wrong, right }]))
        }
    }
}

/// The same for a text; relative paths in it start from `base`.
///
/// # Errors
/// Every mistake in it.
pub fn parse(text: &str, base: &Path) -> Result<Config, Problems> {
    let files = RefCell::default();
    parse_as(("configuration", text), base, &|name| std::env::var(name).ok(), &files)
}

pub(super) fn parse_as(
    (file, text): (&str, &str),
    base: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    files: &RefCell<Files>,
) -> Result<Config, Problems> {
    let least = "write at least `listeners`, `routes` and `pools`";
    let node = raw::read(text, least).map_err(|problem| Problems::new(file, vec![problem]))?;
    let config = resolve::resolve(&node, &Outside { base, variable, files });
    config
        .map(|config| Config { hash: ring_hash::hash(text), settings: Settings::of(&node), ..config })
        .map_err(|problems| Problems::new(file, problems))
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let line = before.split('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Problem {
            at: Some(At { line, column }),
            key: String::new(),
            wrong: "the file is not UTF-8 from here on".to_owned(),
            right: "save it as UTF-8".to_owned(),
        }
    })
}

/// What a good configuration holds, for `aorta-proxy check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Listeners.
    pub listeners: usize,
    /// Routes.
    pub routes: usize,
    /// Pools.
    pub pools: usize,
    /// Upstreams of all pools.
    pub upstreams: usize,
}

impl From<&Config> for Summary {
    fn from(config: &Config) -> Self {
        Self {
            listeners: config.listeners.len(),
            routes: config.routes.routes().len(),
            pools: config.pools.len(),
            upstreams: config.pools.iter().map(|pool| pool.upstreams.len()).sum(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        let (listeners, routes) = (of(self.listeners, "listener"), of(self.routes, "route"));
        let (pools, upstreams) = (of(self.pools, "pool"), of(self.upstreams, "upstream"));
        write!(f, "config ok: {listeners}, {routes}, {pools} with {upstreams}")
    }
}

/// Loads a file only to say what it holds.
///
/// # Errors
/// As [`load`].
pub fn check(path: &Path) -> Result<Summary, Problems> {
    load(path).map(|config| Summary::from(&config))
}
