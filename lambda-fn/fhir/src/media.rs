//! Content types of FHIR (<https://hl7.org/fhir/R4/http.html#mime-type>), and how a client's words name them.

/// What FHIR JSON is called.
pub const FHIR_JSON: &str = "application/fhir+json";
/// The general name, which clients use as well.
pub const JSON: &str = "application/json";
/// What a search sent by POST is written in.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The two names under which this family of programs writes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/fhir+json`
    FhirJson,
    /// `application/json`
    Json,
}

impl Media {
    /// The value of a `Content-Type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::FhirJson => "application/fhir+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The media type that `_format` asks for; `None` is one that is not JSON.
    ///
    /// `+` is a blank after form decoding, and a gateway may have decoded once already: both spellings are meant.
    pub fn of_format(text: &str) -> Option<Self> {
        match essence(text).as_str() {
            "application/fhir+json" | "application/fhir json" | "application/json+fhir" => {
                Some(Self::FhirJson)
            }
            "json" | "application/json" | "text/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The media type that a request's `Content-Type` names; `None` is one that is not JSON.
    pub fn of_content_type(text: &str) -> Option<Self> {
        match essence(text).as_str() {
            "application/fhir+json" | "application/json+fhir" => Some(Self::FhirJson),
            "application/json" | "text/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The media type that best suits an `Accept` header; `None` when the header admits no JSON.
    ///
    /// A name wins over a wildcard, FHIR's own name over the general one; a quality of 0 excludes.
    pub fn of_accept(text: &str) -> Option<Self> {
        let admits = |names: &[&str]| {
            text.split(',').any(|range| names.contains(&essence(range).as_str()) && !is_excluded(range))
        };
        if admits(&["application/fhir+json", "application/json+fhir"]) {
            return Some(Self::FhirJson);
        }
        if admits(&["application/json", "text/json"]) {
            return Some(Self::Json);
        }
        admits(&["*/*", "application/*", ""]).then_some(Self::FhirJson)
    }
}

fn essence(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_excluded(range: &str) -> bool {
    range
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.trim().strip_prefix("q="))
        .any(|quality| quality.trim().parse::<f32>().is_ok_and(|quality| quality == 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_all_its_names() {
        for name in
            ["application/fhir+json", "application/fhir json", "application/fhir+json;fhirVersion=4.0"]
        {
            assert_eq!(Media::of_format(name), Some(Media::FhirJson), "{name}");
        }
        assert_eq!(Media::of_format("json"), Some(Media::Json));
        assert_eq!(Media::of_format("xml"), None);
    }

    #[test]
    fn accept_prefers_a_name_to_a_wildcard() {
        for (accept, expected) in [
            ("*/*", Some(Media::FhirJson)),
            ("", Some(Media::FhirJson)),
            ("application/json", Some(Media::Json)),
            ("application/json, application/fhir+json;q=0.9", Some(Media::FhirJson)),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Some(Media::FhirJson)),
            ("application/fhir+xml", None),
            ("application/fhir+json;q=0", None),
        ] {
            assert_eq!(Media::of_accept(accept), expected, "{accept:?}");
        }
    }
}
