//! Finds the links of a composed Bundle in a body that passes in pieces, without building anything of it.
//!
//! A machine over bytes: it follows the few objects in which links stand and skips everything else by its
//! brackets and quotes. It judges no JSON: whatever comes, it only ever changes the beginning of a string that
//! stands where a link stands.

mod skip;
mod url;

use super::Edit;
use super::place::Links;
use crate::lanes;
use memchr::memchr2;
use skip::Skip;
use url::Url;

/// An object or array in which links stand, or stand further down. A Bundle in a Bundle is followed once: the
/// answers to a batch are entries of a Bundle and may be Bundles themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Bundle,
    Links,
    Link,
    Entries,
    Entry,
    Response,
}

/// Nesting of known places: Bundle, entries, entry, Bundle, entries, entry, response.
const DEPTH: usize = 7;

/// A key that matters; the same names stand for one another only where none of them has two meanings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Other,
    ResourceType,
    Type,
    Link,
    Entry,
    Relation,
    Url,
    FullUrl,
    Response,
    Resource,
    Location,
}

impl Key {
    fn named(name: &[u8]) -> Self {
        match name {
            b"resourceType" => Self::ResourceType,
            b"type" => Self::Type,
            b"link" => Self::Link,
            b"entry" => Self::Entry,
            b"relation" => Self::Relation,
            b"url" => Self::Url,
            b"fullUrl" => Self::FullUrl,
            b"response" => Self::Response,
            b"resource" => Self::Resource,
            b"location" => Self::Location,
            _ => Self::Other,
        }
    }
}

/// A short string that decides something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Key,
    ResourceType,
    Type,
    Relation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lex {
    Between,
    Text,
    Word(Word),
    Url,
    /// Behind what decides about a URL.
    UrlTail,
}

/// The longest word that means something is `transaction-response`.
const WORD_MAX: usize = 24;

/// Follows a body.
#[derive(Debug)]
pub(super) struct Scanner<'l> {
    links: Links<'l>,
    enough: usize,
    lex: Lex,
    /// The last byte was a backslash inside a string.
    escaped: bool,
    stack: [Place; DEPTH],
    depth: usize,
    /// A value without links.
    skip: Skip,
    /// A colon stands behind the last key.
    at_value: bool,
    key: Key,
    word: [u8; WORD_MAX],
    word_len: usize,
    /// The last `relation` of the link that is open.
    leads_on: bool,
    /// The outer Bundle answers a batch or transaction.
    answers_batch: bool,
    url: Url,
    done: bool,
    record: bool,
}

impl<'l> Scanner<'l> {
    pub(super) const fn new(links: Links<'l>) -> Self {
        Self {
            links,
            enough: 0,
            lex: Lex::Between,
            escaped: false,
            stack: [Place::Bundle; DEPTH],
            depth: 0,
            skip: Skip::none(),
            at_value: false,
            key: Key::Other,
            word: [0; WORD_MAX],
            word_len: 0,
            leads_on: true,
            answers_batch: false,
            url: Url::new(),
            done: false,
            record: false,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.done
    }

    /// It is no Bundle that a server composed.
    pub(super) const fn is_record(&self) -> bool {
        self.record
    }

    /// Reads a piece; what changes in it is added to `edits`, in order.
    pub(super) fn feed(&mut self, piece: &[u8], edits: &mut Vec<Edit>) {
        let mut at = 0;
        while at < piece.len() && !self.done {
            at = match self.lex {
                Lex::Between if self.skip.is_open() => at + self.skip.pass(&piece[at..]),
                Lex::Between => self.structure(piece[at], at),
                Lex::Text => self.text(piece, at),
                Lex::Word(word) => self.short(word, piece, at),
                Lex::Url => self.begin_url(piece, at, edits),
                Lex::UrlTail => self.end_url(piece, at, edits),
            };
        }
    }

    /// What was kept back when the body ended.
    pub(super) fn left(&mut self) -> Vec<u8> {
        self.done = true;
        self.url.left()
    }

    fn top(&self) -> Option<Place> {
        self.depth.checked_sub(1).map(|top| self.stack[top])
    }

    fn push(&mut self, place: Place) {
        // Places lead to places in one order only, so the stack is deep enough; a deeper one would be skipped.
        match self.stack.get_mut(self.depth) {
            Some(slot) => {
                *slot = place;
                self.depth += 1;
            }
            None => self.skip = Skip::opened(),
        }
        self.at_value = false;
        self.key = Key::Other;
    }

    fn text(&mut self, piece: &[u8], at: usize) -> usize {
        if std::mem::take(&mut self.escaped) {
            return at + 1;
        }
        let Some(offset) = memchr2(b'"', b'\\', &piece[at..]) else { return piece.len() };
        match piece[at + offset] {
            b'"' => self.lex = Lex::Between,
            _ => self.escaped = true,
        }
        at + offset + 1
    }

    /// One byte between strings, inside a known place.
    fn structure(&mut self, byte: u8, at: usize) -> usize {
        match byte {
            b'"' => self.lex = self.string(),
            b'{' => self.open_object(),
            b'[' => self.open_array(),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.at_value = false;
                self.done = self.depth == 0;
            }
            b':' => self.at_value = true,
            b',' => self.at_value = false,
            byte if self.depth == 0 && !byte.is_ascii_whitespace() => self.done = true,
            _ => {}
        }
        at + 1
    }

    fn string(&mut self) -> Lex {
        let is_array = matches!(self.top(), Some(Place::Links | Place::Entries));
        self.word_len = 0;
        if !self.at_value && !is_array && self.depth > 0 {
            return Lex::Word(Word::Key);
        }
        match (self.top(), self.key) {
            (Some(Place::Bundle), Key::ResourceType) => Lex::Word(Word::ResourceType),
            (Some(Place::Bundle), Key::Type) => Lex::Word(Word::Type),
            (Some(Place::Link), Key::Relation) => Lex::Word(Word::Relation),
            (Some(Place::Link), Key::Url) => self.open_url(true),
            (Some(Place::Entry), Key::FullUrl) | (Some(Place::Response), Key::Location) => {
                self.open_url(false)
            }
            _ => Lex::Text,
        }
    }

    fn open_object(&mut self) {
        match (self.top(), self.key) {
            (None, _) => self.push(Place::Bundle),
            (Some(Place::Links), _) => {
                self.leads_on = true;
                self.push(Place::Link);
            }
            (Some(Place::Entries), _) => self.push(Place::Entry),
            (Some(Place::Entry), Key::Response) => self.push(Place::Response),
            // Nesting is bounded: a Bundle inside the answer to a batch is followed, one inside that is not.
            (Some(Place::Entry), Key::Resource) if self.answers_batch && self.depth == 3 => {
                self.push(Place::Bundle);
            }
            _ => self.skip = Skip::opened(),
        }
    }

    fn open_array(&mut self) {
        match (self.top(), self.key) {
            (None, _) => self.done = true,
            (Some(Place::Bundle), Key::Link) => self.push(Place::Links),
            (Some(Place::Bundle), Key::Entry) => self.push(Place::Entries),
            _ => self.skip = Skip::opened(),
        }
    }

    /// A short string: most lie in one piece and are taken from there, the others byte by byte.
    fn short(&mut self, word: Word, piece: &[u8], at: usize) -> usize {
        if self.word_len == 0
            && let Some(length) = plain_length(&piece[at..])
        {
            self.lex = Lex::Between;
            self.end_word(word, &piece[at..at + length]);
            return at + length + 1;
        }
        let byte = piece[at];
        if byte == b'"' && !self.escaped {
            self.lex = Lex::Between;
            let text = self.word;
            self.end_word(word, text.get(..self.word_len).unwrap_or_default());
            return at + 1;
        }
        // An escape makes it another word: nobody writes these with one.
        self.escaped = byte == b'\\' && !self.escaped;
        if let Some(slot) = self.word.get_mut(self.word_len) {
            *slot = byte;
        }
        self.word_len = (self.word_len + 1).min(WORD_MAX + 1);
        at + 1
    }

    fn end_word(&mut self, word: Word, text: &[u8]) {
        match word {
            Word::Key => self.key = Key::named(text),
            Word::Relation => self.leads_on = text != b"self",
            Word::ResourceType if text == b"Bundle" => {}
            Word::Type
                if !matches!(text, b"document" | b"message" | b"collection" | b"batch" | b"transaction") =>
            {
                self.answers_batch |=
                    self.depth == 1 && matches!(text, b"batch-response" | b"transaction-response");
            }
            // A record, even if it is a Bundle: what it holds is its own.
            Word::ResourceType | Word::Type if self.depth == 1 => {
                self.record = true;
                self.done = true;
            }
            Word::ResourceType | Word::Type => {
                self.depth -= 1;
                self.skip = Skip::opened();
            }
        }
    }

    fn open_url(&mut self, is_link: bool) -> Lex {
        if self.enough == 0 {
            self.enough = self.links.enough();
        }
        self.url.open(is_link && self.leads_on);
        Lex::Url
    }

    /// Reads until the URL can be judged. What was read in earlier pieces is put in front of this one then.
    fn begin_url(&mut self, piece: &[u8], start: usize, edits: &mut Vec<Edit>) -> usize {
        if self.url.is_unread()
            && let Some(length) = memchr2(b'"', b'\\', &piece[start..])
            && piece[start + length] == b'"'
        {
            self.lex = Lex::Between;
            self.url.whole(&self.links, &piece[start..start + length], start, edits);
            return start + length + 1;
        }
        let mut at = start;
        while let Some(&byte) = piece.get(at) {
            if self.url.closes(byte) || self.url.is_enough(self.enough) {
                edits.extend(self.url.judge(&self.links, start));
                self.lex = Lex::UrlTail;
                return at;
            }
            self.url.read(byte);
            at += 1;
        }
        edits.push(self.url.keep(piece, start));
        at
    }

    fn end_url(&mut self, piece: &[u8], start: usize, edits: &mut Vec<Edit>) -> usize {
        let mut at = start;
        while let Some(&byte) = piece.get(at) {
            if self.url.ends(byte) {
                self.lex = Lex::Between;
                edits.extend(self.url.mark(&self.links, at));
                return at + 1;
            }
            at += 1;
        }
        at
    }
}

/// The length of a word that ends within the next sixteen bytes, and holds no escape.
fn plain_length(text: &[u8]) -> Option<usize> {
    let ends = lanes::ends_run(text.first_chunk()?);
    let length = ends.trailing_zeros() as usize;
    (text.get(length) == Some(&b'"')).then_some(length)
}
