//! One child process: where its binary is, what it printed, how it is signalled and how it ended.

use crate::eventually;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Finds a program of this workspace: in the directories of `AORTA_BIN_DIR` (separated by colons), or beside the
/// program or test that runs.
///
/// # Panics
/// When it is nowhere: it was not built.
#[must_use]
pub fn find(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    // A program lies beside the others, a test one folder below them.
    let beside = own.ancestors().skip(1).take(2).map(Path::to_owned);
    let told = std::env::var_os("AORTA_BIN_DIR").unwrap_or_default();
    let candidates = std::env::split_paths(&told).chain(beside).map(|directory| directory.join(name));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not there: run `make build` (cargo build --workspace --bins) first")
    })
}

#[derive(Debug, Default)]
struct Lines {
    out: Vec<String>,
    err: Vec<String>,
}

#[derive(Debug, Default)]
struct Seen {
    /// It is gone, and its number may belong to somebody else now.
    left: Option<ExitStatus>,
    /// The same, once its last line was read.
    ended: Option<ExitStatus>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Those of the process that took over stand here too: it writes to the same pipes.
    lines: Arc<Mutex<Lines>>,
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, bound: Duration, end: fn(&Seen) -> Option<ExitStatus>) -> Option<ExitStatus> {
        let seen = self.seen();
        let (seen, _) = self
            .changed
            .wait_timeout_while(seen, bound, |seen| end(seen).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        end(&seen)
    }
}

/// A running child process, and what it has said so far. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    pid: Pid,
    shared: Arc<Shared>,
}

impl Program {
    /// Starts a program with these arguments and these additions to the environment.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(
        program: &OsStr,
        arguments: &[&OsStr],
        environment: &[(&str, &str)],
        directory: Option<&Path>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied());
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = PathBuf::from(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process number is small"));
        let shared = Arc::new(Shared::default());
        let (told, pipes) = mpsc::channel();
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        collect(out, Arc::clone(&shared), told.clone(), |lines| &mut lines.out);
        collect(err, Arc::clone(&shared), told, |lines| &mut lines.err);
        let watched = Arc::clone(&shared);
        thread::spawn(move || watch(child, pid, &watched, &pipes));
        Self { name, pid, shared }
    }

    /// Lines on its standard output so far.
    #[must_use]
    pub fn out(&self) -> Vec<String> {
        self.shared.lines().out.clone()
    }

    /// Lines on its standard error so far.
    #[must_use]
    pub fn err(&self) -> Vec<String> {
        self.shared.lines().err.clone()
    }

    /// Lines on its standard output that are JSON objects, parsed.
    #[must_use]
    pub fn out_values(&self) -> Vec<Value> {
        self.shared.lines().out.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a line on its standard error that holds these words: a log comes through a pipe, and so after what it
    /// tells of.
    pub async fn logs(&self, words: &str) -> String {
        let look = || self.err().into_iter().find(|line| line.contains(words));
        eventually::found(&format!("a line of {}'s log with {words}", self.name), look).await
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.shared.seen().ended
    }

    /// Its process number.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits for the line in which it says that it accepts.
    ///
    /// # Panics
    /// When it ends or stays silent instead; the message shows what it said.
    pub async fn ready(&self) -> Value {
        let look = || {
            let ready = self.out_values().into_iter().find(|line| line.get("ready").is_some());
            match (ready, self.ended()) {
                (Some(ready), _) => Some(Ok(ready)),
                (None, Some(end)) => Some(Err(format!("{} ended with {end}\n{}", self.name, self.said()))),
                (None, None) => None,
            }
        };
        let what = format!("{} says ready", self.name);
        eventually::found(&what, look).await.unwrap_or_else(|said| panic!("{said}"))
    }

    /// Everything it printed, for a message.
    #[must_use]
    pub fn said(&self) -> String {
        let lines = self.shared.lines();
        format!("--- stdout\n{}\n--- stderr\n{}", lines.out.join("\n"), lines.err.join("\n"))
    }

    /// Sends a signal, unless it has ended: the number might belong to somebody else by then.
    pub fn signal(&self, signal: Signal) {
        let seen = self.shared.seen();
        if seen.left.is_none() {
            let _ = signal::kill(self.pid, signal);
        }
    }

    /// Its files may not grow beyond so many bytes, as on a full disk; none lifts that.
    ///
    /// # Panics
    /// When the system does not allow it.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: getrlimit(Resource::Fsize).maximum };
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a process has a number");
        prlimit(Some(pid), Resource::Fsize, limit).expect("a limit of a child can be set");
    }

    /// Waits for its end, without help from the async runtime; none when it still runs after `bound`.
    #[must_use]
    pub fn wait(&self, bound: Duration) -> Option<ExitStatus> {
        self.shared.wait(bound, |seen| seen.ended)
    }

    /// Waits until the process is gone, although another one may still hold its pipes.
    #[must_use]
    pub fn leaves(&self, bound: Duration) -> Option<ExitStatus> {
        self.shared.wait(bound, |seen| seen.left)
    }

    /// From now on those processes are this one's children whose parents end.
    ///
    /// # Panics
    /// When the system does not allow it.
    pub fn adopt_orphans() {
        nix::sys::prctl::set_child_subreaper(true).expect("a process may adopt");
    }

    /// The process with this number, which took over from this one. Its parent has ended.
    ///
    /// # Panics
    /// When it is no child of this process.
    #[must_use]
    pub fn heir(&self, number: u32) -> Self {
        let pid = Pid::from_raw(i32::try_from(number).expect("a process number is small"));
        let shared = Arc::new(Shared { lines: Arc::clone(&self.shared.lines), ..Shared::default() });
        let watched = Arc::clone(&shared);
        thread::spawn(move || {
            let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let mut seen = watched.seen();
            let status = match waitpid(pid, None).expect("it was adopted") {
                WaitStatus::Exited(_, code) => ExitStatus::from_raw(code << 8),
                WaitStatus::Signaled(_, signal, _) => ExitStatus::from_raw(signal as i32),
                other => panic!("no end: {other:?}"),
            };
            (seen.left, seen.ended) = (Some(status), Some(status));
            watched.changed.notify_all();
        });
        Self { name: self.name.clone(), pid, shared }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.wait(Duration::from_secs(5));
    }
}

fn collect(
    pipe: impl Read + Send + 'static,
    shared: Arc<Shared>,
    done: Sender<()>,
    lines_of: fn(&mut Lines) -> &mut Vec<String>,
) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            lines_of(&mut shared.lines()).push(String::from_utf8_lossy(&line).into_owned());
        }
        let _ = done.send(());
    });
}

/// Tells the end only after the last line was read, so that a test which saw the end has seen everything.
fn watch(mut child: Child, pid: Pid, shared: &Shared, pipes: &Receiver<()>) {
    // Waits without reaping, and reaps under the lock that `signal` takes: no signal can hit a stranger.
    let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    let mut seen = shared.seen();
    let status = child.wait().expect("a child can be waited for");
    seen.left = Some(status);
    drop(seen);
    shared.changed.notify_all();
    // Children of the child may hold its pipes open a little longer than it lives.
    for _pipe in 0..2 {
        let _ = pipes.recv_timeout(Duration::from_secs(2));
    }
    shared.seen().ended = Some(status);
    shared.changed.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::start(OsStr::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(script)], &[], None)
    }

    #[tokio::test]
    async fn what_a_program_prints_and_how_it_ends_is_kept() {
        let program = shell(r#"echo '{"ready":true,"port":7}'; echo oops >&2; exit 3"#);
        assert_eq!(program.ready().await["port"], 7);
        assert_eq!(program.wait(Duration::from_secs(5)).unwrap().code(), Some(3));
        assert_eq!(program.err(), ["oops"]);
    }

    #[tokio::test]
    #[should_panic(expected = "no such luck")]
    async fn a_program_that_ends_instead_of_starting_is_quoted() {
        shell("echo no such luck >&2").ready().await;
    }

    #[test]
    fn a_program_is_signalled_by_its_own_number() {
        let program = shell("read never < /dev/zero; sleep 60");
        program.signal(Signal::SIGTERM);
        assert!(program.wait(Duration::from_secs(5)).is_some());
    }
}
