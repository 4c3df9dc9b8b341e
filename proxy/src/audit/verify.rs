//! Whether an audit file is as it was written: `aorta-proxy audit verify`.

use super::chain::{Broken, Link};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

/// No line is longer; what is longer is no entry.
const LINE_MAX: u64 = 64 * 1024;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry follows the one before.
    Sound {
        /// So many.
        entries: u64,
        /// What the first one follows: not the start, where earlier entries are in another file.
        after: Link,
        /// The last one. Whether entries were cut off behind it only a copy of this kept elsewhere can tell.
        last: Link,
    },
    /// The first entry that is not as it was written.
    Broken {
        /// In this file.
        file: PathBuf,
        /// In this line.
        line: u64,
        /// How.
        how: Broken,
    },
}

/// Reads the files in order, as one chain.
///
/// # Errors
/// When one cannot be read.
pub fn verify(files: &[PathBuf]) -> io::Result<Verdict> {
    let (mut entries, mut after, mut last) = (0, None, Link::start());
    for file in files {
        let mut reader = BufReader::new(File::open(file)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let broken = |how| Verdict::Broken { file: file.clone(), line: number, how };
            let whole = line.strip_suffix(b"\n").ok_or(Broken::Strange);
            let entry = match whole.and_then(Link::read) {
                Ok(entry) => entry,
                Err(how) => return Ok(broken(how)),
            };
            let begins = entry.previous.number == 0 && entry.previous != Link::start();
            if begins || after.is_some() && entry.previous != last {
                return Ok(broken(Broken::Unlinked));
            }
            after.get_or_insert(entry.previous);
            (entries, last) = (entries + 1, entry.link);
        }
    }
    Ok(Verdict::Sound { entries, after: after.unwrap_or_else(Link::start), last })
}
