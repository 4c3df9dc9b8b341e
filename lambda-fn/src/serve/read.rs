//! The interactions that change nothing.

use fhir::media::FORM;
use fhir::{Bundle, BundleKind, Entry, IssueCode, OperationOutcome, ResourceType, Severity, VersionId};
use http::StatusCode;
use http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::reply::Reply;
use super::{Call, Server};
use crate::concurrency::{Tags, etag};
use crate::outcome::Refusal;
use crate::request::{decode_form, encode_query};
use crate::search::cursor::Position;
use crate::search::{COUNT_DEFAULT, COUNT_MAX, Search};
use crate::store::{Key, Store, Stored};

impl<S: Store> Server<S> {
    pub(super) async fn root(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let key = self.root.as_ref().ok_or_else(|| {
            Refusal::not_found("nothing is served at the root; /metadata says what this server offers")
        })?;
        Ok(self.read(call, key).await?.plain())
    }

    pub(super) async fn read(&self, call: &Call<'_>, key: &Key) -> Result<Reply, Refusal> {
        let stored = self.store.get(key).await?.ok_or_else(unknown)?;
        if stored.body.is_none() {
            return Err(Refusal::gone());
        }
        if call.tags(IF_NONE_MATCH.as_str())?.is_some_and(|tags| tags.contain(stored.version)) {
            return Ok(Reply::version(StatusCode::NOT_MODIFIED, &stored).saying(String::new()));
        }
        Ok(Reply::version(StatusCode::OK, &stored))
    }

    pub(super) async fn vread(&self, key: &Key, version: Option<VersionId>) -> Result<Reply, Refusal> {
        let version = version.ok_or_else(unknown)?;
        let stored = self.store.get_version(key, version).await?.ok_or_else(unknown)?;
        if stored.body.is_none() {
            return Err(Refusal::gone());
        }
        Ok(Reply::version(StatusCode::OK, &stored))
    }

    pub(super) async fn history(&self, call: &Call<'_>, key: &Key) -> Result<Reply, Refusal> {
        let url = format!("{}/{key}/_history", call.base_url);
        let count = match call.request.parameter("_count") {
            None => COUNT_DEFAULT,
            Some(count) => count.parse::<usize>().map_err(|_| wrong("_count is not a number"))?,
        };
        let count = count.clamp(1, COUNT_MAX);
        let scope = format!("{key}/_history");
        let before = match call.request.parameter("_cursor") {
            None => None,
            Some(cursor) => self.cursor_key.open(&scope, cursor).map_err(|_| forged())?.key.parse().ok(),
        };
        let (versions, total) = self.store.history(key, before, count).await?;
        if total == 0 {
            return Err(unknown());
        }
        let mut bundle = Bundle::new(BundleKind::History).total(Some(total)).link("self", &url);
        if let Some(last) = versions.last().filter(|last| last.version > VersionId::FIRST) {
            let position = Position { key: last.version.to_string(), id: key.id.clone() };
            let cursor = self.cursor_key.seal(&scope, &position);
            let query = encode_query([("_count", count.to_string().as_str()), ("_cursor", &cursor)]);
            bundle = bundle.link("next", format!("{url}?{query}"));
        }
        for stored in &versions {
            bundle = bundle.entry(version_entry(&call.base_url, stored)?);
        }
        Ok(Reply::ok(bundle.into_value().to_string()))
    }

    /// A search by POST: the parameters of the form and of the query together.
    pub(super) async fn search_post(&self, call: &Call<'_>, kind: ResourceType) -> Result<Reply, Refusal> {
        let media = call.request.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        if !media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM) {
            let words = format!("the body of a search is {FORM}");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, IssueCode::NotSupported, words));
        }
        let mut pairs = call.request.query.clone();
        pairs.extend(decode_form(&call.request.body).map_err(|_| wrong("the form is not UTF-8"))?);
        self.search(call, kind, &pairs).await
    }

    pub(super) async fn search(
        &self,
        call: &Call<'_>,
        kind: ResourceType,
        pairs: &[(String, String)],
    ) -> Result<Reply, Refusal> {
        let Search { mut query, understood, ignored, cursor } = Search::parse(kind, pairs)?;
        if call.wishes.strict && !ignored.is_empty() {
            let words = format!("not offered on {kind}: {}", presentable(&ignored));
            return Err(Refusal::bad_request(IssueCode::NotSupported, words));
        }
        let pairs = || understood.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = format!("{}/{kind}", call.base_url);
        let scope = format!("{kind}?{}", encode_query(pairs()));
        if let Some(cursor) = cursor {
            query.after = Some(self.cursor_key.open(&scope, &cursor).map_err(|_| forged())?);
        }
        let page = self.store.query(query).await?;
        let mut bundle = Bundle::new(BundleKind::Searchset).total(Some(page.total));
        bundle = bundle.link("self", link(&url, &encode_query(pairs())));
        if let Some(next) = page.next {
            let cursor = self.cursor_key.seal(&scope, &next);
            let query = encode_query(pairs().chain([("_cursor", cursor.as_str())]));
            bundle = bundle.link("next", link(&url, &query));
        }
        for stored in &page.matches {
            let resource = body(stored)?.unwrap_or(Value::Null);
            bundle = bundle.entry(Entry::matched(format!("{}/{}", call.base_url, stored.key), resource));
        }
        if !ignored.is_empty() {
            let words = format!("ignored, because not offered on {kind}: {}", presentable(&ignored));
            let remark = OperationOutcome::new(Severity::Warning, IssueCode::NotSupported, words);
            bundle = bundle.entry(Entry::remark(&remark));
        }
        Ok(Reply::ok(bundle.into_value().to_string()))
    }
}

fn link(url: &str, query: &str) -> String {
    if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") }
}

fn version_entry(base_url: &str, stored: &Stored) -> Result<Entry, Refusal> {
    let resource = body(stored)?;
    let (method, status) = match (&resource, stored.version) {
        (None, _) => ("DELETE", "204"),
        (Some(_), VersionId::FIRST) => ("PUT", "201"),
        (Some(_), _) => ("PUT", "200"),
    };
    let request = json!({"method": method, "url": stored.key.to_string()});
    let response = json!({
        "status": status,
        "etag": etag(stored.version),
        "lastModified": stored.updated.to_string(),
    });
    Ok(Entry::version(format!("{base_url}/{}", stored.key), resource, request, response))
}

fn body(stored: &Stored) -> Result<Option<Value>, Refusal> {
    let parse = |body: &String| serde_json::from_str(body);
    stored.body.as_ref().map(parse).transpose().map_err(|error| Refusal {
        cause: Some(format!("a stored body is no JSON: {:?}", error.classify())),
        ..Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            IssueCode::Exception,
            "a stored record is unreadable",
        )
    })
}

/// Names of parameters as they may be shown: a name of odd letters is a value in disguise.
fn presentable(names: &[String]) -> String {
    let plain = |name: &&String| {
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
    };
    let shown: Vec<&str> = names.iter().filter(plain).take(16).map(String::as_str).collect();
    if shown.is_empty() { "a parameter of odd letters".into() } else { shown.join(", ") }
}

fn unknown() -> Refusal {
    Refusal::not_found("there is no such resource or version")
}

fn wrong(words: &str) -> Refusal {
    Refusal::bad_request(IssueCode::Invalid, words)
}

fn forged() -> Refusal {
    wrong("_cursor was not made by this server for this search")
}

impl Call<'_> {
    /// The entity tags that a header lists; `None` without the header.
    pub(super) fn tags(&self, name: &str) -> Result<Option<Tags>, Refusal> {
        let Some(value) = self.request.headers.get(name) else { return Ok(None) };
        let tags = value.to_str().ok().and_then(|text| Tags::parse(text).ok());
        tags.map(Some).ok_or_else(|| wrong(&format!("{name} is no list of entity tags such as W/\"1\"")))
    }
}
