//! Taking an answer in, until it can be judged.

use super::attempt::{Connection, Way};
use crate::buffers::Reservation;
use crate::config::PoolConfig;
use crate::held::Held;
use crate::shape::{self, Media};
use crate::wire::Head;
use aorta_core::exchange::Failure;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// AWS Lambda's limit for a synchronous answer: an envelope cannot be larger ("Lambda quotas").
const ENVELOPE_MAX: usize = 6 * 1024 * 1024;
/// An answer as far as it was taken in.
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) media: Media,
    /// All of its body, or the first piece of one that streams.
    pub(super) held: Bytes,
    /// What came after that piece, before it was known that it streams.
    pub(super) more: Vec<Bytes>,
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
        let head = Head { status, headers: HeaderMap::new(), said: Vec::new() };
        let (media, held, more, rest) = (Media::of(&head.headers), Bytes::new(), Vec::new(), None);
        let _reservation = way.proxy.buffers.reservation();
        Self { head, media, held, more, rest, bodiless: way.head_only, _reservation }
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
        let (held, more, rest) = (Bytes::new(), Vec::new(), Some(Box::new(connection)));
        return Ok(Answer { head, media, held, more, rest, bodiless, _reservation: reservation });
    }
    let mut held = Held::default();
    let mut limit = way.pool.config.hold_max;
    loop {
        let chunk = connection.wire.read_body().await?;
        let Some(chunk) = chunk else {
            connection.release(way);
            let (held, more, rest) = (held.join(), Vec::new(), None);
            return Ok(Answer { head, media, held, more, rest, bodiless, _reservation: reservation });
        };
        let fits = reservation.grow(chunk.len());
        held.push(chunk);
        if held.bytes > limit || !fits {
            if !must_open(&way.pool.config, &held) {
                let ((held, more), rest) = (held.pieces(), Some(Box::new(connection)));
                return Ok(Answer { head, media, held, more, rest, bodiless, _reservation: reservation });
            }
            // Streaming an envelope wrapped would hand the client a 200 that may be a failure.
            if held.bytes > ENVELOPE_MAX || !fits {
                return Err(Failure::Broken);
            }
            limit = ENVELOPE_MAX;
        }
    }
}

fn must_open(config: &PoolConfig, beginning: &Held) -> bool {
    config.unwrap_envelope && shape::may_be_envelope(beginning.iter())
}
