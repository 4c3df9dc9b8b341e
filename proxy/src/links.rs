//! The links of an answer lead back through the proxy: what an upstream says of its own place becomes the place
//! that the client knows.
//!
//! In a FHIR answer these are `Location` and `Content-Location`, and in a Bundle that a server composed
//! `link[].url`, `entry[].fullUrl` and `entry[].response.location` (FHIR R4, "RESTful API" and "Bundle"). Nothing
//! else is touched: a URL in a record is part of the record. Bytes are edited where they stand and never written
//! anew, so numbers, white space, the order of keys and escapes stay as they came.
//!
//! [`place`] knows the two sides, [`scan`] finds the values, [`page`] leads a page back to the upstream that
//! made its link.

pub mod page;
mod place;
mod scan;

pub use place::{ClientSide, Links, UpstreamSide};

use bytes::{Bytes, BytesMut};
use scan::Scanner;

/// A change of one piece of a body: these bytes become that text.
#[derive(Debug, PartialEq, Eq)]
struct Edit {
    from: usize,
    to: usize,
    text: Vec<u8>,
}

/// Edits a body that passes in pieces of any size.
///
/// What it keeps between two pieces is the beginning of one URL, as long as both sides' addresses are: memory
/// does not grow with the body.
#[derive(Debug)]
pub struct Editor<'l> {
    scanner: Scanner<'l>,
    edits: Vec<Edit>,
    edited: bool,
}

impl<'l> Editor<'l> {
    /// An editor at the beginning of a body.
    #[must_use]
    pub const fn new(links: Links<'l>) -> Self {
        Self { scanner: Scanner::new(links), edits: Vec::new(), edited: false }
    }

    /// The piece as it goes on: itself where nothing changes, without a copy.
    pub fn pass(&mut self, piece: Bytes) -> Bytes {
        if self.is_done() {
            return piece;
        }
        self.scanner.feed(&piece, &mut self.edits);
        self.apply(piece)
    }

    /// The beginning of a body, its first piece and others, of which more may come. One that turns out to hold a
    /// record and no composed Bundle stays as it is, also where its links stand before its type.
    pub fn begin(&mut self, first: Bytes, more: &mut [Bytes]) -> Bytes {
        self.scanner.feed(&first, &mut self.edits);
        let mut of_more: Vec<Vec<Edit>> = Vec::new();
        for piece in more.iter() {
            let mut edits = Vec::new();
            self.scanner.feed(piece, &mut edits);
            of_more.push(edits);
        }
        if self.scanner.is_record() {
            self.edits.clear();
            return first;
        }
        let first = self.apply(first);
        for (piece, edits) in more.iter_mut().zip(of_more) {
            self.edits = edits;
            *piece = self.apply(std::mem::take(piece));
        }
        first
    }

    /// What was kept back, once the body has ended: something only when it broke off inside a URL.
    pub fn end(&mut self) -> Bytes {
        self.scanner.left().into()
    }

    /// Nothing of what is still to come changes.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.scanner.is_done()
    }

    /// Something was changed.
    #[must_use]
    pub const fn has_edited(&self) -> bool {
        self.edited
    }

    fn apply(&mut self, piece: Bytes) -> Bytes {
        if self.edits.is_empty() {
            return piece;
        }
        self.edited = true;
        let more: usize = self.edits.iter().map(|edit| edit.text.len()).sum();
        let mut whole = BytesMut::with_capacity(piece.len() + more);
        let mut done = 0;
        for edit in self.edits.drain(..) {
            whole.extend_from_slice(piece.get(done..edit.from).unwrap_or_default());
            whole.extend_from_slice(&edit.text);
            done = edit.to;
        }
        whole.extend_from_slice(piece.get(done..).unwrap_or_default());
        whole.freeze()
    }
}

#[cfg(test)]
mod tests;
