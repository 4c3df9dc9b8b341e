//! The way out: what becomes of an answer's bytes and fields between the verdict and the client.
//!
//! An answer that needs nothing passes as it came, without a copy.

use super::Call;
use super::attempt::Answer;
use crate::links::{Editor, Links, UpstreamSide};
use crate::shape::Media;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Fields that say something about the very bytes of a body (RFC 9530; RFC 3230; RFC 1864).
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// What is done to one answer.
pub(super) struct Outlet<'a> {
    links: Option<Links<'a>>,
    editor: Option<Editor<'a>>,
    /// The body differs from the upstream's, or an answer to the same request with GET might.
    altered: bool,
    accepted: bool,
}

impl<'a> Outlet<'a> {
    /// Takes what is held of the answer through.
    pub(super) fn open(call: &'a Call<'_>, upstream: usize, answer: &mut Answer) -> Self {
        let links = links(call, upstream);
        let accepted = answer.head.status == StatusCode::ACCEPTED;
        let mut outlet = Self { links, editor: None, altered: false, accepted };
        let Some(links) = links.filter(|_| is_readable(answer)) else { return outlet };
        if answer.is_bodiless() {
            // What is told of a body that is not sent must fit the one that would be.
            outlet.altered = !call.errand.answers_with_one_record();
            return outlet;
        }
        let mut editor = Editor::new(links);
        answer.held = editor.begin(std::mem::take(&mut answer.held));
        outlet.altered = editor.has_edited();
        if answer.is_whole() {
            answer.held = joined(std::mem::take(&mut answer.held), editor.end());
        } else if !editor.is_done() {
            outlet.altered = true;
            outlet.editor = Some(editor);
        }
        outlet
    }

    /// The next piece, as it goes on.
    pub(super) fn pass(&mut self, piece: Bytes) -> Bytes {
        match &mut self.editor {
            Some(editor) => editor.pass(piece),
            None => piece,
        }
    }

    /// What follows the last piece.
    pub(super) fn end(&mut self) -> Bytes {
        self.editor.as_mut().map(Editor::end).unwrap_or_default()
    }

    /// Makes the fields fit the body, and leads the places they name back through the proxy.
    pub(super) fn amend(&self, fields: &mut HeaderMap) {
        let Some(links) = &self.links else { return };
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            // The state of a job that goes on is its upstream's own (FHIR R4, "Asynchronous Request Pattern").
            let leads_on = self.accepted && name == header::CONTENT_LOCATION;
            let Some(value) = fields.get_mut(&name) else { continue };
            let amended = value.to_str().ok().and_then(|text| links.header(text, leads_on));
            if let Some(amended) = amended.and_then(|text| HeaderValue::from_str(&text).ok()) {
                *value = amended;
            }
        }
        if self.altered {
            fields.remove(header::CONTENT_LENGTH);
            DIGESTS.iter().for_each(|name| drop(fields.remove(*name)));
            weaken(fields);
            // FHIR R4, "HTTP headers": who changes an answer says so.
            fields.append(HeaderName::from_static("x-intermediary"), HeaderValue::from_static("aorta"));
        }
    }
}

/// Both sides of this exchange, where the pool speaks FHIR.
fn links<'a>(call: &'a Call<'_>, upstream: usize) -> Option<Links<'a>> {
    let pool = &call.pool.config;
    let config = pool.upstreams.get(upstream).filter(|_| pool.spec.fhir)?;
    let upstream_side =
        UpstreamSide { tls: config.tls, host: &config.host, port: config.port, base_path: &config.base_path };
    let mark = pool.page_marks.get(upstream).map(String::as_str);
    Some(Links { client: call.client, upstream: upstream_side, mark })
}

/// JSON that is whole in meaning: neither a part of a body, nor in a coding.
fn is_readable(answer: &Answer) -> bool {
    let headers = &answer.head.headers;
    Media::of(headers).is_judged()
        && answer.head.status != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
}

fn joined(body: Bytes, more: Bytes) -> Bytes {
    if more.is_empty() {
        return body;
    }
    let mut whole = BytesMut::with_capacity(body.len() + more.len());
    whole.extend_from_slice(&body);
    whole.extend_from_slice(&more);
    whole.freeze()
}

/// A strong tag promises the same bytes (RFC 9110 section 8.8.1), which is the upstream's promise about its own.
fn weaken(fields: &mut HeaderMap) {
    if let Some(tag) = fields.get_mut(header::ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        *tag = weak;
    }
}
