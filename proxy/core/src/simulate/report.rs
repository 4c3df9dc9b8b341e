//! What came of a run.

use super::What;
use super::scenario::Request;
use crate::outlier::EjectReason;
use crate::pool::PoolEvent;
use crate::receipt::{Felt, Receipt};
use crate::time::Timestamp;
use std::time::Duration;

/// The sum of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that came in.
    pub requests: u64,
    /// Attempts made for them.
    pub attempts: u64,
    /// Requests whose client's key is refused everywhere; they are in no number below.
    pub bad_keys: u64,
    /// Served by a later attempt than the first.
    pub rescued: u64,
    /// Not served although the client stayed.
    pub lost: u64,
    /// The reads among them.
    pub lost_safe: u64,
    /// Ended by the client.
    pub abandoned: u64,
    /// Requests that upstreams ran more than once.
    pub executed_twice: u64,
    /// Attempts at each upstream.
    pub shares: Vec<u64>,
    /// Who was ejected, when and why.
    pub ejections: Vec<(Timestamp, usize, EjectReason)>,
    /// What half of the served requests took at most.
    pub p50: Duration,
    /// What all but one in a hundred of them took at most.
    pub p99: Duration,
    /// A hash over every step: equal for equal runs.
    pub trace: u64,
    took: Vec<Duration>,
}

impl Report {
    pub(super) fn new(upstreams: usize) -> Self {
        Self { shares: vec![0; upstreams], trace: FNV_OFFSET, ..Self::default() }
    }

    pub(super) fn book(&mut self, at: Timestamp, what: &What<'_>) {
        self.mark(at.as_micros());
        match what {
            What::Opened { request } => {
                self.requests += 1;
                self.mark(request.id);
            }
            What::Chosen { request, attempt, .. } => {
                self.attempts += 1;
                self.shares[attempt.upstream] += 1;
                self.mark(request.id);
                self.mark(attempt.upstream as u64);
            }
            What::Judged { request, class, .. } => {
                self.mark(request.id);
                self.mark(*class as u64);
            }
            What::Closed { request, receipt, executions } => {
                self.mark(request.id);
                self.executed_twice += u64::from(*executions > 1);
                self.close(request, receipt);
            }
            What::Told { event } => {
                if let PoolEvent::Ejected { upstream, reason, .. } = *event {
                    self.ejections.push((at, upstream, reason));
                    self.mark(upstream as u64);
                }
            }
            What::Checked { upstream, .. } => self.mark(*upstream as u64),
        }
    }

    pub(super) fn finish(mut self) -> Self {
        self.took.sort_unstable();
        let at = |hundredths: usize| self.took.get(self.took.len() * hundredths / 100).copied();
        (self.p50, self.p99) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
        self
    }

    fn close(&mut self, request: &Request, receipt: &Receipt) {
        let felt = receipt.felt();
        self.mark(felt as u64);
        if request.bad_key {
            self.bad_keys += 1;
            return;
        }
        match felt {
            Felt::Ok => {}
            Felt::Rescued => self.rescued += 1,
            Felt::Abandoned => self.abandoned += 1,
            Felt::Failed | Felt::Rejected => {
                self.lost += 1;
                self.lost_safe += u64::from(request.terms.safety == crate::fhir_safety::Safety::Safe);
            }
        }
        if matches!(felt, Felt::Ok | Felt::Rescued)
            && let Some(last) = receipt.attempts.last()
        {
            self.took.push(last.ended.since(request.arrived));
        }
    }

    /// FNV-1a: short, and the same on every machine.
    fn mark(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
