//! What Aorta promises of a lost region, held against what was seen.

use super::run::Run;
use crate::figures::median;
use crate::peers::Contender;
use crate::report::Promise;

/// Late reads of [`super::WAIT`]'s requests that a hedging proxy may have while a region does not answer.
const LATE_MAX: f64 = 5.0;
/// Seconds after which a region that recovered serves again, with a check each second.
const BACK_MAX: f64 = 2.0;

/// Of all faults with answers that are held until they are whole.
pub(super) fn of_losses(reads: &[Run], creates: &[Run]) -> Vec<Promise> {
    let lost: usize = reads.iter().filter(is_ours).map(|run| run.lost).sum();
    let twice: usize = creates.iter().filter(is_ours).map(|run| run.twice).sum();
    let backs: Vec<_> = reads.iter().filter(is_ours).map(|run| (seconds(run.back), run.fault)).collect();
    let (slowest, fault) =
        backs.into_iter().max_by(|one, other| one.0.total_cmp(&other.0)).unwrap_or_default();
    vec![
        Promise { says: "no read is lost".to_owned(), seen: format!("{lost} lost"), kept: lost == 0 },
        Promise {
            says: "nothing is executed twice".to_owned(),
            seen: format!("{twice} twice"),
            kept: twice == 0,
        },
        Promise {
            says: format!("a region serves within {BACK_MAX} s of its recovery"),
            seen: format!("{slowest:.2} s ({fault})"),
            kept: slowest <= BACK_MAX,
        },
    ]
}

fn is_ours(run: &&Run) -> bool {
    [Contender::Aorta, Contender::AortaHedging].map(Contender::name).contains(&run.contender)
}

/// Of answers that are cut off: one that was held is had elsewhere, one that streams already breaks off for the client
/// to see.
pub(super) fn of_cuts(held: &[Run], streamed: &[Run]) -> Vec<Promise> {
    let lost: usize = held.iter().filter(is_ours).map(|run| run.lost).sum();
    let broken: usize = streamed.iter().filter(is_ours).map(|run| run.lost).sum();
    let silent: usize = streamed.iter().filter(is_ours).map(|run| run.silent).sum();
    vec![
        Promise {
            says: "no read is lost whose answer fits into `hold_max`".to_owned(),
            seen: format!("{lost} lost"),
            kept: lost == 0,
        },
        Promise {
            says: "a larger answer that is cut off breaks off for its client too".to_owned(),
            seen: format!("{broken} cut off, {silent} of them without a sign"),
            kept: silent == 0,
        },
    ]
}

/// Of the faults in which a client would wait.
pub(super) fn of_waits(waits: &[Run]) -> Vec<Promise> {
    let lost: usize = waits.iter().filter(is_ours).map(|run| run.lost).sum();
    let says = "no read is lost while a region does not answer".to_owned();
    vec![Promise { says, seen: format!("{lost} lost"), kept: lost == 0 }, late(waits)]
}

fn late(waits: &[Run]) -> Promise {
    let hedging = waits.iter().filter(|run| run.contender == Contender::AortaHedging.name());
    let mut faults: Vec<&str> = hedging.clone().map(|run| run.fault).collect();
    faults.sort_unstable();
    faults.dedup();
    let of = |fault: &str| {
        let late: Vec<f64> =
            hedging.clone().filter(|run| run.fault == fault).map(|run| run.late as f64).collect();
        median(&late)
    };
    let seen: Vec<String> = faults.iter().map(|fault| format!("{} ({fault})", of(fault))).collect();
    Promise {
        says: format!(
            "with hedging at most {LATE_MAX} of 400 reads take over 100 ms while a region does not answer"
        ),
        seen: seen.join(", "),
        kept: faults.iter().all(|fault| of(fault) <= LATE_MAX),
    }
}

/// One that was not seen again took forever.
fn seconds(back: Option<f64>) -> f64 {
    back.unwrap_or(f64::INFINITY)
}
