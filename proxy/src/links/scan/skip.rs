//! Passes over a value in which no links stand: follows brackets and strings, sixty-four bytes at a time, because
//! nearly all bytes of a page are such.

use crate::lanes::{self, BLOCK, Marks};

/// A value that is passed over, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Skip {
    /// Brackets that are open.
    open: usize,
    in_string: bool,
    /// The last byte was a backslash that escapes the next one.
    escaped: bool,
}

impl Skip {
    /// Nothing is passed over.
    pub(super) const fn none() -> Self {
        Self { open: 0, in_string: false, escaped: false }
    }

    /// A value behind its opening bracket.
    pub(super) const fn opened() -> Self {
        Self { open: 1, in_string: false, escaped: false }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Reads a piece; the place behind the bracket that ends the value, or the piece's end.
    pub(super) fn pass(&mut self, piece: &[u8]) -> usize {
        let (blocks, rest) = piece.as_chunks::<BLOCK>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(end) = self.block(lanes::marks(block)) {
                return index * BLOCK + end;
            }
        }
        if rest.is_empty() {
            return piece.len();
        }
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let end = self.part(lanes::marks(&last), rest.len());
        piece.len() - rest.len() + end.unwrap_or(rest.len())
    }

    /// A block that ends with the piece, after so many bytes.
    fn part(&mut self, marks: Marks, length: usize) -> Option<usize> {
        let ends_escaping = escaped(marks, self.in_string, self.escaped).0 >> length & 1 == 1;
        let end = self.block(marks);
        self.escaped = ends_escaping && self.is_open();
        end
    }

    /// Where in the block the value ends.
    fn block(&mut self, marks: Marks) -> Option<usize> {
        let (escaped, escapes_next) = escaped(marks, self.in_string, self.escaped);
        self.escaped = escapes_next;
        let inside = parity(marks.quotes & !escaped) ^ if self.in_string { u64::MAX } else { 0 };
        self.in_string = inside >> (BLOCK - 1) == 1;
        let (opens, closes) = (marks.opens & !inside, marks.closes & !inside);
        let mut brackets = opens | closes;
        while brackets != 0 {
            let first = brackets & brackets.wrapping_neg();
            if closes & first == 0 {
                self.open += 1;
            } else {
                self.open -= 1;
                if self.open == 0 {
                    (self.in_string, self.escaped) = (false, false);
                    return Some(first.trailing_zeros() as usize + 1);
                }
            }
            brackets ^= first;
        }
        None
    }
}

/// Which bytes of a block a backslash escapes, and whether the last one escapes what follows the block. Outside of
/// strings a backslash is only a byte.
fn escaped(marks: Marks, mut in_string: bool, first: bool) -> (u64, bool) {
    let (mut escaped, mut last) = (u64::from(first), false);
    if marks.backslashes == 0 {
        return (escaped, false);
    }
    let mut left = (marks.quotes | marks.backslashes) & !escaped;
    while left != 0 {
        let one = left & left.wrapping_neg();
        left ^= one;
        if marks.quotes & one != 0 {
            in_string = !in_string;
        } else if in_string {
            last = one << 1 == 0;
            escaped |= one << 1;
            left &= !escaped;
        }
    }
    (escaped, last)
}

/// Each bit is set when an odd number of bits is, from the lowest one up to it: from an opening quote to before the
/// closing one.
const fn parity(mut bits: u64) -> u64 {
    let mut shift = 1;
    while shift < BLOCK {
        bits ^= bits << shift;
        shift *= 2;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    /// The same, byte by byte.
    fn end(text: &[u8]) -> Option<usize> {
        let (mut open, mut in_string, mut escaped) = (1, false, false);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'"' => in_string = !in_string,
                b'\\' => escaped = in_string,
                b'{' | b'[' if !in_string => open += 1,
                b'}' | b']' if !in_string => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Some(at + 1);
            }
        }
        None
    }

    fn passed(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Option<usize> {
        let (mut skip, mut before) = (Skip::opened(), 0);
        for piece in pieces {
            let at = skip.pass(piece.as_ref());
            if !skip.is_open() {
                return Some(before + at);
            }
            assert_eq!(at, piece.as_ref().len());
            before += at;
        }
        None
    }

    #[test]
    fn a_value_ends_where_its_brackets_do_whatever_its_strings_hold_and_however_it_is_cut() {
        // In the first nothing is rare, in the others blocks without brackets or quotes are.
        for alphabet in
            [&b"{}[]\"\\a"[..], b"{{[}]\"\"\"\\\\aaaaaaaaaaaaaaaaaaaaaaaa", b"{[[]\\aaaaaaaaaaaaaaaaaaaaaaa"]
        {
            for seed in 0..5000 {
                let mut rng = Rng::with_seed(seed);
                let mut text: Vec<u8> =
                    (0..rng.usize(0..400)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect();
                text.extend(b"\"\"}}}}}}}}");
                let size = rng.usize(1..=text.len());
                assert_eq!(passed([&text].into_iter()), end(&text), "seed {seed}");
                assert_eq!(passed(text.chunks(size)), end(&text), "seed {seed}, pieces of {size}");
            }
        }
    }

    #[test]
    fn an_escape_is_one_wherever_a_block_or_a_piece_ends() {
        for before in 0..2 * BLOCK {
            for tail in [r#"\"}"}"#, r#"\\"}"#, r#"\\\"}"}"#, r#"\u0022}"}"#] {
                let text = format!("\"{}{tail}", "a".repeat(before));
                let expected = Some(text.len());
                assert_eq!(passed([&text].into_iter()), expected, "{text}");
                for cut in 0..=text.len() {
                    let pieces = [&text.as_bytes()[..cut], &text.as_bytes()[cut..]];
                    assert_eq!(passed(pieces.into_iter()), expected, "{text} cut at {cut}");
                }
            }
        }
    }
}
