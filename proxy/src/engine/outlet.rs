//! The way out: what becomes of an answer's bytes and fields between the verdict and the client.
//!
//! An answer that needs nothing passes as it came, without a copy.

use super::Call;
use super::answer::Answer;
use crate::buffers::Reservation;
use crate::compress::{self, Coding, Encoder};
use crate::links::{Editor, Links, UpstreamSide};
use crate::snapshot::LiveUpstream;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Fields that say something about the very bytes of a body (RFC 9530; RFC 3230; RFC 1864).
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// What is done to one answer.
#[derive(Default)]
pub(super) struct Outlet<'a> {
    links: Option<Links<'a>>,
    editor: Option<Editor<'a>>,
    encoder: Option<(Encoder, Reservation)>,
    /// The body differs from the upstream's, or an answer to the same request with GET might.
    altered: bool,
    /// It could have gone out in another coding.
    varies: bool,
    /// The coding the client gets, or would get with GET.
    coding: Option<Coding>,
    /// The body goes out in it.
    coded: bool,
    /// A request was taken on, and its state can be asked for.
    accepted: bool,
}

impl<'a> Outlet<'a> {
    /// Takes what is held of the answer through; `asked` are the client's own fields.
    pub(super) fn open(
        call: &'a Call<'_>,
        asked: &HeaderMap,
        upstream: Option<&'a LiveUpstream>,
        answer: &mut Answer,
    ) -> Self {
        let mut outlet = Self {
            links: links(call, upstream),
            accepted: answer.head.status == StatusCode::ACCEPTED,
            ..Self::default()
        };
        outlet.edit(call, answer);
        if let Some(bytes_min) = call.pool.config.compress_min {
            outlet.encode(call, asked, bytes_min, answer);
        }
        outlet
    }

    fn edit(&mut self, call: &Call<'_>, answer: &mut Answer) {
        let Some(links) = self.links.filter(|_| is_readable(answer)) else { return };
        if answer.is_bodiless() {
            // What is told of a body that is not sent must fit the one that would be.
            self.altered = !call.errand.answers_with_one_record();
            return;
        }
        let mut editor = Editor::new(links);
        answer.held = editor.begin(std::mem::take(&mut answer.held), &mut answer.more);
        self.altered = editor.has_edited();
        if answer.is_whole() {
            answer.held = joined(std::mem::take(&mut answer.held), &editor.end());
        } else if !editor.is_done() {
            self.altered = true;
            self.editor = Some(editor);
        }
    }

    fn encode(&mut self, call: &Call<'_>, asked: &HeaderMap, bytes_min: usize, answer: &mut Answer) {
        let headers = &answer.head.headers;
        if !compress::may_be_coded(asked, answer.head.status, headers) {
            return;
        }
        self.varies = true;
        let declared =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let length =
            if answer.is_whole() && !answer.is_bodiless() { Some(answer.held.len()) } else { declared };
        let Some(coding) = compress::wanted(asked).filter(|_| length.is_none_or(|bytes| bytes >= bytes_min))
        else {
            return;
        };
        if answer.is_bodiless() {
            self.coding = Some(coding);
            return;
        }
        // An encoder takes memory for as long as the client takes to read: out of the same budget as all that.
        let mut reservation = call.proxy.buffers.reservation();
        if !reservation.grow(coding.memory_bytes()) {
            return;
        }
        if answer.is_whole() {
            let Ok(coded) = compress::whole(coding, &answer.held) else { return };
            answer.held = coded;
        } else {
            let Ok(mut encoder) = Encoder::new(coding) else { return };
            let Ok(coded) = encoder.pass(&answer.held) else { return };
            let Ok(more) = answer.more.iter().map(|piece| encoder.pass(piece)).collect() else { return };
            (answer.held, answer.more) = (coded, more);
            self.encoder = Some((encoder, reservation));
        }
        (self.coding, self.coded) = (Some(coding), true);
    }

    /// The next piece, as it goes on; none when it could not be coded, and the body must break off.
    pub(super) fn pass(&mut self, piece: Bytes) -> Option<Bytes> {
        let piece = match &mut self.editor {
            Some(editor) => editor.pass(piece),
            None => piece,
        };
        match &mut self.encoder {
            Some(_) if piece.is_empty() => Some(piece),
            Some((encoder, _)) => encoder.pass(&piece).ok(),
            None => Some(piece),
        }
    }

    /// What follows the last piece; none when it could not be coded.
    pub(super) fn end(&mut self) -> Option<Bytes> {
        let left = self.editor.as_mut().map(Editor::end).unwrap_or_default();
        let Some((mut encoder, _reservation)) = self.encoder.take() else { return Some(left) };
        let left = encoder.pass(&left).ok()?;
        Some(joined(left, &encoder.end().ok()?))
    }

    /// Makes the fields fit the body, and leads the places they name back through the proxy.
    pub(super) fn amend(&self, fields: &mut HeaderMap) {
        if let Some(links) = &self.links {
            self.lead_back(links, fields);
        }
        if self.varies {
            vary(fields);
        }
        if let Some(coding) = self.coding.filter(|_| self.coded) {
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        if self.altered || self.coding.is_some() {
            fields.remove(header::CONTENT_LENGTH);
            DIGESTS.iter().for_each(|name| drop(fields.remove(*name)));
            weaken(fields);
        }
        if self.altered {
            // FHIR R4, "HTTP headers": who changes an answer says so.
            fields.append(HeaderName::from_static("x-intermediary"), HeaderValue::from_static("aorta"));
        }
    }

    fn lead_back(&self, links: &Links<'_>, fields: &mut HeaderMap) {
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            // The state of a job that goes on is its upstream's own (FHIR R4, "Asynchronous Request Pattern").
            let leads_on = self.accepted && name == header::CONTENT_LOCATION;
            let Some(value) = fields.get_mut(&name) else { continue };
            let amended = value.to_str().ok().and_then(|text| links.header(text, leads_on));
            if let Some(amended) = amended.and_then(|text| HeaderValue::from_str(&text).ok()) {
                *value = amended;
            }
        }
    }
}

/// Both sides of this exchange, where the pool speaks FHIR.
fn links<'a>(call: &'a Call<'_>, upstream: Option<&'a LiveUpstream>) -> Option<Links<'a>> {
    let LiveUpstream { config, mark, .. } = upstream.filter(|_| call.pool.config.spec.fhir)?;
    let upstream_side =
        UpstreamSide { tls: config.tls, host: &config.host, port: config.port, base_path: &config.base_path };
    Some(Links { client: call.client, upstream: upstream_side, mark: mark.as_deref() })
}

/// JSON that is whole in meaning: neither a part of a body, nor in a coding.
fn is_readable(answer: &Answer) -> bool {
    let headers = &answer.head.headers;
    answer.media.is_judged()
        && answer.head.status != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
}

fn joined(body: Bytes, more: &[u8]) -> Bytes {
    if more.is_empty() {
        return body;
    }
    let mut whole = BytesMut::with_capacity(body.len() + more.len());
    whole.extend_from_slice(&body);
    whole.extend_from_slice(more);
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

/// A cache must not give one client's coding to another (RFC 9110 section 12.5.5).
fn vary(fields: &mut HeaderMap) {
    let says = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| {
            text.split(',')
                .map(str::trim)
                .any(|word| word == "*" || word.eq_ignore_ascii_case("accept-encoding"))
        })
    };
    if !fields.get_all(header::VARY).iter().any(says) {
        fields.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
}
