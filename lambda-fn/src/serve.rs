//! One request from end to end: all control flow is here. `read` and `write` carry out, `reply` writes answers.

mod read;
mod reply;
mod write;

use bytes::Bytes;
use fhir::{Id, ResourceType};
use http::Response;

use crate::capability;
use crate::interaction::Interaction;
use crate::outcome::Refusal;
use crate::request::Request;
use crate::search::cursor::CursorKey;
use crate::store::{Key, Store};
use crate::time::Timestamp;
use crate::wishes::Wishes;

use self::reply::Reply;

/// What serving needs beyond a request.
pub struct Server<S> {
    /// The records.
    pub store: S,
    /// What seals the links from page to page.
    pub cursor_key: CursorKey,
    /// The record that the root answers with, as the original system did; if any.
    pub root: Option<Key>,
}

/// One request and what was read out of it.
struct Call<'a> {
    request: &'a Request,
    wishes: Wishes,
    base_url: String,
    now: Timestamp,
    new_id: Id,
}

impl<S: Store> Server<S> {
    /// Answers a request; a failure is an answer too. `now` is stamped on what is written, `new_id` names what is created.
    pub async fn serve(&self, request: &Request, now: Timestamp, new_id: Id) -> Response<Bytes> {
        let interaction = Interaction::parse(&request.method, &request.path);
        let outcome = match &interaction {
            Ok(interaction) => self.carry_out(interaction, request, now, new_id).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let response = match &outcome {
            Ok(reply) => reply.to_response(request),
            Err(refusal) => Reply::refused(refusal).to_response(request),
        };
        record(interaction.ok().as_ref(), request, response.status().as_u16(), outcome.err().as_ref());
        response
    }

    async fn carry_out(
        &self,
        interaction: &Interaction,
        request: &Request,
        now: Timestamp,
        new_id: Id,
    ) -> Result<Reply, Refusal> {
        let wishes = Wishes::of(request)?;
        let call = Call { request, wishes, base_url: request.base_url(), now, new_id };
        match interaction {
            Interaction::Root => self.root(&call).await,
            Interaction::Capabilities => Ok(Reply::ok(capability::statement(&call.base_url).to_string())),
            Interaction::Read(key) => self.read(&call, key).await,
            Interaction::Vread(key, version) => self.vread(key, *version).await,
            Interaction::History(key) => self.history(&call, key).await,
            Interaction::Search(kind) => self.search(&call, *kind, &request.query).await,
            Interaction::SearchPost(kind) => self.search_post(&call, *kind).await,
            Interaction::Create(kind) => self.create(&call, *kind).await,
            Interaction::Update(key) => self.update(&call, key).await,
            Interaction::Delete(key) => self.delete(&call, key).await,
        }
        .map(|reply| reply.in_media(wishes.media))
    }
}

/// The answer to a request that could not even be read whole.
pub fn refused(request: &Request, refusal: &Refusal) -> Response<Bytes> {
    let response = Reply::refused(refusal).to_response(request);
    record(None, request, response.status().as_u16(), Some(refusal));
    response
}

/// The one line that a request leaves in the log: no path, no id, no query, no body.
fn record(interaction: Option<&Interaction>, request: &Request, status: u16, refusal: Option<&Refusal>) {
    let name = interaction.map_or("none", Interaction::name);
    let kind = interaction.and_then(Interaction::kind).map_or("", ResourceType::as_str);
    let request_id = request.request_id().unwrap_or_default();
    match refusal.and_then(|refusal| refusal.cause.as_deref()) {
        Some(cause) => tracing::error!(request_id, interaction = name, kind, status, cause, "failed"),
        None => tracing::info!(request_id, interaction = name, kind, status, "served"),
    }
}

#[cfg(test)]
mod tests;
