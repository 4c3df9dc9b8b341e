//! What the gateway refuses before the function is reached, in the order it looks.

use http::request::Parts;
use http::{Method, header};

use crate::catalogue::{self, GatewayAnswer};
use crate::config::{Config, Integration};
use crate::event::has_raw_delimiter;

/// The limit of a URL, and of request line and headers together.
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>
const HEAD_BYTES_MAX: usize = 10_240;

/// What the checks found in the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

/// Passes a request on or says what the gateway answers.
pub(super) fn check<'a>(config: &Config, head: &'a Parts) -> Result<Found<'a>, GatewayAnswer> {
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    sizes(head)?;
    let host = host_of(head).filter(|host| host.eq_ignore_ascii_case(&config.host));
    let host = host.ok_or(catalogue::FORBIDDEN)?;
    let path = after_stage(path, &config.stage).ok_or(catalogue::FORBIDDEN)?;
    if has_raw_delimiter(query) {
        return Err(catalogue::BAD_REQUEST);
    }
    let unmapped = match config.integration {
        Integration::Proxy => false,
        Integration::Envelope => path != "/" || !matches!(head.method, Method::GET | Method::HEAD),
    };
    if unmapped || config.unmapped.iter().any(|entry| entry.covers(head.method.as_str(), path)) {
        return Err(catalogue::MISSING_AUTHENTICATION_TOKEN);
    }
    let key = head.headers.get("x-api-key").map(|key| key.as_bytes());
    if !config.api_key.is_empty() && key != Some(config.api_key.as_bytes()) {
        return Err(catalogue::FORBIDDEN);
    }
    Ok(Found { host, path, query })
}

/// The path after the stage, `/` at its root; none when the stage is another.
pub(super) fn after_stage<'a>(path: &'a str, stage: &str) -> Option<&'a str> {
    match path.strip_prefix('/')?.strip_prefix(stage)? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}

fn sizes(head: &Parts) -> Result<(), GatewayAnswer> {
    let target = head.uri.path_and_query().map_or(1, |target| target.as_str().len());
    if target > HEAD_BYTES_MAX {
        return Err(catalogue::URI_TOO_LONG);
    }
    let line = head.method.as_str().len() + target + " HTTP/1.1\r\n ".len();
    let headers: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if line + headers > HEAD_BYTES_MAX { Err(catalogue::HEADERS_TOO_LARGE) } else { Ok(()) }
}

/// The host without its port: the URI's own authority (HTTP/2, absolute form) before the header.
fn host_of(head: &Parts) -> Option<&str> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.host());
    }
    let host = head.headers.get(header::HOST)?.to_str().ok()?;
    Some(host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    }))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const CONFIG: &str = "
{region: us-east-1, address: '127.0.0.1:0', control: '127.0.0.1:0', host: a1.example.org, stage: Server1,
 certificate: c, private_key: k, integration: proxy, api_key: secret, unmapped: ['DELETE /Patient'],
 answer: {file: f, content_type: text/plain}}";

    fn refusal(config: &str, method: &str, uri: &str, host: &str, key: &str) -> Option<GatewayAnswer> {
        let config: Config = serde_yaml::from_str(config).unwrap();
        let request =
            Request::builder().method(method).uri(uri).header("host", host).header("x-api-key", key);
        check(&config, &request.body(()).unwrap().into_parts().0).err()
    }

    #[test]
    fn a_request_is_refused_for_the_first_reason_that_holds() {
        let host = "A1.example.org:9443";
        let long = format!("/Server1/{}", "a".repeat(10_240));
        let nearly = format!("/Server1/{}", "a".repeat(10_200));
        for (method, uri, host, key, expected) in [
            ("GET", "/Server1/Patient/1?name=a%7Cb", host, "secret", None),
            ("GET", "/Server1", host, "secret", None),
            ("GET", long.as_str(), host, "secret", Some(catalogue::URI_TOO_LONG)),
            ("GET", nearly.as_str(), host, "secret", Some(catalogue::HEADERS_TOO_LARGE)),
            ("GET", "/Server1/", "other.example.org", "secret", Some(catalogue::FORBIDDEN)),
            ("GET", "/Server2/", host, "secret", Some(catalogue::FORBIDDEN)),
            ("GET", "/Server10/", host, "secret", Some(catalogue::FORBIDDEN)),
            ("GET", "/Server1/Patient?name=a|b", host, "secret", Some(catalogue::BAD_REQUEST)),
            ("DELETE", "/Server1/Patient/1", host, "secret", Some(catalogue::MISSING_AUTHENTICATION_TOKEN)),
            ("GET", "/Server1/", host, "wrong", Some(catalogue::FORBIDDEN)),
        ] {
            assert_eq!(refusal(CONFIG, method, uri, host, key), expected, "{method} {uri:.40}");
        }
    }

    #[test]
    fn the_envelope_integration_maps_only_reading_the_stage_root() {
        let config = CONFIG.replace("integration: proxy", "integration: envelope");
        for (method, uri, expected) in [
            ("GET", "/Server1", None),
            ("HEAD", "/Server1/", None),
            ("POST", "/Server1", Some(catalogue::MISSING_AUTHENTICATION_TOKEN)),
            ("GET", "/Server1/Patient", Some(catalogue::MISSING_AUTHENTICATION_TOKEN)),
        ] {
            assert_eq!(refusal(&config, method, uri, "a1.example.org", "secret"), expected, "{method} {uri}");
        }
    }
}
