//! The folder of what outlives the process. A proxy that cannot write there serves all the same: it says so, and
//! remembers nothing after a restart.
//!
//! One process writes there at a time: whoever holds the lock, until it ends or another one takes over from it.

use crate::clock;
use aorta_core::time::Timestamp;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Whoever takes over finds the one before still there, for less than this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing that is kept there comes near this.
const FILE_MAX: u64 = 4 << 20;

/// The folder.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: Mutex<Lock>,
    good: AtomicBool,
    /// Another process may keep it for so long before that is said.
    patience: Duration,
    /// That it cannot be written has been said.
    told: AtomicBool,
}

#[derive(Debug)]
enum Lock {
    /// Not tried.
    None,
    /// Somebody else has had it since then, or for longer.
    Taken(Timestamp),
    Held(#[expect(dead_code, reason = "it is held by being open")] File),
    /// Another process keeps what this one kept.
    GivenUp,
}

impl StateDir {
    /// This folder; nothing is done yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            lock: Mutex::new(Lock::None),
            good: AtomicBool::new(true),
            patience: PATIENCE,
            told: AtomicBool::new(false),
        }
    }

    /// The last attempt to write succeeded.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.good.load(Ordering::Relaxed)
    }

    /// Another process keeps it from now on.
    pub fn let_go(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Lock::GivenUp;
    }

    /// Writes a file such that it holds the old text or the new one, whatever happens meanwhile. A failure is told
    /// once, with its remedy. Waits for the disk: not for where requests are served.
    pub fn write(&self, name: &str, text: &[u8]) -> bool {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*lock, Lock::GivenUp) {
            return false;
        }
        let written = self.take(&mut lock).and_then(|()| self.replace(name, text));
        self.good.store(written.is_ok(), Ordering::Relaxed);
        match &written {
            Err(_) if matches!(*lock, Lock::Taken(since) if clock::now().since(since) < self.patience) => {}
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => tracing::warn!(
                folder = %self.path.display(),
                %error,
                "what is known of upstreams cannot be saved, and a restart would forget it: let `state_dir` name a \
                 folder of this proxy's own that it may write to, on a disk with room"
            ),
            Err(_) => {}
            Ok(()) => {
                if self.told.swap(false, Ordering::Relaxed) {
                    tracing::info!("what is known of upstreams is saved again");
                }
            }
        }
        written.is_ok()
    }

    /// What a file holds; none when there is none, or another process keeps this folder.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.take(&mut lock).is_err() {
            return Ok(None);
        }
        let file = match File::open(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = Vec::new();
        file.take(FILE_MAX).read_to_end(&mut text)?;
        Ok(Some(text))
    }

    /// The names of the files in a folder below, in order.
    #[must_use]
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path.join(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort_unstable();
        names
    }

    /// Removes a file; what cannot be removed stays.
    pub fn remove(&self, name: &str) {
        if matches!(*self.lock.lock().unwrap_or_else(PoisonError::into_inner), Lock::Held(_)) {
            let _ = fs::remove_file(self.path.join(name));
        }
    }

    fn take(&self, lock: &mut Lock) -> io::Result<()> {
        if let Lock::Held(_) = lock {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let path = self.path.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                *lock = Lock::Held(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => {
                if matches!(lock, Lock::None) {
                    *lock = Lock::Taken(clock::now());
                }
                Err(io::Error::other("another proxy keeps this folder"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn replace(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let beside = folder.join(".new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_one_process_at_a_time_keeps_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below").join("state");
        let (one, other) = (StateDir::new(&path), StateDir::new(&path));
        assert_eq!(one.read("a.json").unwrap(), None);
        assert!(one.write("a.json", b"old") && one.write("a.json", b"new") && one.write("drills/b", b"b"));
        assert_eq!(one.read("a.json").unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!((one.names("drills"), one.names("none").len()), (vec!["b".to_owned()], 0));
        let told = |state: &StateDir| state.told.load(Ordering::Relaxed);
        assert!(!other.write("a.json", b"other") && !other.is_good() && one.is_good());
        assert!(!told(&other), "in an upgrade that is no trouble");
        let other = StateDir { patience: Duration::ZERO, ..other };
        assert!(!other.write("a.json", b"other") && told(&other), "for long it is one");
        assert_eq!(other.read("a.json").unwrap(), None, "it is not this one's");
        one.let_go();
        assert!(!one.write("a.json", b"late") && other.write("a.json", b"other") && other.is_good());
        assert!(!told(&other));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_and_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "no folder").unwrap();
        let state = StateDir::new(&path);
        assert!(state.is_good(), "nothing had to be written yet");
        assert!(!state.write("a.json", b"text") && !state.is_good() && state.told.load(Ordering::Relaxed));
        assert_eq!(state.read("a.json").unwrap(), None);
    }
}
