use super::*;
use BodyFacts as B;
use GatewayErrorType as E;

const JSON: AnswerFacts = AnswerFacts {
    status: 200,
    error_type: None,
    fhir_media: false,
    fhir_expected: true,
    body: B::Json,
    retry_after: None,
};

fn check(status: u16, error_type: Option<E>, body: B, expected: Class) {
    let facts = AnswerFacts { status, error_type, body, ..JSON };
    assert_eq!(classify(Dialect::ApiGateway, &facts), expected, "{facts:?}");
}

#[test]
fn the_gateways_own_answers_are_told_from_the_applications() {
    check(403, Some(E::Forbidden), B::ForbiddenMessage, Class::GatewayDenied);
    check(403, Some(E::MissingAuthenticationToken), B::Json, Class::RouteMissing);
    check(403, Some(E::Signature), B::Json, Class::SignatureRefused);
    check(403, Some(E::Other), B::Json, Class::Answered);
    check(429, Some(E::TooManyRequests), B::Json, Class::Throttled);
    check(429, Some(E::LimitExceeded), B::Json, Class::QuotaExceeded);
    check(429, None, B::Json, Class::AppThrottled);
    check(500, Some(E::Internal), B::InternalMessage, Class::GatewayFailed);
    check(502, Some(E::Internal), B::InternalMessage, Class::IntegrationFailed);
    check(504, Some(E::Internal), B::Json, Class::IntegrationFailed);
}

#[test]
fn a_refusal_made_by_the_application_is_an_answer() {
    check(401, None, B::Json, Class::Answered);
    check(403, None, B::ForbiddenMessage, Class::Answered);
    check(403, None, B::Json, Class::Answered);
    check(404, None, B::Json, Class::Answered);
    let fhir_403 = AnswerFacts {
        status: 403,
        error_type: Some(E::Forbidden),
        body: B::ForbiddenMessage,
        fhir_media: true,
        ..JSON
    };
    assert_eq!(classify(Dialect::ApiGateway, &fhir_403), Class::Answered);
}

#[test]
fn a_header_alone_does_not_prove_that_the_gateway_spoke() {
    check(403, Some(E::Forbidden), B::Json, Class::Answered);
    check(403, Some(E::Forbidden), B::Empty, Class::Answered);
    check(500, Some(E::Internal), B::Json, Class::AppFailed);
}

#[test]
fn a_denied_head_is_a_denial_although_its_body_is_withheld() {
    check(403, Some(E::Forbidden), B::Withheld, Class::GatewayDenied);
    check(500, Some(E::Internal), B::Withheld, Class::GatewayFailed);
    check(403, None, B::Withheld, Class::Answered);
}

#[test]
fn a_200_that_carries_a_failure_is_that_failure() {
    check(200, None, B::Envelope { status: 500 }, Class::AppFailed);
    check(200, None, B::Envelope { status: 502 }, Class::IntegrationFailed);
    check(200, None, B::Envelope { status: 200 }, Class::Answered);
    check(200, None, B::Envelope { status: 403 }, Class::Answered);
    check(200, None, B::LambdaError, Class::LambdaFailed);
    check(200, None, B::Html, Class::Garbled);
    check(200, None, B::Unreadable, Class::Garbled);
    check(200, None, B::Unseen, Class::Answered);
}

#[test]
fn html_is_an_answer_where_no_fhir_was_asked_for() {
    let facts = AnswerFacts { body: B::Html, fhir_expected: false, ..JSON };
    assert_eq!(classify(Dialect::ApiGateway, &facts), Class::Answered);
}

#[test]
fn a_plain_upstream_is_judged_by_its_status_alone() {
    let denied =
        AnswerFacts { status: 403, error_type: Some(E::Forbidden), body: B::ForbiddenMessage, ..JSON };
    assert_eq!(classify(Dialect::Http, &denied), Class::Answered);
    let envelope = AnswerFacts { body: B::Envelope { status: 500 }, ..JSON };
    assert_eq!(classify(Dialect::Http, &envelope), Class::Answered);
}

#[test]
fn an_error_type_is_read_with_its_namespace() {
    assert_eq!(GatewayErrorType::parse("ForbiddenException:http://internal.example/"), E::Forbidden);
    assert_eq!(GatewayErrorType::parse("SomethingElse"), E::Other);
}
