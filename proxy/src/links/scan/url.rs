//! One URL of a body, read byte by byte: its beginning decides, its end takes the mark.

use crate::links::Edit;
use crate::links::place::{Kin, Links};

/// The URL that is being read.
#[derive(Debug)]
pub(super) struct Url {
    /// What was read in earlier pieces, kept back.
    kept: Vec<u8>,
    /// Unescaped; a byte that no base holds stands for what is not plain.
    text: Vec<u8>,
    /// Where each byte of `text` ends in what was read.
    ends: Vec<usize>,
    /// Bytes read.
    read: usize,
    /// The last byte was a backslash, or an escape is not at its end.
    escaped: bool,
    /// Hexadecimal digits of a `\u` that are still to come, and its value so far.
    digits: (u8, u32),
    may_mark: bool,
    has_query: bool,
}

/// Stands in no base and ends none.
const STRANGE: u8 = 0xff;

impl Url {
    pub(super) const fn new() -> Self {
        Self {
            kept: Vec::new(),
            text: Vec::new(),
            ends: Vec::new(),
            read: 0,
            escaped: false,
            digits: (0, 0),
            may_mark: false,
            has_query: false,
        }
    }

    /// Begins another one.
    pub(super) fn open(&mut self, may_mark: bool) {
        self.kept.clear();
        self.text.clear();
        self.ends.clear();
        (self.read, self.escaped, self.digits) = (0, false, (0, 0));
        (self.may_mark, self.has_query) = (may_mark, false);
    }

    /// Nothing of it was looked at.
    pub(super) const fn is_unread(&self) -> bool {
        self.read == 0
    }

    /// All of one that is written without escapes, and lies in one piece.
    pub(super) fn whole(&mut self, links: &Links<'_>, url: &[u8], start: usize, edits: &mut Vec<Edit>) {
        let kin = links.judge(url);
        self.may_mark &= kin != Kin::Foreign && !url.contains(&b'#');
        self.has_query = self.may_mark && url.contains(&b'?');
        match kin {
            Kin::Ours { cut, put } if url.get(..cut) != Some(put.as_bytes()) => {
                edits.push(Edit { from: start, to: start + cut, text: put.into_bytes() });
            }
            _ => {}
        }
        edits.extend(self.mark(links, start + url.len()));
    }

    /// What was kept back.
    pub(super) fn left(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// This byte is the quote behind it.
    pub(super) const fn closes(&self, byte: u8) -> bool {
        byte == b'"' && !self.escaped
    }

    /// Enough of it was read.
    pub(super) fn is_enough(&self, enough: usize) -> bool {
        self.text.len() >= enough
    }

    /// Takes one byte of its beginning.
    pub(super) fn read(&mut self, byte: u8) {
        self.read += 1;
        let plain = match (self.digits.0, self.escaped, byte) {
            (0, false, b'\\') => {
                self.escaped = true;
                return;
            }
            (0, false, byte) => byte,
            (0, true, b'u') => {
                self.digits = (4, 0);
                return;
            }
            (0, true, b'/' | b'\\' | b'"') => byte,
            (0, true, _) => STRANGE,
            (left, _, digit) => {
                // What is no digit spoils the value, and nothing else.
                let digit = char::from(digit).to_digit(16).unwrap_or(0xffff);
                self.digits = (left - 1, self.digits.1.wrapping_mul(16).wrapping_add(digit));
                if left > 1 {
                    return;
                }
                u8::try_from(self.digits.1).ok().filter(u8::is_ascii).unwrap_or(STRANGE)
            }
        };
        self.escaped = false;
        self.text.push(plain);
        self.ends.push(self.read);
    }

    /// The piece ends before the URL can be judged: what stands of it there waits for the next one.
    pub(super) fn keep(&mut self, piece: &[u8], start: usize) -> Edit {
        self.kept.extend_from_slice(piece.get(start..).unwrap_or_default());
        Edit { from: start, to: piece.len(), text: Vec::new() }
    }

    /// What becomes of its beginning, of which this piece holds the part from `start` on.
    pub(super) fn judge(&mut self, links: &Links<'_>, start: usize) -> Option<Edit> {
        let kin = links.judge(&self.text);
        self.may_mark &= kin != Kin::Foreign && !self.text.contains(&b'#');
        self.has_query = self.text.contains(&b'?');
        let (cut, mut text) = match kin {
            Kin::Ours { cut, put } if self.text.get(..cut) != Some(put.as_bytes()) => {
                let end = cut.checked_sub(1).and_then(|last| self.ends.get(last)).copied();
                (end.unwrap_or_default(), put.into_bytes())
            }
            _ => (0, Vec::new()),
        };
        // The cut ends among what was kept back, or in this piece.
        let kept = self.left();
        text.extend_from_slice(kept.get(cut..).unwrap_or_default());
        let to = start + cut.saturating_sub(kept.len());
        (!text.is_empty() || to > start).then_some(Edit { from: start, to, text })
    }

    /// Takes one byte behind its beginning; true for the quote behind it.
    pub(super) const fn ends(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'?' => self.has_query = true,
            // What stands behind a fragment's sign never reaches a server.
            b'#' => self.may_mark = false,
            b'"' => return true,
            _ => {}
        }
        false
    }

    /// The mark before the quote that ends it, where it leads on.
    pub(super) fn mark(&self, links: &Links<'_>, at: usize) -> Option<Edit> {
        let mark = links.mark.filter(|_| self.may_mark)?;
        let joint = if self.has_query { '&' } else { '?' };
        Some(Edit { from: at, to: at, text: format!("{joint}{mark}").into_bytes() })
    }
}
