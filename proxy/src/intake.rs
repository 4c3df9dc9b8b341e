//! Taking a request body in before the first attempt: what is whole can be replayed, and no upstream waits for
//! a slow client.

use crate::buffers::{Buffers, Reservation};
use crate::clock;
use crate::config::Limits;
use crate::downstream::{self, Downstream};
use crate::head;
use aorta_core::verdict::Refusal;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use tokio::time::Instant;

/// A request body as far as it was taken in.
#[derive(Debug)]
pub struct Body {
    /// What was read.
    pub held: Bytes,
    /// Everything was read; otherwise the rest still comes from the client.
    pub whole: bool,
    /// The end of the client's time to send the rest.
    pub deadline: Instant,
    /// Bytes the client may send in all.
    pub bytes_max: usize,
    /// The client said how long it is, and there is one.
    pub declared: Option<usize>,
    reservation: Option<Reservation>,
}

/// Why a body did not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// To be answered with this.
    Refused(Refusal),
    /// The client went away.
    ClientGone,
}

impl Body {
    /// It has served: what it held is free for other requests.
    pub fn let_go(&mut self) {
        self.held = Bytes::new();
        self.reservation = None;
    }
}

/// Reads the body until it ends or outgrows what may be kept.
///
/// # Errors
/// When it is larger or slower than the listener allows, or the client went away.
pub async fn take_in(
    client: &mut Downstream,
    limits: &Limits,
    replay_body_max: usize,
    buffers: &Arc<Buffers>,
) -> Result<Body, Lost> {
    let deadline = Instant::now() + limits.body_time;
    if client.is_body_empty() {
        return Ok(Body {
            held: Bytes::new(),
            whole: true,
            deadline,
            bytes_max: limits.body_bytes,
            declared: None,
            reservation: None,
        });
    }
    let declared = head::content_length(&client.head().headers);
    if declared.is_some_and(|length| length > limits.body_bytes) {
        return Err(Lost::Refused(Refusal::BodyTooLarge));
    }
    if head::expects_continue(&client.head().headers) && client.head().version == http::Version::HTTP_11 {
        client.send_continue().await.map_err(|_| Lost::ClientGone)?;
    }
    let mut reservation = buffers.reservation();
    let mut held = BytesMut::with_capacity(declared.unwrap_or_default().min(replay_body_max));
    let mut whole = false;
    while held.len() <= replay_body_max {
        let Some(chunk) = next(client, deadline).await? else {
            whole = true;
            break;
        };
        if held.len() + chunk.len() > limits.body_bytes {
            return Err(Lost::Refused(Refusal::BodyTooLarge));
        }
        let kept = reservation.grow(chunk.len());
        held.extend_from_slice(&chunk);
        if !kept {
            break;
        }
    }
    let held = held.freeze();
    let reservation = Some(reservation);
    Ok(Body { held, whole, deadline, bytes_max: limits.body_bytes, declared, reservation })
}

/// The next piece of the body from the client; none at its end.
///
/// # Errors
/// When the client is too slow, or went away.
pub async fn next(client: &mut Downstream, deadline: Instant) -> Result<Option<Bytes>, Lost> {
    match clock::in_time(|| deadline, client.read_body()).await {
        None => Err(Lost::Refused(Refusal::ClientTooSlow)),
        Some(Err(downstream::Lost::Malformed)) => Err(Lost::Refused(Refusal::BadRequest)),
        Some(Err(downstream::Lost::Gone)) => Err(Lost::ClientGone),
        Some(Ok(chunk)) => Ok(chunk),
    }
}
