//! The figures of the last release, and what may be made of them.

use crate::report::Promise;
use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What `instructions.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    /// What this is, for those who open the file.
    about: String,
    /// Which version the figures are of.
    release: String,
    /// By how much a figure may exceed that release's: above what the same program differs from run to run and from
    /// machine to machine.
    tolerance_percent: f64,
    /// Instructions for one request, by what is asked.
    instructions: BTreeMap<String, f64>,
}

/// Figures beside those of the last release.
pub(super) struct Judged {
    pub(super) release: String,
    tolerance_percent: f64,
    pub(super) rows: Vec<Row>,
}

/// One of them.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) counted: f64,
    pub(super) before: f64,
    pub(super) change_percent: f64,
}

impl Gate {
    const TOLERANCE_PERCENT: f64 = 3.0;

    /// With these figures as the last release's.
    pub(super) fn renewed(counted: &BTreeMap<String, f64>) -> Self {
        Self {
            about: "Instructions for one proxied request, of the last release. `make instructions` holds a change against \
                    them; `make instructions ARGS=--renew` writes them anew, with a release or with a commit that says why."
                .to_owned(),
            release: format!("aorta-proxy {}", env!("CARGO_PKG_VERSION")),
            tolerance_percent: Self::TOLERANCE_PERCENT,
            instructions: counted.clone(),
        }
    }

    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        serde_json::from_str(&text).with_context(|| file.display().to_string())
    }

    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        std::fs::write(file, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(())
    }

    /// Holds figures against these.
    pub(super) fn judge(&self, counted: &BTreeMap<String, f64>) -> anyhow::Result<Judged> {
        let same = counted.keys().eq(self.instructions.keys());
        ensure!(same, "the last release was asked for something else: renew its figures");
        let rows = counted.iter().zip(self.instructions.values()).map(|((name, counted), before)| Row {
            name: name.clone(),
            counted: *counted,
            before: *before,
            change_percent: (counted / before - 1.0) * 100.0,
        });
        Ok(Judged {
            release: self.release.clone(),
            tolerance_percent: self.tolerance_percent,
            rows: rows.collect(),
        })
    }
}

impl Judged {
    /// No request takes noticeably more than with the last release.
    pub(super) fn promise(&self) -> Promise {
        let worst = self.rows.iter().map(|row| row.change_percent).fold(f64::NEG_INFINITY, f64::max);
        let (limit, release) = (self.tolerance_percent, &self.release);
        Promise {
            says: "no request takes more instructions than with the last release".to_owned(),
            seen: format!("{worst:+.2} % at most, {limit} % allowed ({release})"),
            kept: worst <= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(get: f64, post: f64) -> BTreeMap<String, f64> {
        BTreeMap::from([("GET".to_owned(), get), ("POST".to_owned(), post)])
    }

    #[test]
    fn a_commit_that_is_slower_in_one_case_is_seen() {
        let gate = Gate::renewed(&figures(100_000.0, 120_000.0));
        let kept = |counted| gate.judge(&counted).unwrap().promise().kept;
        assert!(kept(figures(102_900.0, 100_000.0)));
        assert!(!kept(figures(103_100.0, 100_000.0)));
        assert!(!kept(figures(90_000.0, 124_000.0)));
    }

    #[test]
    fn figures_of_other_requests_are_not_compared() {
        let gate = Gate::renewed(&figures(1.0, 1.0));
        assert!(gate.judge(&BTreeMap::from([("GET".to_owned(), 1.0)])).is_err());
    }
}
