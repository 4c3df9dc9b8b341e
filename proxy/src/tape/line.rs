//! A question as JSON, and back.

use aorta_core::check::CheckResult;
use aorta_core::classify::{AnswerFacts, BodyFacts, GatewayErrorType};
use aorta_core::exchange::{Failure, Terms};
use aorta_core::fhir_safety::Safety;
use aorta_core::tape::Question;
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamKey;
use aorta_core::verdict::Refusal;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;

const SAFETIES: [Safety; 4] = [Safety::Safe, Safety::Idempotent, Safety::Conditional, Safety::Unsafe];
const FAILURES: [Failure; 4] = [Failure::Unsent, Failure::Unprocessed, Failure::Broken, Failure::TimedOut];
const ERROR_TYPES: [GatewayErrorType; 7] = [
    GatewayErrorType::Forbidden,
    GatewayErrorType::MissingAuthenticationToken,
    GatewayErrorType::Signature,
    GatewayErrorType::TooManyRequests,
    GatewayErrorType::LimitExceeded,
    GatewayErrorType::Internal,
    GatewayErrorType::Other,
];
/// All but the envelope, which carries a status.
const BODIES: [BodyFacts; 10] = [
    BodyFacts::Unseen,
    BodyFacts::Empty,
    BodyFacts::Withheld,
    BodyFacts::Json,
    BodyFacts::ForbiddenMessage,
    BodyFacts::InternalMessage,
    BodyFacts::LambdaError,
    BodyFacts::Unreadable,
    BodyFacts::Html,
    BodyFacts::Foreign,
];

/// A question's own part of its line.
#[must_use]
pub fn write(question: &Question) -> Value {
    match *question {
        Question::Open(Terms { safety, client, key, replayable, deadline, page }) => json!({
            "ask": "open", "safety": word(safety), "client": client, "key": key, "replayable": replayable,
            "deadline": deadline.map(Timestamp::as_micros), "page": page.map(UpstreamKey::number),
        }),
        Question::Choose => json!({ "ask": "choose" }),
        Question::Failed(number, failure) => {
            json!({ "ask": "failed", "attempt": number, "failure": word(failure) })
        }
        Question::Answered(number, facts, whole) => {
            json!({ "ask": "answered", "attempt": number, "answer": answer(&facts), "whole": whole })
        }
        Question::Hedge => json!({ "ask": "hedge" }),
        Question::Leave => json!({ "ask": "leave" }),
        Question::Delivered => json!({ "ask": "delivered" }),
        Question::Broke => json!({ "ask": "broke" }),
        Question::Abandoned => json!({ "ask": "abandoned" }),
        Question::Refuse(refusal) => json!({ "ask": "refuse", "refusal": word(refusal) }),
        Question::Close => json!({ "ask": "close" }),
        Question::Late(None) => json!({ "ask": "late" }),
        Question::Late(Some(Ok(facts))) => json!({ "ask": "late", "answer": answer(&facts) }),
        Question::Late(Some(Err(failure))) => json!({ "ask": "late", "failure": word(failure) }),
        Question::BeginCheck(upstream) => json!({ "ask": "begin_check", "upstream": upstream.number() }),
        Question::Checked(upstream, result) => {
            json!({ "ask": "checked", "upstream": upstream.number(), "result": word(result) })
        }
        Question::Verified(upstream, result) => {
            json!({ "ask": "verified", "upstream": upstream.number(), "result": word(result) })
        }
    }
}

fn answer(facts: &AnswerFacts) -> Value {
    let envelope = if let BodyFacts::Envelope { status } = facts.body { Some(status) } else { None };
    json!({
        "status": facts.status, "error_type": facts.error_type.map(word), "fhir_media": facts.fhir_media,
        "fhir_expected": facts.fhir_expected, "envelope": envelope,
        "body": envelope.is_none().then(|| word(facts.body)),
        "retry_after": facts.retry_after.map(|pause| u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)),
    })
}

/// The question of a line; none when it is none.
#[must_use]
pub fn read(line: &Value) -> Option<Question> {
    Some(match line["ask"].as_str()? {
        "open" => Question::Open(Terms {
            safety: one_of(&SAFETIES, &line["safety"])?,
            client: line["client"].as_u64()?,
            key: line["key"].as_u64(),
            replayable: line["replayable"].as_bool()?,
            deadline: line["deadline"].as_u64().map(Timestamp::from_micros),
            page: key(&line["page"]),
        }),
        "choose" => Question::Choose,
        "failed" => Question::Failed(place(&line["attempt"])?, one_of(&FAILURES, &line["failure"])?),
        "answered" => {
            Question::Answered(place(&line["attempt"])?, facts(&line["answer"])?, line["whole"].as_bool()?)
        }
        "hedge" => Question::Hedge,
        "leave" => Question::Leave,
        "delivered" => Question::Delivered,
        "broke" => Question::Broke,
        "abandoned" => Question::Abandoned,
        "refuse" => Question::Refuse(one_of(&Refusal::ALL, &line["refusal"])?),
        "close" => Question::Close,
        "late" if line.get("answer").is_some() => Question::Late(Some(Ok(facts(&line["answer"])?))),
        "late" if line.get("failure").is_some() => {
            Question::Late(Some(Err(one_of(&FAILURES, &line["failure"])?)))
        }
        "late" => Question::Late(None),
        "begin_check" => Question::BeginCheck(key(&line["upstream"])?),
        "checked" => Question::Checked(key(&line["upstream"])?, one_of(&CheckResult::ALL, &line["result"])?),
        "verified" => {
            Question::Verified(key(&line["upstream"])?, one_of(&CheckResult::ALL, &line["result"])?)
        }
        _ => return None,
    })
}

fn facts(line: &Value) -> Option<AnswerFacts> {
    let status = |value: &Value| value.as_u64().and_then(|status| u16::try_from(status).ok());
    Some(AnswerFacts {
        status: status(&line["status"])?,
        error_type: one_of(&ERROR_TYPES, &line["error_type"]),
        fhir_media: line["fhir_media"].as_bool()?,
        fhir_expected: line["fhir_expected"].as_bool()?,
        body: match status(&line["envelope"]) {
            Some(status) => BodyFacts::Envelope { status },
            None => one_of(&BODIES, &line["body"])?,
        },
        retry_after: line["retry_after"].as_u64().map(Duration::from_micros),
    })
}

fn word(value: impl Debug) -> String {
    format!("{value:?}")
}

fn one_of<T: Copy + Debug>(all: &[T], said: &Value) -> Option<T> {
    let said = said.as_str()?;
    all.iter().copied().find(|value| word(value) == said)
}

fn place(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|place| usize::try_from(place).ok())
}

fn key(value: &Value) -> Option<UpstreamKey> {
    place(value).map(UpstreamKey::at_first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> impl Iterator<Item = AnswerFacts> {
        let bodies = BODIES.into_iter().chain([BodyFacts::Envelope { status: 502 }]);
        bodies.enumerate().map(|(index, body)| AnswerFacts {
            status: 200 + index as u16,
            error_type: ERROR_TYPES.get(index).copied(),
            fhir_media: index % 2 == 0,
            fhir_expected: index % 3 == 0,
            body,
            retry_after: (index > 5).then(|| Duration::from_secs(index as u64)),
        })
    }

    #[test]
    fn every_question_is_read_as_it_was_written() {
        let terms = |safety, some: bool| Terms {
            safety,
            client: u64::MAX,
            key: some.then_some(7),
            replayable: some,
            deadline: some.then(|| Timestamp::from_micros(5)),
            page: None,
        };
        let opens =
            SAFETIES.into_iter().flat_map(|one| [true, false].map(|some| Question::Open(terms(one, some))));
        let results = CheckResult::ALL.into_iter();
        let questions = opens
            .chain([
                Question::Choose,
                Question::Hedge,
                Question::Leave,
                Question::Delivered,
                Question::Broke,
                Question::Abandoned,
            ])
            .chain([Question::Close, Question::Late(None), Question::BeginCheck(UpstreamKey::at_first(3))])
            .chain(
                FAILURES
                    .into_iter()
                    .flat_map(|one| [Question::Failed(2, one), Question::Late(Some(Err(one)))]),
            )
            .chain(
                answers().flat_map(|one| [Question::Answered(1, one, true), Question::Late(Some(Ok(one)))]),
            )
            .chain(Refusal::ALL.into_iter().map(Question::Refuse))
            .chain(results.flat_map(|one| {
                [
                    Question::Checked(UpstreamKey::at_first(0), one),
                    Question::Verified(UpstreamKey::at_first(1), one),
                ]
            }));
        for question in questions {
            let text = write(&question).to_string();
            let back = read(&serde_json::from_str(&text).unwrap());
            assert_eq!(back.map(word), Some(word(question)), "{text}");
        }
    }
}
