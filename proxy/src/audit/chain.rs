//! The chain: each entry carries the hash of the one before and its own, so that none can be changed, taken out or put
//! in unnoticed. Pure: bytes in, bytes out.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Where a chain ends: the number and the hash of its last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Entries are counted from 1; 0 is the beginning.
    pub number: u64,
    /// SHA-256 in hexadecimal digits; zeros at the beginning.
    pub hash: String,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is no entry.
    Strange,
    /// It was changed after it was written.
    Changed,
    /// The one before it was taken out or changed, or something was put in between.
    Unlinked,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strange => "is no entry of an audit file",
            Self::Changed => "was changed: its hash is not that of its text",
            Self::Unlinked => {
                "does not follow the entry before it: something was removed, inserted or changed"
            }
        })
    }
}

/// Stands before an entry's own hash, which is that of everything before it.
const HASH: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";

impl Link {
    /// Where a chain begins.
    #[must_use]
    pub fn start() -> Self {
        Self { number: 0, hash: "0".repeat(64) }
    }

    /// The next entry, as its line, and where the chain ends then. `body` is a JSON object with one member or more.
    #[must_use]
    pub fn seal(&self, body: &[u8]) -> (Vec<u8>, Self) {
        let number = self.number + 1;
        let mut line = format!("{{\"number\":{number},\"previous\":\"{}\",", self.hash).into_bytes();
        let members = body.strip_prefix(b"{").and_then(|body| body.strip_suffix(b"}")).unwrap_or_default();
        line.extend_from_slice(members);
        let hash = digest(&line);
        line.extend_from_slice(HASH);
        line.extend_from_slice(hash.as_bytes());
        line.extend_from_slice(END);
        line.push(b'\n');
        (line, Self { number, hash })
    }

    /// Reads an entry, without its line break, by itself.
    ///
    /// # Errors
    /// When it is none, or was changed.
    pub fn read(line: &[u8]) -> Result<Entry, Broken> {
        let rest = line.strip_suffix(END).ok_or(Broken::Strange)?;
        let (rest, hash) = rest.split_last_chunk::<64>().ok_or(Broken::Strange)?;
        let text = rest.strip_suffix(HASH).ok_or(Broken::Strange)?;
        let entry: Value = serde_json::from_slice(line).map_err(|_| Broken::Strange)?;
        let number = entry["number"].as_u64().filter(|number| *number > 0).ok_or(Broken::Strange)?;
        let previous = entry["previous"].as_str().ok_or(Broken::Strange)?.to_owned();
        let hash = String::from_utf8_lossy(hash).into_owned();
        if digest(text) != hash {
            return Err(Broken::Changed);
        }
        Ok(Entry { previous: Self { number: number - 1, hash: previous }, link: Self { number, hash } })
    }
}

/// An entry that is sound by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it follows.
    pub previous: Link,
    /// What follows it says so.
    pub link: Link,
}

fn digest(text: &[u8]) -> String {
    let digits =
        |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'));
    Sha256::digest(text).into_iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(bodies: &[&str]) -> Vec<Vec<u8>> {
        let mut link = Link::start();
        let seal = |body: &&str| {
            let (line, next) = link.seal(body.as_bytes());
            link = next;
            line
        };
        bodies.iter().map(seal).collect()
    }

    #[test]
    fn each_entry_follows_the_one_before() {
        let lines = chain(&[r#"{"a":1}"#, r#"{"a":2}"#]);
        let read = |line: &Vec<u8>| Link::read(line.strip_suffix(b"\n").unwrap()).unwrap();
        let (first, second) = (read(&lines[0]), read(&lines[1]));
        assert_eq!((first.previous, second.previous), (Link::start(), first.link));
        assert_eq!(second.link.number, 2);
        let value: Value = serde_json::from_slice(&lines[1]).unwrap();
        assert_eq!(value["a"], 2);
    }

    #[test]
    fn an_entry_that_was_changed_says_so_by_itself() {
        let line = String::from_utf8(chain(&[r#"{"client":"a","status":200}"#]).remove(0)).unwrap();
        let line = line.trim_end();
        assert!(Link::read(line.as_bytes()).is_ok());
        for (was, is) in [("200", "500"), ("\"a\"", "\"b\""), ("\"number\":1", "\"number\":2")] {
            assert_eq!(Link::read(line.replace(was, is).as_bytes()), Err(Broken::Changed));
        }
        for strange in ["", "{}", "x", &line[1..], &line[..line.len() - 1]] {
            assert_eq!(Link::read(strange.as_bytes()), Err(Broken::Strange), "{strange}");
        }
    }
}
