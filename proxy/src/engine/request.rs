//! The request as it goes out: built once from the client's, finished for each upstream.

use crate::config::UpstreamConfig;
use crate::headers::{self, name};
use crate::path;
use crate::sign;
use crate::snapshot::LiveUpstream;
use crate::trace::Trace;
use crate::wire::RequestHead;
use aorta_core::classify::Dialect;
use aorta_core::fhir_safety::Errand;
use aorta_core::pool::PoolSpec;
use aorta_core::time::Timestamp;
use aorta_core::verdict::Refusal;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use std::net::IpAddr;
use std::time::Duration;

/// API Gateway takes so many bytes of request line and header values ("Amazon API Gateway quotas").
const HEAD_MAX: usize = 10_240;
/// From here on it might be too much: an upstream's base path, host, own headers and the deadline come on top.
const HEAD_NEAR: usize = 9 * 1024;
/// A signature with the token of temporary credentials: AWS bounds it nowhere, and makes them of some 1 kB.
const SIGNATURE_ROOM: usize = 2 * 1024;

/// Fields that Aorta adds for every upstream.
const OURS: usize = 7;

/// What every attempt of a request has in common.
#[derive(Debug)]
pub struct Outgoing {
    method: Method,
    path: String,
    query: Option<String>,
    strip: String,
    /// Path and query as they go out, below an upstream's base path.
    target: String,
    fields: Vec<(HeaderName, HeaderValue)>,
    /// The body that a search by POST has instead of a query.
    form: Option<Bytes>,
}

/// Who the client is and what it asked for, as the upstream is told.
#[derive(Debug)]
pub struct Origin<'a> {
    /// Who connects: the client, or a proxy before this one.
    pub peer: Option<IpAddr>,
    /// The client came over TLS.
    pub tls: bool,
    /// The host the client asked for, with its port.
    pub host: &'a str,
    /// What of the query travels on.
    pub query: Option<&'a str>,
    /// The id of this request.
    pub request_id: &'a HeaderValue,
    /// The trace this request belongs to.
    pub trace: Trace,
    /// Answers are judged, so they must come unencoded.
    pub judged: bool,
}

impl Outgoing {
    /// Takes over what may travel on, and adds what Aorta says; [`Self::fit`] judges it.
    #[must_use]
    pub fn new(came: &Parts, strip: &str, origin: &Origin<'_>) -> Self {
        let path = came.uri.path();
        let query = origin.query;
        let mut fields = Vec::with_capacity(came.headers.len() + OURS);
        let travels_on = headers::for_upstream(&came.headers)
            .filter(|(name, _)| !origin.judged || *name != header::ACCEPT_ENCODING)
            // What vendors said of a trace means nothing to another one.
            .filter(|(name, _)| origin.trace.parent.is_some() || *name != name::TRACESTATE);
        fields.extend(travels_on.map(|(name, value)| (name.clone(), value.clone())));
        join_cookies(&mut fields);
        let mut set = |name: &HeaderName, value: Option<HeaderValue>| {
            fields.extend(value.map(|value| (name.clone(), value)));
        };
        set(&name::X_FORWARDED_FOR, headers::forwarded_for(&came.headers, origin.peer));
        let scheme = HeaderValue::from_static(if origin.tls { "https" } else { "http" });
        set(&name::X_FORWARDED_PROTO, Some(scheme));
        set(&name::X_FORWARDED_HOST, HeaderValue::from_str(origin.host).ok());
        if !strip.is_empty() {
            set(&name::X_FORWARDED_PREFIX, HeaderValue::from_str(strip).ok());
        }
        set(&name::X_REQUEST_ID, Some(origin.request_id.clone()));
        set(&name::TRACEPARENT, Some(origin.trace.header(1)));
        if origin.judged {
            set(&header::ACCEPT_ENCODING, Some(HeaderValue::from_static("identity")));
        }
        Self {
            method: came.method.clone(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            strip: strip.to_owned(),
            target: String::new(),
            fields,
            form: None,
        }
    }

    /// Makes it fit what an upstream takes: a search whose head is near the limit goes out by POST, which means
    /// the same (FHIR R4, "search", section 3.1.1). Judged once here, so that a request that cannot go out is
    /// refused before anything is chosen.
    ///
    /// # Errors
    /// When the target could leave an upstream's base path, or the head is larger than any upstream takes.
    pub fn fit(&mut self, spec: &PoolSpec, errand: Errand) -> Result<(), Refusal> {
        let target = path::target(&self.strip, &self.path, self.query.as_deref());
        let gateway = spec.dialect == Dialect::ApiGateway;
        let is_signed = spec.upstreams.iter().any(|upstream| upstream.signed);
        let near = if is_signed { HEAD_NEAR - SIGNATURE_ROOM } else { HEAD_NEAR };
        let is_near = match &target {
            Ok(target) => gateway && target.len() + self.field_bytes(true) > near,
            Err(refusal) => *refusal == Refusal::UriTooLong,
        };
        if is_near && spec.fhir && self.post_search(errand) {
            return self.fit(spec, Errand::Other);
        }
        let target = target?;
        // What API Gateway counts: the request line and the values ("Amazon API Gateway quotas").
        let counted =
            self.method.as_str().len() + target.len() + " HTTP/1.1 ".len() + self.field_bytes(false);
        self.target = target;
        if gateway && counted > HEAD_MAX { Err(Refusal::HeaderTooLarge) } else { Ok(()) }
    }

    fn field_bytes(&self, with_names: bool) -> usize {
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            value.len() + if with_names { name.as_str().len() + ": \r\n".len() } else { 0 }
        };
        self.fields.iter().map(line).sum()
    }

    /// Turns a search of a type by GET into the same by POST; false where it is none.
    fn post_search(&mut self, errand: Errand) -> bool {
        let kind = self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let is_search = errand == Errand::Search
            && self.method == Method::GET
            && kind.starts_with(|first: char| first.is_ascii_uppercase());
        let Some(query) = self.query.take_if(|_| is_search) else { return false };
        self.method = Method::POST;
        self.path = format!("{}/_search", self.path.trim_end_matches('/'));
        self.form = Some(path::encoded_query(&query).into());
        self.fields.retain(|(name, _)| *name != header::CONTENT_TYPE);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.fields.push((header::CONTENT_TYPE, form));
        true
    }

    /// The body that goes out instead of the client's, which has none.
    #[must_use]
    pub fn form(&self) -> Option<Bytes> {
        self.form.clone()
    }

    /// A request of the proxy's own.
    ///
    /// # Errors
    /// When the path could leave an upstream's base path.
    pub fn own(path: &str) -> Result<Self, Refusal> {
        let accept = HeaderValue::from_static("application/fhir+json, application/json");
        let agent = HeaderValue::from_static("aorta-proxy-check");
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        Ok(Self {
            method: Method::GET,
            path: path.to_owned(),
            query: query.map(str::to_owned),
            strip: String::new(),
            target: path::target("", path, query)?,
            fields: vec![(header::ACCEPT, accept), (header::USER_AGENT, agent)],
            form: None,
        })
    }

    /// A read of what this request writes, by the same client.
    #[must_use]
    pub fn read_back(&self) -> Self {
        let about_the_write = |name: &HeaderName| {
            matches!(
                *name,
                header::IF_MATCH
                    | header::IF_NONE_MATCH
                    | header::CONTENT_TYPE
                    | header::CONTENT_ENCODING
                    | header::CONTENT_LANGUAGE
            ) || matches!(name.as_str(), "prefer" | "if-none-exist")
        };
        let fields = self.fields.iter().filter(|(name, _)| !about_the_write(name)).cloned().collect();
        Self {
            method: Method::GET,
            path: self.path.clone(),
            query: self.query.clone(),
            strip: self.strip.clone(),
            target: self.target.clone(),
            fields,
            form: None,
        }
    }

    /// The value that goes out under a name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&HeaderValue> {
        self.fields.iter().find(|(field, _)| field.as_str() == name).map(|(_, value)| value)
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The head of one attempt: this upstream's host, base path and fields, and the time that is left.
    ///
    /// # Errors
    /// When the target does not fit below this upstream's base path.
    pub fn head(
        &self,
        upstream: &UpstreamConfig,
        length: BodyLength,
        deadline: (Timestamp, Timestamp, Duration),
    ) -> Result<RequestHead, Refusal> {
        let mut head = self.own_head(upstream)?;
        head.fields.push((name::X_REQUEST_DEADLINE.clone(), unix_millis(deadline)));
        match length {
            BodyLength::None => {}
            BodyLength::Known(bytes) => head.set(&header::CONTENT_LENGTH, headers::number(bytes as u64)),
            BodyLength::Unknown => {
                head.set(&header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        Ok(head)
    }

    /// The head without what belongs to one attempt only.
    ///
    /// # Errors
    /// When the target does not fit below this upstream's base path.
    pub fn own_head(&self, upstream: &UpstreamConfig) -> Result<RequestHead, Refusal> {
        let target = path::below(&upstream.base_path, &self.target)?;
        // Judged and encoded it is when it comes here; what would end the line early must not leave in any case.
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::BadPath);
        }
        let mut fields = Vec::with_capacity(self.fields.len() + upstream.headers.len() + 3);
        fields.push((header::HOST, upstream.authority.clone()));
        let is_own = |name| upstream.headers.iter().any(|(own, _)| own == name);
        fields.extend(self.fields.iter().filter(|(name, _)| !is_own(name)).cloned());
        fields.extend(upstream.headers.iter().cloned());
        Ok(RequestHead { method: self.method.clone(), target, fields })
    }
}

/// Signs a request that is otherwise ready to go to this upstream, where that is asked for.
///
/// # Errors
/// When the request cannot be signed.
pub(super) fn sign(upstream: &LiveUpstream, request: &mut RequestHead, body: &[u8]) -> Result<(), Refusal> {
    let Some(signer) = &upstream.signer else { return Ok(()) };
    let mut parts = request.parts().ok_or(Refusal::BadRequest)?;
    if let Some(uri) = sign::plain_spaces(&parts.uri) {
        request.target = uri.to_string();
        parts.uri = uri;
    }
    let fields = signer.sign(&parts, body)?;
    request.fields.retain(|(field, _)| sign::SIGNATURE_HEADERS.iter().all(|name| field != name));
    fields.into_iter().for_each(|(name, value)| request.set(&name, value));
    Ok(())
}

/// HTTP/2 clients send cookies in crumbs; HTTP/1 knows one field (RFC 9113 section 8.2.3).
fn join_cookies(fields: &mut Vec<(HeaderName, HeaderValue)>) {
    let crumbs: Vec<HeaderValue> =
        fields.iter().filter(|(name, _)| *name == header::COOKIE).map(|(_, value)| value.clone()).collect();
    if crumbs.len() < 2 {
        return;
    }
    let whole = crumbs.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        fields.retain(|(name, _)| *name != header::COOKIE);
        fields.push((header::COOKIE, whole));
    }
}

/// How a request body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none, and its absence needs no word.
    None,
    /// So many bytes.
    Known(usize),
    /// It ends when it ends.
    Unknown,
}

/// The deadline on the wall clock: `(deadline, now, unix time now)`.
fn unix_millis((deadline, now, unix): (Timestamp, Timestamp, Duration)) -> HeaderValue {
    let at = unix + now.until(deadline);
    headers::number(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}
