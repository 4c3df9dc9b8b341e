//! What is printed as it comes, and kept in files at the end.

use crate::figures::table;
use crate::peers::Field;
use crate::run_time::load_average;
use anyhow::ensure;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The report so far.
pub(crate) struct Report {
    directory: PathBuf,
    text: String,
    /// Tables of the project's README.
    readme: String,
    raw: Map<String, Value>,
    promises: Vec<Promise>,
}

/// What is promised of Aorta, and what was seen of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Promise {
    pub(crate) says: String,
    pub(crate) seen: String,
    pub(crate) kept: bool,
}

impl Report {
    /// Begins with the machine, the versions, and who is not here.
    pub(crate) fn begin(directory: &Path, field: &Field, quick: bool) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut report = Self {
            directory: directory.to_owned(),
            text: String::new(),
            readme: String::new(),
            raw: Map::new(),
            promises: Vec::new(),
        };
        let versions = field.versions()?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let (cpu, load) = (cpu_name(), load_average()?);
        let build = if cfg!(debug_assertions) { "\nA debug build: not to be quoted." } else { "" };
        let pace = if quick { "\nA quick run: not to be quoted." } else { "" };
        report.say(&format!(
            "# Measurement\n\n{}; {cpus} processors ({cpu}); load average at the start {load}.{build}{pace}\n",
            versions.join(", ")
        ))?;
        for absent in &field.absent {
            report.say(&format!("Without one peer: {absent}.\n"))?;
        }
        report.readme(&format!(
            "Measured: {}; {cpus} processors ({cpu}); load average at the start {load}.",
            versions.join(", ")
        ));
        report.keep("versions", json!(versions));
        report.keep("load_average_at_start", json!(load));
        Ok(report)
    }

    /// Prints a piece of text and keeps it.
    pub(crate) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(std::io::stdout().lock(), "{text}")?;
        self.text.push_str(text);
        self.text.push('\n');
        Ok(())
    }

    /// Keeps a piece of text that the project's README shows.
    pub(crate) fn readme(&mut self, text: &str) {
        self.readme.push_str(text);
        self.readme.push('\n');
    }

    /// Prints what is under way; the files do not hold it.
    pub(crate) fn hint(&self, text: &str) -> anyhow::Result<()> {
        writeln!(std::io::stderr().lock(), "{text}")?;
        Ok(())
    }

    /// Keeps figures for the raw file.
    pub(crate) fn keep(&mut self, name: &str, value: Value) {
        self.raw.insert(name.to_owned(), value);
    }

    /// Keeps a picture.
    pub(crate) fn plot(&self, name: &str, svg: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.directory.join(name), svg)?)
    }

    /// Takes a promise into the last table.
    pub(crate) fn promise(&mut self, promise: Promise) {
        self.promises.push(promise);
    }

    /// Writes the files.
    ///
    /// # Errors
    /// Also when a promise was broken.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        let promises = std::mem::take(&mut self.promises);
        if !promises.is_empty() {
            self.say("## Promises\n")?;
            let table = promised(&promises);
            self.readme(&table);
            self.say(&table)?;
        }
        self.keep("promises", json!(promises));
        let load = load_average()?;
        self.say(&format!("Load average at the end {load}."))?;
        self.keep("load_average_at_end", json!(load));
        std::fs::write(self.directory.join("report.md"), &self.text)?;
        std::fs::write(self.directory.join("readme.md"), &self.readme)?;
        std::fs::write(self.directory.join("raw.json"), serde_json::to_string_pretty(&self.raw)?)?;
        self.hint(&format!(
            "kept in {0}: report.md, readme.md, raw.json, pictures",
            self.directory.display()
        ))?;
        let broken = promises.iter().filter(|promise| !promise.kept).map(|promise| promise.says.as_str());
        let broken: Vec<&str> = broken.collect();
        ensure!(broken.is_empty(), "broken: {}", broken.join("; "));
        Ok(())
    }
}

fn promised(promises: &[Promise]) -> String {
    let mut rows = vec![["promise", "seen", "kept"].map(ToOwned::to_owned).to_vec()];
    for promise in promises {
        let kept = if promise.kept { "yes" } else { "**no**" };
        rows.push(vec![promise.says.clone(), promise.seen.clone(), kept.to_owned()]);
    }
    table(&rows)
}

fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    line.map_or("unknown", |(_, name)| name).to_owned()
}
