//! A body that is being taken in: pieces as they came, which are put together only for those who must see it whole.

use bytes::{Bytes, BytesMut};

/// A piece below this is copied behind the one before: what stands around a piece must not outgrow it, whatever an
/// upstream dribbles.
const PIECE_MIN: usize = 4 * 1024;

/// What came so far. One piece, the usual case, is never copied, and large ones are copied once at most.
#[derive(Debug, Default)]
pub(crate) struct Held {
    first: Bytes,
    more: Vec<Bytes>,
    /// Small pieces behind those.
    small: BytesMut,
    pub(crate) bytes: usize,
}

impl Held {
    pub(crate) fn push(&mut self, piece: Bytes) {
        let is_first = self.bytes == 0;
        self.bytes += piece.len();
        if is_first {
            self.first = piece;
        } else if piece.len() < PIECE_MIN {
            self.small.extend_from_slice(&piece);
        } else {
            self.end_small();
            self.more.push(piece);
        }
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.more.push(self.small.split().freeze());
        }
    }

    /// Byte for byte.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u8> {
        let pieces = [&self.first[..]].into_iter().chain(self.more.iter().map(|piece| &piece[..]));
        pieces.chain([&self.small[..]]).flatten().copied()
    }

    /// The first piece, and the others.
    pub(crate) fn pieces(mut self) -> (Bytes, Vec<Bytes>) {
        self.end_small();
        (self.first, self.more)
    }

    /// All of it in one.
    pub(crate) fn join(mut self) -> Bytes {
        if self.bytes == self.first.len() {
            return self.first;
        }
        self.end_small();
        let mut whole = BytesMut::with_capacity(self.bytes);
        whole.extend_from_slice(&self.first);
        self.more.iter().for_each(|piece| whole.extend_from_slice(piece));
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[test]
    fn what_came_is_the_same_in_pieces_and_in_one() {
        for seed in 0..500 {
            let mut rng = Rng::with_seed(seed);
            let lengths = (0..rng.usize(0..8))
                .map(|_| if rng.bool() { rng.usize(1..9) } else { PIECE_MIN - 1 + rng.usize(0..3) });
            let lengths: Vec<_> = lengths.collect();
            let came: Vec<Bytes> =
                lengths.iter().map(|&length| (0..length).map(|_| rng.u8(..)).collect()).collect();
            let held = || {
                let mut held = Held::default();
                came.iter().cloned().for_each(|piece| held.push(piece));
                held
            };
            assert_eq!(held().bytes, came.concat().len());
            assert!(held().iter().eq(came.concat()), "seed {seed}");
            assert_eq!(held().join(), came.concat(), "seed {seed}");
            let (first, more) = held().pieces();
            assert_eq!([&[first], &more[..]].concat().concat(), came.concat(), "seed {seed}");
        }
    }

    #[test]
    fn one_piece_is_not_copied_and_many_small_ones_are_gathered() {
        let piece = Bytes::from(vec![b'a'; 10]);
        let mut held = Held::default();
        held.push(piece.clone());
        assert_eq!(held.join().as_ptr(), piece.as_ptr());
        let mut held = Held::default();
        (0..1000).for_each(|_| held.push(piece.clone()));
        assert_eq!(held.pieces().1.len(), 1);
    }
}
