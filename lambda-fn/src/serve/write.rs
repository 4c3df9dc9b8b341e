//! The interactions that make a version.

use fhir::media::{FHIR_JSON, Media};
use fhir::{IssueCode, OperationOutcome, ResourceType, Severity};
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};

use super::reply::Reply;
use super::{Call, Server};
use crate::concurrency::{Precondition, etag};
use crate::outcome::Refusal;
use crate::request::decode_form;
use crate::resource::Resource;
use crate::search::{Criterion, Search};
use crate::store::{DeleteOutcome, Key, Put, PutOutcome, Store, Stored};
use crate::wishes::Return;

impl<S: Store> Server<S> {
    /// The id is the server's: one in the body is passed over (<https://hl7.org/fhir/R4/http.html#create>).
    pub(super) async fn create(&self, call: &Call<'_>, kind: ResourceType) -> Result<Reply, Refusal> {
        let resource = call.resource(kind)?;
        let unless = call.if_none_exist(kind)?;
        let key = Key { kind, id: call.new_id.clone() };
        self.put(call, Put { key, resource, precondition: call.precondition()?, unless, now: call.now }).await
    }

    pub(super) async fn update(&self, call: &Call<'_>, key: &Key) -> Result<Reply, Refusal> {
        let resource = call.resource(key.kind)?;
        if resource.id() != Some(&key.id) {
            let words = "the resource's id must be there and equal the id in the path";
            return Err(Refusal::bad_request(IssueCode::Value, words));
        }
        let precondition = call.precondition()?;
        self.put(call, Put { key: key.clone(), resource, precondition, unless: Vec::new(), now: call.now })
            .await
    }

    pub(super) async fn delete(&self, call: &Call<'_>, key: &Key) -> Result<Reply, Refusal> {
        match self.store.delete_if(key, call.precondition()?, call.now).await? {
            DeleteOutcome::Deleted(version) => {
                Ok(Reply::empty(StatusCode::NO_CONTENT).with(ETAG, etag(version)))
            }
            DeleteOutcome::Absent => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            DeleteOutcome::Unmet => Err(unmet()),
        }
    }

    async fn put(&self, call: &Call<'_>, put: Put) -> Result<Reply, Refusal> {
        match self.store.put_if(put).await? {
            PutOutcome::Created(stored) => Ok(call.written(StatusCode::CREATED, &stored)),
            PutOutcome::Updated(stored) | PutOutcome::Found(stored) => {
                Ok(call.written(StatusCode::OK, &stored))
            }
            PutOutcome::SeveralFound => Err(Refusal::unmet(
                IssueCode::MultipleMatches,
                "If-None-Exist matches several resources; nothing was written",
            )),
            PutOutcome::Unmet => Err(unmet()),
        }
    }
}

impl Call<'_> {
    fn resource(&self, kind: ResourceType) -> Result<Resource, Refusal> {
        let media = self.request.header(CONTENT_TYPE.as_str()).and_then(Media::of_content_type);
        if media.is_none() {
            let words = format!("the body must be {FHIR_JSON}, and Content-Type must say so");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, IssueCode::NotSupported, words));
        }
        let resource = Resource::parse(&self.request.body)?;
        if resource.kind() != kind {
            let words = "resourceType must equal the type in the path";
            return Err(Refusal::bad_request(IssueCode::Value, words));
        }
        Ok(resource)
    }

    fn precondition(&self) -> Result<Precondition, Refusal> {
        let matching = self.tags(IF_MATCH.as_str())?;
        let not_matching = self.tags(IF_NONE_MATCH.as_str())?;
        Ok(Precondition { matching, not_matching })
    }

    /// A condition that is not understood whole must not be weakened: unknown parameters are refused here.
    fn if_none_exist(&self, kind: ResourceType) -> Result<Vec<Criterion>, Refusal> {
        let Some(value) = self.request.headers.get("if-none-exist") else { return Ok(Vec::new()) };
        let text = value.as_bytes();
        let text = text.strip_prefix(b"?").unwrap_or(text);
        let wrong = |words| Refusal::bad_request(IssueCode::Invalid, words);
        let pairs = decode_form(text).map_err(|_| wrong("If-None-Exist is not UTF-8"))?;
        let search = Search::parse(kind, &pairs)?;
        if search.query.criteria.is_empty() || !search.ignored.is_empty() {
            return Err(wrong("If-None-Exist must be a search whose every parameter is offered on the type"));
        }
        Ok(search.query.criteria)
    }

    fn written(&self, status: StatusCode, stored: &Stored) -> Reply {
        let reply = Reply::version(status, stored).located(&self.base_url, stored);
        match self.wishes.returned {
            Return::Representation => reply,
            Return::Minimal => reply.saying(String::new()),
            Return::Outcome => {
                let words = "the resource is stored";
                let outcome = OperationOutcome::new(Severity::Information, IssueCode::Informational, words);
                reply.saying(outcome.to_value().to_string())
            }
        }
    }
}

fn unmet() -> Refusal {
    let words = "the current version is not the one that the request's condition names; nothing was written";
    Refusal::unmet(IssueCode::Conflict, words)
}
