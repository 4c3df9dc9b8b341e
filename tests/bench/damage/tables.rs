//! The damage runs as tables: a row for each fault, columns for each proxy.

use super::run::Run;
use crate::figures::{median, table};
use crate::peers::Contender;

/// Lost and late reads.
pub(super) fn losses(runs: &[Run], contenders: &[Contender]) -> String {
    let columns =
        [column("lost", |run| run.lost.to_string()), column("> 100 ms", |run| run.late.to_string())];
    grid(runs, contenders, &columns)
}

/// How long reads took.
pub(super) fn times(runs: &[Run], contenders: &[Contender]) -> String {
    let columns = [
        column("p50", |run| millis(run.p50_us)),
        column("p99", |run| millis(run.p99_us)),
        column("longest", |run| millis(run.max_us)),
    ];
    grid(runs, contenders, &columns)
}

/// What reached the regions, and when the faulty one was used again.
pub(super) fn attempts(runs: &[Run], contenders: &[Contender]) -> String {
    let never = "not seen".to_owned();
    let columns = [
        column("attempts", |run| format!("{:.2}", run.attempts)),
        column("back, s", move |run| run.back.map_or(never.clone(), |back| format!("{back:.2}"))),
    ];
    grid(runs, contenders, &columns)
}

/// What became of creates.
pub(super) fn creates(runs: &[Run], contenders: &[Contender]) -> String {
    let columns = [
        column("lost", |run| run.lost.to_string()),
        column("executed", |run| run.lost_but_executed.to_string()),
        column("twice", |run| run.twice.to_string()),
    ];
    grid(runs, contenders, &columns)
}

/// Late reads in the runs in which a client would wait.
pub(super) fn waits(runs: &[Run]) -> String {
    let mut kinds: Vec<(&str, &str)> = runs.iter().map(|run| (run.fault, run.contender)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut rows =
        vec![["the region", "", "> 100 ms", "of each run", "longest, ms"].map(ToOwned::to_owned).to_vec()];
    for (fault, contender) in kinds {
        let of = |run: &&Run| run.fault == fault && run.contender == contender;
        let each: Vec<String> = runs.iter().filter(of).map(|run| run.late.to_string()).collect();
        let late: Vec<f64> = runs.iter().filter(of).map(|run| run.late as f64).collect();
        let longest = runs.iter().filter(of).map(|run| run.max_us).max().unwrap_or_default();
        rows.push(vec![
            fault.to_owned(),
            contender.to_owned(),
            format!("{:.0}", median(&late)),
            each.join(" "),
            millis(longest),
        ]);
    }
    table(&rows)
}

/// What lost requests of one proxy got, fault by fault.
pub(super) fn whys<'a>(runs: impl Iterator<Item = &'a Run>, contender: Contender) -> String {
    let mut text = String::new();
    for run in runs.filter(|run| run.contender == contender.name()) {
        for (why, count) in &run.whys {
            text.push_str(&format!("- {}, {} requests: {count} x {why}\n", run.fault, run.requests));
        }
    }
    text
}

/// A column's head, and its cell for one run.
struct Column<'a> {
    head: &'a str,
    cell: Box<dyn Fn(&Run) -> String + 'a>,
}

fn column<'a>(head: &'a str, cell: impl Fn(&Run) -> String + 'a) -> Column<'a> {
    Column { head, cell: Box::new(cell) }
}

/// Columns of one kind stand together, so that the proxies can be compared at a glance.
fn grid(runs: &[Run], contenders: &[Contender], columns: &[Column<'_>]) -> String {
    let mut head = vec!["the region is / answers".to_owned()];
    for column in columns {
        head.extend(contenders.iter().map(|contender| format!("{}: {}", contender.name(), column.head)));
    }
    let mut faults: Vec<&str> = runs.iter().map(|run| run.fault).collect();
    faults.dedup();
    let mut rows = vec![head];
    for fault in faults {
        let mut row = vec![fault.to_owned()];
        for column in columns {
            for contender in contenders {
                let run = runs.iter().find(|run| run.fault == fault && run.contender == contender.name());
                row.push(run.map(|run| (column.cell)(run)).unwrap_or_default());
            }
        }
        rows.push(row);
    }
    table(&rows)
}

fn millis(micros: u64) -> String {
    format!("{:.1}", micros as f64 / 1000.0)
}
