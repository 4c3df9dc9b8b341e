use super::*;
use crate::config::Config;
use std::path::Path;

/// AWS's test suite for Signature Version 4, and the example of "Create a signed AWS API request": all share these.
const DATE: u64 = 1_440_938_160;
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

/// A signer with the keys of these files, as a configuration makes it.
fn signer(folder: &Path, service: &str, token: bool) -> Arc<Signer> {
    std::fs::write(folder.join("id"), "AKIDEXAMPLE\n").unwrap();
    std::fs::write(folder.join("secret"), "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n").unwrap();
    std::fs::write(folder.join("token"), TOKEN).unwrap();
    let token = if token { ", session_token: {file: token}" } else { "" };
    let keys = format!("access_key_id: {{file: id}}, secret_access_key: {{file: secret}}{token}");
    let yaml = format!(
        "listeners: [{{address: 127.0.0.1:1}}]\nroutes: [{{name: r, pool: p}}]\npools:\n  p:\n    upstreams:\n      \
         - {{name: a, url: https://example.amazonaws.com, sigv4: {{region: us-east-1, service: {service}, {keys}}}}}\n"
    );
    let config: Config = crate::config::parse(&yaml, folder).unwrap();
    Signer::new("a", config.pools[0].upstreams[0].sigv4.as_ref().unwrap(), None)
}

fn request(method: &str, host: &str, target: &str, content_type: &str) -> Parts {
    let mut request = http::Request::builder().method(method).uri(target).header("host", host);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn the_signatures_are_those_that_aws_published() {
    let folder = tempfile::tempdir().unwrap();
    let host = "example.amazonaws.com";
    let form = "application/x-www-form-urlencoded";
    for (service, token, request, body, expected) in [
        (
            "service",
            false,
            request("GET", host, "/", ""),
            "",
            "SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "service",
            false,
            request("GET", host, "/?Param2=value2&Param1=value1", ""),
            "",
            "SignedHeaders=host;x-amz-date, \
             Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "service",
            false,
            request("POST", host, "/", form),
            "Param1=value1",
            "SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "service",
            true,
            request("POST", host, "/", ""),
            "",
            "SignedHeaders=host;x-amz-date;x-amz-security-token, \
             Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
        (
            "iam",
            false,
            request(
                "GET",
                "iam.amazonaws.com",
                "/?Action=ListUsers&Version=2010-05-08",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            "",
            "SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ] {
        let signer = signer(folder.path(), service, token);
        let time = UNIX_EPOCH + Duration::from_secs(DATE);
        let fields = signer.signature(&request, body.as_bytes(), time).unwrap();
        let field =
            |name: &str| fields.iter().find(|(field, _)| field.as_str() == name).map(|(_, value)| value);
        let scope = format!("AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, {expected}");
        assert_eq!(field("authorization").unwrap(), authorization.as_str());
        assert_eq!(field("x-amz-date").unwrap(), "20150830T123600Z");
        assert_eq!(field("x-amz-security-token").is_some(), token);
        assert!(fields.iter().all(|(_, value)| value.is_sensitive()));
    }
}

#[test]
fn a_plus_goes_out_as_the_space_that_it_is() {
    let plain = |uri: &str| plain_spaces(&uri.parse().unwrap()).map(|uri| uri.to_string());
    assert_eq!(plain("/Patient?name=a+b&n=1+2").as_deref(), Some("/Patient?name=a%20b&n=1%202"));
    assert_eq!((plain("/a+b?n=1"), plain("/a+b")), (None, None));
}

#[tokio::test]
async fn credentials_are_read_again_and_the_last_ones_stay_while_they_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path(), "execute-api", false);
    let key = || signer.credentials.load().access_key_id().to_owned();
    std::fs::remove_file(folder.path().join("secret")).unwrap();
    std::fs::write(folder.path().join("id"), "AKIDRENEWED").unwrap();
    signer.renew().await;
    assert_eq!(key(), "AKIDEXAMPLE", "half of new credentials are none");
    std::fs::write(folder.path().join("secret"), "new").unwrap();
    signer.looked.store(0, Ordering::Relaxed);
    signer.renew().await;
    assert_eq!(key(), "AKIDRENEWED");
}

#[test]
fn a_gateways_time_is_believed_only_where_it_differs_by_more_than_a_travel() {
    let folder = tempfile::tempdir().unwrap();
    let signer = signer(folder.path(), "execute-api", false);
    let ahead = |seconds: i64| {
        let ours = i64::try_from(clock::unix().as_secs()).unwrap();
        let theirs = UNIX_EPOCH + Duration::from_secs(u64::try_from(ours + seconds).unwrap());
        let mut answer = HeaderMap::new();
        answer.insert("date", httpdate::fmt_http_date(theirs).parse().unwrap());
        signer.refused(&answer);
        signer.ahead_secs.load(Ordering::Relaxed)
    };
    assert_eq!(ahead(30), 0);
    assert!((3598..=3602).contains(&ahead(3600)));
    assert!((-86_402..=-86_398).contains(&ahead(-86_400)));
    signer.refused(&HeaderMap::new());
    assert!(signer.ahead_secs.load(Ordering::Relaxed) < -86_000, "an answer without a date changes nothing");
    assert_eq!(ahead(0), 0, "the clock was set");
}
