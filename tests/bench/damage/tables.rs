//! The damage runs as tables: a row for each fault, columns for each proxy.

use super::run::Run;
use crate::figures::{median, table};
use crate::peers::Contender;
use crate::picture::matrix::{Cell, Grade, Matrix};

/// Over the rows, whatever stands in the columns.
const HEAD: &str = "the region is / answers";
/// A machine is late by itself now and then.
const UNNOTICED_MAX: usize = 5;

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

/// What the project's README shows: lost reads, lost creates, and what was executed twice.
pub(super) fn summary(reads: &[Run], creates: &[Run], contenders: &[Contender]) -> String {
    let mut head = vec!["the region".to_owned()];
    for what in ["reads lost", "creates lost", "executed twice"] {
        head.extend(contenders.iter().map(|contender| format!("{what}: {}", contender.name())));
    }
    let mut rows = vec![head];
    for fault in faults_of(reads) {
        let cells = |runs: &[Run], cell: fn(&Run) -> usize| -> Vec<String> {
            let cell = |run: Option<&Run>| run.map(|run| cell(run).to_string()).unwrap_or_default();
            contenders.iter().map(|contender| cell(find(runs, fault, *contender))).collect()
        };
        let mut row = vec![fault.to_owned()];
        row.extend(cells(reads, |run| run.lost));
        row.extend(cells(creates, |run| run.lost));
        row.extend(cells(creates, |run| run.twice));
        rows.push(row);
    }
    table(&rows)
}

/// Long answers that were cut off.
pub(super) fn cuts(what: &str, runs: &[Run], contenders: &[Contender]) -> String {
    let columns =
        [column("lost", |run| run.lost.to_string()), column("without a sign", |run| run.silent.to_string())];
    grid(runs, contenders, &columns).replacen(HEAD, &format!("{what:width$}", width = HEAD.len()), 1)
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
    let mut head = vec![HEAD.to_owned()];
    for column in columns {
        head.extend(contenders.iter().map(|contender| format!("{}: {}", contender.name(), column.head)));
    }
    let mut rows = vec![head];
    for fault in faults_of(runs) {
        let mut row = vec![fault.to_owned()];
        for column in columns {
            for contender in contenders {
                row.push(find(runs, fault, *contender).map(|run| (column.cell)(run)).unwrap_or_default());
            }
        }
        rows.push(row);
    }
    table(&rows)
}

/// In the order in which they were run.
fn faults_of(runs: &[Run]) -> Vec<&'static str> {
    let mut faults: Vec<_> = runs.iter().map(|run| run.fault).collect();
    faults.dedup();
    faults
}

fn find<'a>(runs: &'a [Run], fault: &str, contender: Contender) -> Option<&'a Run> {
    runs.iter().find(|run| run.fault == fault && run.contender == contender.name())
}

/// Reads: what clients noticed of each fault.
pub(super) fn plot_of_reads(runs: &[Run], contenders: &[Contender]) -> String {
    let cell = |run: &Run| match (run.lost, run.late) {
        (0, late) if late <= UNNOTICED_MAX => Cell { grade: Grade::Unnoticed, text: "0".to_owned() },
        (0, late) => Cell { grade: Grade::Late, text: format!("{late} late") },
        (lost, _) => Cell { grade: Grade::Lost, text: format!("{lost} lost") },
    };
    matrix(
        "Reads while one of two regions fails",
        "Lost reads, or those over 100 ms, of 600",
        runs,
        contenders,
        cell,
    )
}

/// Creates: lost, and executed twice.
pub(super) fn plot_of_creates(runs: &[Run], contenders: &[Contender]) -> String {
    let cell = |run: &Run| match (run.twice, run.lost) {
        (0, 0) => Cell { grade: Grade::Unnoticed, text: "0".to_owned() },
        (0, lost) => Cell { grade: Grade::Late, text: format!("{lost} lost") },
        (twice, lost) => Cell { grade: Grade::Lost, text: format!("{twice} twice, {lost} lost") },
    };
    let about = "Creates (POST) that got no right answer, or were executed twice, of 400";
    matrix("Creates while one of two regions fails", about, runs, contenders, cell)
}

fn matrix(
    title: &'static str,
    about: &str,
    runs: &[Run],
    contenders: &[Contender],
    cell: impl Fn(&Run) -> Cell,
) -> String {
    let row = |fault: &'static str| {
        let cells = contenders.iter().filter_map(|contender| find(runs, fault, *contender)).map(&cell);
        (fault.to_owned(), cells.collect())
    };
    let columns = contenders.iter().map(|contender| contender.name()).collect();
    let rows = faults_of(runs).into_iter().map(row).collect();
    Matrix { title, about: about.to_owned(), columns, rows }.draw()
}

fn millis(micros: u64) -> String {
    format!("{:.1}", micros as f64 / 1000.0)
}
