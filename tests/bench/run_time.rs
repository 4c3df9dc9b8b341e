//! How long a program has run on a processor, in nanoseconds, from the scheduler's own account.
//!
//! The first field of `/proc/PID/task/TID/schedstat` is the thread's run time. `utime` and `stime` come in ticks of
//! 10 ms and, on many kernels, from sampling: too coarse for differences of a few per cent.

use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The run time of all threads of a process and of all its descendants.
pub(crate) fn nanoseconds(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for pid in family(pid)? {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread that ended in between takes its account with it.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default();
        }
    }
    ensure!(sum > 0, "this kernel keeps no /proc/PID/task/TID/schedstat (CONFIG_SCHED_INFO)");
    Ok(sum)
}

/// A process and all its descendants.
pub(crate) fn family(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?.path();
        let pid = entry.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        if let (Some(pid), Some(parent)) = (pid, parent_of(&entry)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        let found = children.get(pid).cloned().unwrap_or_default();
        family.extend(found);
        next += 1;
    }
    Ok(family)
}

/// The fourth field of `stat`; the second one, the name in brackets, may hold anything.
fn parent_of(process: &Path) -> Option<u32> {
    let text = fs::read_to_string(process.join("stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// The load averages of this machine, as the kernel prints them.
pub(crate) fn load_average() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_time_of_a_busy_process_grows() {
        let before = nanoseconds(std::process::id()).unwrap();
        let spun =
            (0..3_000_000_u64).fold(1, |sum, number| std::hint::black_box(sum ^ number.rotate_left(7)));
        std::hint::black_box(spun);
        assert!(nanoseconds(std::process::id()).unwrap() > before);
    }
}
