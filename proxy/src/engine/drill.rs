//! A drill's fault, done to one attempt before anything of it is sent.

use super::answer::Answer;
use super::attempt::Way;
use crate::clock;
use aorta_core::drill::Fault;
use aorta_core::exchange::{Attempt, Failure};
use http::StatusCode;
use tokio::time::{sleep, timeout_at};

/// How the attempt ends by it; none when it is to be made, now.
pub(super) async fn meet(way: Way<'_>, plan: &Attempt) -> Option<Result<Answer, Failure>> {
    match plan.fault? {
        Fault::Eject => None,
        Fault::Refuse => Some(Err(Failure::Unsent)),
        Fault::Delay(delay) => {
            let waited = timeout_at(clock::instant(plan.deadline), sleep(delay)).await;
            waited.is_err().then_some(Err(Failure::TimedOut))
        }
        Fault::Status(error) => {
            let status = StatusCode::from_u16(error.get()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Some(Ok(Answer::made_up(way, status)))
        }
    }
}
