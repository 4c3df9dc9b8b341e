//! The audit file: appended to under a lock, so that two processes in an upgrade continue one chain.

use super::chain::Link;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// No entry is longer.
const ENTRY_MAX: u64 = 64 * 1024;

/// A file and where its chain ends, as far as this process knows.
#[derive(Debug)]
pub(super) struct Trail {
    path: PathBuf,
    open: Option<Open>,
    /// The last entry that is known, whoever wrote it.
    link: Link,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Its length when this process wrote last: it differs when another one has written.
    length: u64,
}

impl Trail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None, link: Link::start() }
    }

    /// Appends entries with these bodies, all or none.
    ///
    /// # Errors
    /// When the file cannot be written, or is no audit file; nothing of them stays in it.
    pub(super) fn append(&mut self, bodies: &[Vec<u8>]) -> io::Result<()> {
        let appended = self.try_append(bodies);
        if appended.is_err() {
            self.open = None;
        }
        appended
    }

    fn try_append(&mut self, bodies: &[Vec<u8>]) -> io::Result<()> {
        let mut open = self.opened()?;
        open.file.lock()?;
        let appended = self.append_locked(&mut open, bodies);
        open.file.unlock()?;
        self.open = Some(open);
        appended
    }

    /// The file at the path: another one, once it was moved away for a new one to begin.
    fn opened(&mut self) -> io::Result<Open> {
        if let Some(open) = self.open.take()
            && let (Ok(there), Ok(held)) = (std::fs::metadata(&self.path), open.file.metadata())
            && (there.dev(), there.ino()) == (held.dev(), held.ino())
        {
            return Ok(open);
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).mode(0o640).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        // Not a length that any file has: its end is read before anything is written.
        Ok(Open { file, length: u64::MAX })
    }

    fn append_locked(&mut self, open: &mut Open, bodies: &[Vec<u8>]) -> io::Result<()> {
        if open.file.metadata()?.len() != open.length {
            let (length, link) = end(&mut open.file)?;
            open.length = length;
            // A file that was cut off, or begun anew, does not make entries unwritten: the gap shows.
            if link.number >= self.link.number {
                self.link = link;
            }
        }
        let (mut text, mut link) = (Vec::new(), self.link.clone());
        for body in bodies {
            let (line, next) = link.seal(body);
            text.extend_from_slice(&line);
            link = next;
        }
        let written = open.file.write_all(&text).and_then(|()| open.file.sync_data());
        if let Err(error) = written {
            // A part of an entry must not stay: what follows it would not be understood.
            open.file.set_len(open.length)?;
            return Err(error);
        }
        self.link = link;
        open.length += text.len() as u64;
        Ok(())
    }
}

/// How long the file is and where its chain ends. Half an entry at its end, from a crash, is cut off.
fn end(file: &mut File) -> io::Result<(u64, Link)> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(ENTRY_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(ENTRY_MAX).read_to_end(&mut tail)?;
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "it is no audit file");
    let Some(last_break) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return if length == 0 { Ok((0, Link::start())) } else { Err(strange()) };
    };
    let whole = start + last_break as u64 + 1;
    if whole < length {
        tracing::warn!("half an entry at the end of the audit file, from a crash, is cut off");
        file.set_len(whole)?;
    }
    let line = tail.get(..last_break).and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    let entry = Link::read(line.unwrap_or_default()).map_err(|_| strange())?;
    Ok((whole, entry.link))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::verify::{Verdict, verify};

    fn body(number: usize) -> Vec<Vec<u8>> {
        vec![format!("{{\"kind\":\"{number}\"}}").into_bytes()]
    }

    fn entries(path: &std::path::Path) -> u64 {
        match verify(&[path.to_owned()]).unwrap() {
            Verdict::Sound { entries, .. } => entries,
            broken => panic!("{broken:?}"),
        }
    }

    #[test]
    fn two_writers_in_turn_and_a_new_one_continue_one_chain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let (mut old, mut new) = (Trail::new(path.clone()), Trail::new(path.clone()));
        for number in 0..3 {
            old.append(&body(number)).unwrap();
            new.append(&body(number)).unwrap();
        }
        Trail::new(path.clone()).append(&body(9)).unwrap();
        assert_eq!(entries(&path), 7);
    }

    #[test]
    fn half_an_entry_from_a_crash_does_not_break_what_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        Trail::new(path.clone()).append(&body(1)).unwrap();
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_within(..40);
        std::fs::write(&path, &text).unwrap();
        Trail::new(path.clone()).append(&body(2)).unwrap();
        assert_eq!(entries(&path), 2);
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in ["notes", "notes\n", "{\"a\":1}\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Trail::new(path.clone()).append(&body(1)).is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_one_that_continues_its_chain() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
        let mut trail = Trail::new(path.clone());
        trail.append(&body(1)).unwrap();
        std::fs::rename(&path, &old).unwrap();
        trail.append(&body(2)).unwrap();
        let both = verify(&[old, path]).unwrap();
        assert!(matches!(both, Verdict::Sound { entries: 2, .. }), "{both:?}");
    }

    #[test]
    fn entries_that_were_cut_off_leave_a_gap_where_the_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut trail = Trail::new(path.clone());
        for number in 0..3 {
            trail.append(&body(number)).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.lines().next().unwrap().to_owned() + "\n").unwrap();
        trail.append(&body(3)).unwrap();
        assert!(matches!(verify(&[path]).unwrap(), Verdict::Broken { line: 2, .. }));
    }
}
