//! What a configuration takes from outside its file: other files and the environment.

use aorta_core::balance::ring_hash;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Certificates with long chains and bundles of roots stay below it.
const FILE_MAX: u64 = 4 << 20;

/// The folder that relative paths start from, and the environment.
pub(super) struct Outside<'a> {
    /// The folder of the configuration file.
    pub(super) base: &'a Path,
    /// Reads one variable; an argument, so that tests need not change the process's own.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// What was read so far.
    pub(super) files: &'a RefCell<Files>,
}

/// Files that were read, or should have been, each with a hash of what it held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Option<u64>>);

impl Files {
    /// Books a file with what was read there.
    pub(super) fn note(&mut self, path: &Path, bytes: Option<&[u8]>) {
        self.0.insert(path.to_owned(), bytes.map(ring_hash::hash));
    }

    /// The same files as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut again = Self::default();
        for path in self.0.keys() {
            again.note(path, read_bounded(path, FILE_MAX).ok().as_deref());
        }
        again
    }

    /// Where they are.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

impl Outside<'_> {
    /// A path as written, from the configuration's folder.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.base.join(written)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// Why it cannot be read; larger than 4 MiB is a reason.
    pub(super) fn read(&self, written: &str) -> Result<Vec<u8>, String> {
        let path = self.path(written);
        let read = read_bounded(&path, FILE_MAX);
        self.files.borrow_mut().note(&path, read.as_deref().ok());
        read
    }
}

/// The bytes of a regular file of at most `max` bytes: a pipe could wait for ever, a device never end.
///
/// # Errors
/// Why it cannot be read, in a few words.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    try_read(path, max).map_err(|error| {
        let said = error.to_string();
        said.split(" (os error").next().unwrap_or_default().to_owned()
    })
}

fn try_read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let message = format!("it is larger than {}", super::units::show_size(max));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}
