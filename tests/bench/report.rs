//! What is printed as it comes, and kept in files at the end.

use crate::peers::Contender;
use crate::run_time::load_average;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The report so far.
pub(crate) struct Report {
    directory: PathBuf,
    text: String,
    raw: Map<String, Value>,
}

impl Report {
    /// Begins with the machine and the versions.
    pub(crate) fn begin(directory: &Path, contenders: &[Contender], quick: bool) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut report = Self { directory: directory.to_owned(), text: String::new(), raw: Map::new() };
        let versions: Vec<String> =
            contenders.iter().map(|contender| contender.version()).collect::<anyhow::Result<_>>()?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let (cpu, load) = (cpu_name(), load_average()?);
        let build = if cfg!(debug_assertions) { "\nA debug build: not to be quoted." } else { "" };
        let pace = if quick { "\nA quick run: not to be quoted." } else { "" };
        report.say(&format!(
            "# Measurement\n\n{}; {cpus} processors ({cpu}); load average at the start {load}.{build}{pace}\n",
            versions.join(", ")
        ))?;
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

    /// Prints what is under way; the files do not hold it.
    pub(crate) fn hint(&self, text: &str) -> anyhow::Result<()> {
        writeln!(std::io::stderr().lock(), "{text}")?;
        Ok(())
    }

    /// Keeps figures for the raw file.
    pub(crate) fn keep(&mut self, name: &str, value: Value) {
        self.raw.insert(name.to_owned(), value);
    }

    /// Writes the files.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        let load = load_average()?;
        self.say(&format!("Load average at the end {load}."))?;
        self.keep("load_average_at_end", json!(load));
        std::fs::write(self.directory.join("report.md"), &self.text)?;
        std::fs::write(self.directory.join("raw.json"), serde_json::to_string_pretty(&self.raw)?)?;
        self.hint(&format!("kept in {0}/report.md and {0}/raw.json", self.directory.display()))
    }
}

fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    line.map_or("unknown", |(_, name)| name).to_owned()
}
