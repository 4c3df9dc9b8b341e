use super::*;

/// AWS's test suite for Signature Version 4, and the example of "Create a signed AWS API request": all share these.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(target).header("x-amz-date", DATE);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn signed(service: &'static str, headers: &'static str, head: &Parts, payload: &[u8]) -> String {
    let claim = Claim {
        access_key_id: "AKIDEXAMPLE",
        date: "20150830",
        region: "us-east-1",
        service,
        signed_headers: headers.split(';').collect(),
        signature: "",
    };
    signature(SECRET, &claim, DATE, head, payload)
}

#[test]
fn the_signatures_are_those_that_aws_published() {
    let host = ("host", "example.amazonaws.com");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let plain = "host;x-amz-date";
    for (headers, head, payload, expected) in [
        (
            plain,
            request("GET", "/", &[host]),
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            plain,
            request("GET", "/?Param2=value2&Param1=value1", &[host]),
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            plain,
            request("GET", "/?%E1%88%B4=bar", &[host]),
            "",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "content-type;host;x-amz-date",
            request("POST", "/", &[host, form]),
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            "host;x-amz-date;x-amz-security-token",
            request("POST", "/", &[host, ("x-amz-security-token", TOKEN)]),
            "",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ] {
        assert_eq!(signed("service", headers, &head, payload.as_bytes()), expected, "{head:?}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let users = "/?Action=ListUsers&Version=2010-05-08";
    let head = request("GET", users, &[("host", "iam.amazonaws.com"), form]);
    let expected = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    assert_eq!(signed("iam", "content-type;host;x-amz-date", &head, b""), expected);
}

#[test]
fn a_path_is_encoded_once_more_and_a_query_once() {
    let head = request("GET", "/S1/Patient/a%7Cb?n=a%7Cb%20c,d&e", &[]);
    let lines: Vec<_> = canonical(&head, &[], b"").lines().map(str::to_owned).collect();
    assert_eq!((lines[1].as_str(), lines[2].as_str()), ("/S1/Patient/a%257Cb", "e=&n=a%7Cb%20c%2Cd"));
}

fn at(date: &str) -> SystemTime {
    moment(date).unwrap()
}

#[test]
fn dates_are_read_as_they_are_written() {
    for date in
        ["19700101T000000Z", "20000229T235959Z", "20150830T123600Z", "20261128T150000Z", "20991231T010203Z"]
    {
        assert_eq!(written(at(date)), date);
    }
    for date in
        ["", "20150830", "20150830T12360Z", "20150230T123600Z", "20150830 123600Z", "2015083äT123600Z"]
    {
        assert_eq!(moment(date), None, "{date}");
    }
}

/// A request for the API, signed by these rules.
fn whole(keys: &Keys, region: &str, change: impl FnOnce(&mut Parts)) -> Parts {
    let mut head = request("GET", "/Server1/Patient/1", &[("host", "a1.example.org")]);
    let names = if keys.session_token.is_empty() {
        "host;x-amz-date"
    } else {
        head.headers.insert("x-amz-security-token", keys.session_token.parse().unwrap());
        "host;x-amz-date;x-amz-security-token"
    };
    let field = |signature: &str| {
        let scope = format!("{}/20150830/{region}/execute-api/aws4_request", keys.access_key_id);
        format!("{ALGORITHM} Credential={scope}, SignedHeaders={names}, Signature={signature}")
    };
    let unsigned = field("");
    let claim = Claim::parse(&unsigned).unwrap();
    let signed = signature(&keys.secret_access_key, &claim, DATE, &head, b"");
    head.headers.insert("authorization", field(&signed).parse().unwrap());
    change(&mut head);
    head
}

#[test]
fn only_a_right_signature_of_this_moment_and_region_passes() {
    let keys = |token: &str| Keys {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: token.to_owned(),
    };
    let lasting = keys("");
    let verdict = |head: &Parts, payload: &[u8], now: &str| {
        verify(&lasting, "us-east-1", head, payload, at(now))
            .map_err(|denial| (denial.error_type, denial.message))
    };
    let good = whole(&lasting, "us-east-1", |_| {});
    for now in [DATE, "20150830T123100Z", "20150830T124100Z"] {
        assert_eq!(verdict(&good, b"", now), Ok(()));
    }
    let refused = |head: &Parts, payload: &[u8], now: &str, kind: &str, says: &str| {
        let (error_type, message) = verdict(head, payload, now).unwrap_err();
        assert!(error_type == kind && message.contains(says), "{error_type}: {message}");
    };
    let invalid = "InvalidSignatureException";
    refused(&good, b"", "20150830T124101Z", invalid, "20150830T123600Z is now earlier than 20150830T123601Z");
    refused(&good, b"", "20150830T123059Z", invalid, "not yet current");
    refused(&good, b"other", DATE, invalid, "does not match");
    refused(&whole(&lasting, "us-east-2", |_| {}), b"", DATE, invalid, "valid region");
    let change = |change: fn(&mut Parts)| whole(&lasting, "us-east-1", change);
    let moved = change(|head| head.uri = "/Server1/Patient/2".parse().unwrap());
    refused(&moved, b"", DATE, invalid, "does not match");
    let elsewhere = change(|head| drop(head.headers.insert("host", "b2.example.org".parse().unwrap())));
    refused(&elsewhere, b"", DATE, invalid, "does not match");
    let added = change(|head| drop(head.headers.insert("x-amz-meta", "1".parse().unwrap())));
    refused(&added, b"", DATE, invalid, "must be a 'SignedHeader'");
    let bare = change(|head| drop(head.headers.remove("authorization")));
    refused(&bare, b"", DATE, "MissingAuthenticationTokenException", "Missing Authentication Token");
    let bearer = change(|head| drop(head.headers.insert("authorization", "Bearer x".parse().unwrap())));
    refused(&bearer, b"", DATE, "IncompleteSignatureException", "incomplete");
    let renewed = keys("new token");
    refused(&whole(&renewed, "us-east-1", |_| {}), b"", DATE, "UnrecognizedClientException", "invalid");
    assert_eq!(verify(&renewed, "us-east-1", &whole(&renewed, "us-east-1", |_| {}), b"", at(DATE)), Ok(()));
}
