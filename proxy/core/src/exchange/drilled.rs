//! What a drill does to an exchange: its first attempt may meet a fault that is made before anything is sent.

use super::Exchange;
use crate::classify::Class;
use crate::drill::{Closed, Fault, Met};
use crate::pool::{Choice, Pool};
use crate::receipt::Receipt;
use crate::retry::Denial;
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use fastrand::Rng;

impl Exchange {
    /// Before the first choice: whether a drill hits this request.
    pub(super) fn draw(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
        if self.attempts.is_empty() {
            self.met = pool.draw_drill(&self.terms, now, rng);
        }
    }

    /// After it: whether the attempt meets the fault.
    pub(super) fn meet(&mut self, pool: &mut Pool, choice: &mut Choice, now: Timestamp) {
        if self.met == Met::Drawn {
            self.met = pool.meet_drill((&self.terms, self.deadline), choice, now);
        }
    }

    /// The upstream that it keeps away from.
    pub(super) const fn avoids(&self) -> Option<UpstreamKey> {
        match self.met {
            Met::Away(ticket) => Some(ticket.upstream),
            _ => None,
        }
    }

    /// The fault that the attempt of this number meets.
    pub(super) const fn fault(&self, number: usize) -> Option<Fault> {
        match self.met {
            Met::Fault(_, injected) if number == 1 => Some(injected.fault),
            _ => None,
        }
    }

    /// What came of an attempt, as far as it matters for another one: nothing was sent where a drill ended it.
    pub(super) const fn as_sent(&self, number: usize, class: Class) -> Class {
        match self.met {
            Met::Fault(_, injected) if number == 1 && injected.unsent => Class::Unsent,
            _ => class,
        }
    }

    /// The attempt after this one was paid for when it met the fault.
    pub(super) const fn is_paid(&self, number: usize) -> bool {
        matches!(self.met, Met::Fault(_, injected) if number == 1 && injected.paid)
    }
}

/// Books how the request went, and whether it met a drill.
pub(super) fn book(
    (met, opened): (Met, Timestamp),
    receipt: &Receipt,
    pool: &mut Pool,
    now: Timestamp,
    rng: &mut Rng,
) {
    let closed = Closed {
        felt: receipt.felt(),
        took: receipt.attempts.deciding().map_or(now, |last| last.ended).since(opened),
        ticket: match met {
            Met::Away(ticket) | Met::Fault(ticket, _) => Some(ticket),
            Met::Nothing | Met::Drawn => None,
        },
        without: pool.did_without(receipt.attempts.upstreams()),
        denied_by_budget: receipt.denial == Some(Denial::Budget),
    };
    pool.book(&closed, now, rng);
}
