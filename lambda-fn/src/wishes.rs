//! What the client would like of the answer: its media type, how much of it, how strict a search is.

use fhir::media::Media;
use fhir::{IssueCode, media};
use http::StatusCode;

use crate::outcome::Refusal;
use crate::request::Request;

/// What an answer to a write carries (<https://hl7.org/fhir/R4/http.html#ops>, `Prefer: return=…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Return {
    /// Headers only.
    Minimal,
    /// The resource as it is stored.
    #[default]
    Representation,
    /// An OperationOutcome that says it went well.
    Outcome,
}

/// The wishes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// The media type of the answer; `None` where the client leaves it open.
    pub media: Option<Media>,
    /// What an answer to a write carries.
    pub returned: Return,
    /// Whether a search with a parameter that is not offered is refused.
    pub strict: bool,
}

impl Wishes {
    /// Reads `_format`, which wins, `Accept` and `Prefer`.
    pub fn of(request: &Request) -> Result<Self, Refusal> {
        let media = match request.parameter("_format").filter(|format| !format.is_empty()) {
            Some(format) => Some(Media::of_format(format).ok_or_else(not_acceptable)?),
            None => accepted(request)?,
        };
        let mut wishes = Self { media, returned: Return::default(), strict: false };
        for value in request.headers.get_all("prefer") {
            for wish in value.to_str().unwrap_or_default().split([',', ';']) {
                match wish.trim() {
                    "return=minimal" => wishes.returned = Return::Minimal,
                    "return=representation" => wishes.returned = Return::Representation,
                    "return=OperationOutcome" => wishes.returned = Return::Outcome,
                    "handling=strict" => wishes.strict = true,
                    "handling=lenient" => wishes.strict = false,
                    _ => {}
                }
            }
        }
        Ok(wishes)
    }
}

fn accepted(request: &Request) -> Result<Option<Media>, Refusal> {
    let values = request.headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    let accept = values.collect::<Vec<_>>().join(",");
    let media = Media::of_accept(&accept).ok_or_else(not_acceptable)?;
    Ok(accept.contains("json").then_some(media))
}

fn not_acceptable() -> Refusal {
    let words = format!("this server writes {} and {} only", media::FHIR_JSON, media::JSON);
    Refusal::new(StatusCode::NOT_ACCEPTABLE, IssueCode::NotSupported, words)
}
