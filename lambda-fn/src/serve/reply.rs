//! An answer, and the headers every answer carries.

use bytes::Bytes;
use fhir::media::Media;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use http::{HeaderValue, Response, StatusCode};

use crate::concurrency::etag;
use crate::outcome::Refusal;
use crate::request::Request;
use crate::store::Stored;

/// An answer before it is written.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: StatusCode,
    media: Media,
    headers: Vec<(HeaderName, String)>,
    body: String,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, media: Media::FhirJson, headers: Vec::new(), body: String::new() }
    }

    /// 200 with JSON.
    pub(super) fn ok(body: String) -> Self {
        Self { body, ..Self::empty(StatusCode::OK) }
    }

    /// A version of a record: its body, if it has one, and the headers that name the version.
    pub(super) fn version(status: StatusCode, stored: &Stored) -> Self {
        Self { body: stored.body.clone().unwrap_or_default(), ..Self::empty(status) }
            .with(ETAG, etag(stored.version))
            .with(LAST_MODIFIED, stored.updated.http_date())
    }

    /// A failure.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let mut reply =
            Self { body: refusal.outcome().to_value().to_string(), ..Self::empty(refusal.status) };
        if !refusal.allow.is_empty() {
            let methods: Vec<&str> = refusal.allow.iter().map(|method| method.as_str()).collect();
            reply = reply.with(ALLOW, methods.join(", "));
        }
        if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
            reply = reply.with(RETRY_AFTER, "1".into());
        }
        reply
    }

    /// The same answer with one more header.
    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same answer with the place of the version it tells of.
    pub(super) fn located(self, base_url: &str, stored: &Stored) -> Self {
        let location = format!("{base_url}/{}/_history/{}", stored.key, stored.version);
        self.with(LOCATION, location)
    }

    /// The same answer with another body.
    pub(super) fn saying(self, body: String) -> Self {
        Self { body, ..self }
    }

    /// The same answer under the media type that was asked for.
    pub(super) fn in_media(self, media: Option<Media>) -> Self {
        Self { media: media.unwrap_or(self.media), ..self }
    }

    /// The same answer, JSON by its general name unless another was asked for: what the original system said.
    pub(super) fn plain(self) -> Self {
        Self { media: Media::Json, ..self }
    }

    /// The answer as HTTP. A record is nobody else's to keep: `no-store`.
    pub(super) fn to_response(&self, request: &Request) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body.clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media.content_type()));
        }
        for (name, value) in &self.headers {
            // A base URL comes from the client and was parsed: what is left out here could not have been sent.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        if let Some(id) = request.request_id().and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert("x-request-id", id);
        }
        response
    }
}
