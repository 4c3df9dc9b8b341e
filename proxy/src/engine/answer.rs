//! Taking an answer in, until it can be judged.

use super::attempt::{Connection, Way};
use crate::buffers::Reservation;
use crate::config::PoolConfig;
use crate::shape::{self, Media};
use crate::wire::Head;
use aorta_core::exchange::Failure;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// AWS Lambda's limit for a synchronous answer: an envelope cannot be larger ("Lambda quotas").
const ENVELOPE_MAX: usize = 6 * 1024 * 1024;
/// An answer as far as it was taken in.
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) media: Media,
    pub(super) held: Bytes,
    /// The rest is still to come from here.
    pub(super) rest: Option<Box<Connection>>,
    bodiless: bool,
    _reservation: Reservation,
}

impl Answer {
    pub(super) const fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// One that no upstream gave: it has this status and says nothing.
    pub(super) fn made_up(way: Way<'_>, status: StatusCode) -> Self {
        let head = Head { status, headers: HeaderMap::new() };
        let (media, held, rest) = (Media::of(&head.headers), Bytes::new(), None);
        let _reservation = way.proxy.buffers.reservation();
        Self { head, media, held, rest, bodiless: way.head_only, _reservation }
    }

    /// It has no body by its nature: an answer to HEAD, 204, 304.
    pub(super) const fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    /// Another body takes this one's place; a status without a body has none.
    pub(super) fn replace_body(&mut self, body: Bytes) {
        self.bodiless |= matches!(self.head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.held = body;
    }
}

/// Reads the answer until it is whole, or as much as is held before it must stream.
pub(super) async fn receive(way: Way<'_>, mut connection: Connection) -> Result<Answer, Failure> {
    let head = connection.wire.read_head(way.head_only).await?;
    let mut reservation = way.proxy.buffers.reservation();
    let media = Media::of(&head.headers);
    let bodiless = way.head_only || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && !media.is_judged() {
        let (held, rest) = (Bytes::new(), Some(Box::new(connection)));
        return Ok(Answer { head, media, held, rest, bodiless, _reservation: reservation });
    }
    let mut held = Held::default();
    let mut limit = way.pool.config.hold_max;
    loop {
        let chunk = connection.wire.read_body().await?;
        let Some(chunk) = chunk else {
            connection.release(way);
            let (held, rest) = (held.join(), None);
            return Ok(Answer { head, media, held, rest, bodiless, _reservation: reservation });
        };
        let fits = reservation.grow(chunk.len());
        held.push(chunk);
        if held.bytes > limit || !fits {
            let beginning = held.join();
            if !must_open(&way.pool.config, &beginning) {
                let (held, rest) = (beginning, Some(Box::new(connection)));
                return Ok(Answer { head, media, held, rest, bodiless, _reservation: reservation });
            }
            // Streaming an envelope wrapped would hand the client a 200 that may be a failure.
            if beginning.len() > ENVELOPE_MAX || !fits {
                return Err(Failure::Broken);
            }
            limit = ENVELOPE_MAX;
            held = Held::from(beginning);
        }
    }
}

fn must_open(config: &PoolConfig, beginning: &Bytes) -> bool {
    config.unwrap_envelope && shape::may_be_envelope(beginning)
}

/// A body in pieces: one piece, the usual case, is never copied.
#[derive(Default)]
pub(super) struct Held {
    one: Bytes,
    more: BytesMut,
    pub(super) bytes: usize,
}

impl Held {
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        if self.one.is_empty() && self.more.is_empty() {
            self.one = chunk;
            return;
        }
        if self.more.is_empty() {
            self.more.extend_from_slice(&std::mem::take(&mut self.one));
        }
        self.more.extend_from_slice(&chunk);
    }

    pub(super) fn join(&mut self) -> Bytes {
        if self.more.is_empty() {
            std::mem::take(&mut self.one)
        } else {
            std::mem::take(&mut self.more).freeze()
        }
    }
}

impl From<Bytes> for Held {
    fn from(one: Bytes) -> Self {
        Self { bytes: one.len(), one, more: BytesMut::new() }
    }
}
