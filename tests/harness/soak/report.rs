//! What came of a soak: figures, what they are measured against, and the same for people.

use super::{Tally, Usage};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// When a process ends, the connection of one caller in so many may end just as a read is sent.
const RESENT_EACH: usize = 10;

/// What came of a soak.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How long it took.
    pub seconds: f64,
    /// Callers, each with its connection.
    pub callers: usize,
    /// Requests a second that were due.
    pub rate_wanted: u32,
    /// Requests that were made.
    pub requests: u64,
    /// Of them creates.
    pub creates: usize,
    /// Requests that were answered as they should be.
    pub answered: u64,
    /// Of them reads that were sent once more after a connection had ended before their answer.
    pub resent: u64,
    /// Why, for the first of them.
    pub resent_told: Vec<String>,
    /// Of them requests that found their connection closed before anything was sent, and opened another.
    pub moved: u64,
    /// Of them requests that found a kept connection closed since the one before, and opened it anew.
    pub reopened: u64,
    /// Of these three together: what reloads, certificates and full disks brought about.
    pub torn: u64,
    /// At least so many of a hundred requests that were due must have been made in time.
    pub rate_min_percent: u32,
    /// Requests without a right answer.
    pub lost: u64,
    /// The first of them.
    pub told: Vec<String>,
    /// Creates that took effect more than once.
    pub created_twice: usize,
    /// Creates that were answered 201 and took no effect.
    pub created_never: usize,
    /// Half of the answers came within this, from when they were due; 99 of 100; all.
    pub micros: [u32; 3],
    /// Reloads, good and bad.
    pub reloads: usize,
    /// Certificates that came into force.
    pub certificates: usize,
    /// Processes that took over.
    pub upgrades: usize,
    /// Ends by SIGTERM with a new start.
    pub restarts: usize,
    /// Times for which no file grew.
    pub full_disks: usize,
    /// Access lines that found no room.
    pub lines_lost: u64,
    /// Audit entries that found none, and had to be given up.
    pub entries_lost: u64,
    /// What `audit verify` said of files that it did not find in order.
    pub audit_wrong: Vec<String>,
    /// What each proxy took when the load was steady.
    #[serde(skip)]
    pub start: [Usage; 2],
    /// The same process, the same load, after all that it lives through.
    #[serde(skip)]
    pub end: [Usage; 2],
    /// Between the two it may grow by so much: what an allocator keeps for later.
    pub growth_max_kib: u64,
    /// Open files before the first caller.
    pub files_at_rest: [usize; 2],
    /// Open files after the last.
    pub files_at_end: [usize; 2],
}

impl Report {
    /// Books what became of requests, and what took effect.
    pub fn take(&mut self, tally: &Tally, executed: &BTreeMap<String, u32>) {
        let times = |marker: &String| executed.get(marker).copied().unwrap_or_default();
        (self.requests, self.answered, self.lost) = (tally.sent, tally.answered, tally.lost);
        (self.resent, self.moved, self.told) = (tally.resent, tally.moved, tally.told.clone());
        (self.resent_told, self.reopened) = (tally.resent_told.clone(), tally.reopened);
        self.creates = tally.creates.len();
        self.created_twice = tally.creates.keys().filter(|marker| times(marker) > 1).count();
        let answered = tally.creates.iter().filter(|(_, answered)| **answered);
        self.created_never = answered.filter(|(marker, _)| times(marker) == 0).count();
        let mut micros = tally.micros.clone();
        micros.sort_unstable();
        let share = |percent: usize| micros.get((micros.len() * percent / 100).min(micros.len().max(1) - 1));
        self.micros = [50, 99, 100].map(|percent| share(percent).copied().unwrap_or_default());
    }

    /// Requests that were made in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds.max(1.0)
    }

    /// What does not hold; empty when everything does.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |holds: bool, words: String| {
            if !holds {
                broken.push(words);
            }
        };
        must(self.lost == 0, format!("{} requests lost: {:#?}", self.lost, self.told));
        must(self.answered == self.requests, "an answer is missing".to_owned());
        let ends = (self.upgrades + self.restarts) * self.callers / RESENT_EACH;
        must(
            self.resent <= ends as u64,
            format!("{} reads were sent once more, {ends} may be: {:#?}", self.resent, self.resent_told),
        );
        must(
            self.torn == 0,
            format!("{} connections ended by reloads, certificates or full disks", self.torn),
        );
        let least = f64::from(self.rate_wanted) * f64::from(self.rate_min_percent) / 100.0;
        must(
            self.rate() >= least,
            format!("{:.0} requests a second were made, {least:.0} is the least", self.rate()),
        );
        must(self.created_twice == 0, format!("{} creates took effect twice", self.created_twice));
        must(
            self.created_never == 0,
            format!("{} creates were answered and took no effect", self.created_never),
        );
        must(self.full_disks == 0 || self.lines_lost > 0, "lost access lines were not counted".to_owned());
        self.audit_wrong.iter().for_each(|wrong| must(false, format!("the audit file: {wrong}")));
        for (start, end) in self.start.iter().zip(&self.end) {
            let (start, end) = (start.rss_kib, end.rss_kib);
            must(end <= start + self.growth_max_kib, format!("memory grew from {start} to {end} KiB"));
        }
        let leaks = self.files_at_end.iter().zip(&self.files_at_rest).any(|(end, rest)| end > rest);
        must(
            !leaks,
            format!("open files: {:?} at rest, {:?} at the end", self.files_at_rest, self.files_at_end),
        );
        broken
    }

    /// For people.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Soak\n\n| what | figure |\n| --- | --- |\n");
        let mut row = |what: &str, figure: String| {
            let _ = writeln!(text, "| {what} | {figure} |");
        };
        let rate = self.rate();
        row(
            "load",
            format!("{} callers, {} requests/s due, {rate:.0}/s made", self.callers, self.rate_wanted),
        );
        row("time", format!("{:.0} s", self.seconds));
        row("reloads, certificates", format!("{}, {}", self.reloads, self.certificates));
        row(
            "upgrades, restarts, full disks",
            format!("{}, {}, {}", self.upgrades, self.restarts, self.full_disks),
        );
        row("requests, of them creates", format!("{}, {}", self.requests, self.creates));
        row("**lost**", format!("**{}**", self.lost));
        let why = self.resent_told.first().map(|why| format!(": {why}")).unwrap_or_default();
        row("reads sent once more", format!("{}{why}", self.resent));
        row("requests that opened another connection first", self.moved.to_string());
        row("kept connections opened anew between requests", self.reopened.to_string());
        row("of these, by reloads, certificates and full disks", self.torn.to_string());
        row(
            "creates that took effect twice, or never",
            format!("{}, {}", self.created_twice, self.created_never),
        );
        let [half, most, all] = self.micros.map(|micros| f64::from(micros) / 1000.0);
        row("latency from when due, p50 / p99 / max", format!("{half:.1} / {most:.1} / {all:.0} ms"));
        for (name, (start, end)) in ["a", "b"].iter().zip(self.start.iter().zip(&self.end)) {
            let (start, end) = (start.rss_kib, end.rss_kib);
            let bound = start + self.growth_max_kib;
            row(&format!("memory of {name}, start, end, bound"), format!("{start}, {end}, {bound} KiB"));
        }
        row("open files at rest, at the end", format!("{:?}, {:?}", self.files_at_rest, self.files_at_end));
        row("access lines lost to the full disk", self.lines_lost.to_string());
        row("audit entries lost to it", self.entries_lost.to_string());
        let broken = self.broken();
        let verdict = if broken.is_empty() { "Everything holds.".to_owned() } else { broken.join("\n") };
        let _ = write!(text, "\n{verdict}\n");
        text
    }
}
