//! Secrets, certificates and the file itself.

use super::{GOOD, good, read, read_in};
use crate::config::load;
use std::fs;
use std::path::Path;

fn with_headers(headers: &str) -> String {
    GOOD.replace("Server2\n", &format!("Server2\n        headers: {headers}\n"))
}

fn said(yaml: &str, base: &Path) -> Vec<String> {
    let said = read_in(yaml, base).map_or_else(|problems| problems.to_string(), |_| String::new());
    said.lines().map(|line| line.strip_prefix("t.yaml:").unwrap_or(line).to_owned()).collect()
}

#[test]
fn a_secret_is_read_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "f1le-s3cr3t\n").unwrap();
    let yaml = with_headers("{x-api-key: {env: KEY}, authorization: {file: token}, x-region: east}");
    let config = read_in(&yaml, folder.path()).unwrap();
    let headers = &config.pools[0].upstreams[1].headers;
    let values: Vec<_> = headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
    assert_eq!(values, ["s3cr3t-value", "f1le-s3cr3t", "east"]);
    assert!(headers.iter().all(|(_, value)| value.is_sensitive()));
    assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
}

#[test]
fn a_bad_secret_is_named_by_its_source_only() {
    let yaml = with_headers(
        "{x-api-key: inline-s3cr3t, x-token: 42, a: {env: NONE}, b: {env: EMPTY}, c: {env: BROKEN}, \
         d: {file: none}, e: {env: KEY, file: x}, f: {vault: x}, host: a, X-Region: b, x-region: c, g: 1}",
    );
    let said = said(&yaml, Path::new(""));
    let expected = [
        "x-api-key: holds a secret in plain sight; write `{env: VARIABLE}` or `{file: PATH}`",
        "x-token: is a number; write `{env: VARIABLE}` or `{file: PATH}`",
        "a.env: the environment has no `NONE`; set it for the proxy's process, or use `{file: PATH}`",
        "b.env: `EMPTY` is empty; put the secret there",
        "c.env: `BROKEN` holds what no header can carry; put one line of visible ASCII there",
        "d.file: `none` cannot be read (No such file or directory); name a file the proxy may read",
        "e: needs one source; write `{env: VARIABLE}` or `{file: PATH}`",
        "f.vault: is no source of secrets; write `{env: VARIABLE}` or `{file: PATH}`",
        "host: is a header the proxy sets itself; remove it",
        "x-region: stands twice, first in line 10 in other letters; keep one of them",
        "g: is a number; put it in quotes",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, expected) in said.iter().zip(expected) {
        assert!(
            line.ends_with(&format!(" pools.records.upstreams[1].headers.{expected}")),
            "{line}\n{expected}"
        );
        assert!(!line.contains("s3cr3t"), "{line}");
    }
}

fn authority(folder: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed([format!("{name}.example.org")]).unwrap();
    fs::write(folder.join(format!("{name}.crt")), made.cert.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
}

fn with_tls(certificate: &str, key: &str, ca: &str) -> String {
    let tls = format!("127.0.0.1:8080, tls: {{certificate: {certificate}, private_key: {key}}}}}]");
    GOOD.replace("127.0.0.1:8080}]", &tls)
        .replace("Server2\n", &format!("Server2\n        tls: {{ca: {ca}}}\n"))
}

#[test]
fn a_certificate_must_fit_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    authority(at, "a");
    authority(at, "b");
    fs::write(at.join("junk"), "-----BEGIN PRIVATE KEY-----\nnonsense s3cr3t\n").unwrap();

    let config = read_in(&with_tls("a.crt", "a.key", "b.crt"), at).unwrap();
    assert_eq!(config.listeners[0].tls.as_ref().unwrap().certified.cert.len(), 1);
    assert_eq!(config.pools[0].upstreams[1].ca.as_ref().map(Vec::len), Some(1));

    assert_eq!(
        said(&with_tls("a.crt", "b.key", "a.key"), at),
        [
            "1:78: listeners[0].tls.private_key: is not the key of the certificate; name the key it was issued for",
            "10:19: pools.records.upstreams[1].tls.ca: `a.key` holds no PEM certificate; \
             name a file that starts with `-----BEGIN CERTIFICATE-----`",
        ]
    );
    assert_eq!(
        said(&with_tls("junk", "junk", "none.crt"), at),
        [
            "1:58: listeners[0].tls.certificate: `junk` holds no PEM certificate; \
             name a file that starts with `-----BEGIN CERTIFICATE-----`",
            "1:77: listeners[0].tls.private_key: `junk` holds no PEM private key; \
             name an unencrypted key in PKCS#8, PKCS#1 or SEC1 form",
            "10:19: pools.records.upstreams[1].tls.ca: `none.crt` cannot be read (No such file or directory); \
             name a PEM file the proxy may read, from the configuration's folder",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("aorta.yaml");
    let load = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        load(&file).map_err(|problems| problems.to_string().replace(&file.display().to_string(), "F"))
    };
    assert!(load(GOOD.as_bytes()).is_ok());
    assert_eq!(
        load(b"log:\n  level: \xff\n").unwrap_err(),
        "F:2:10: the file is not UTF-8 from here on; save it as UTF-8"
    );
    let large = vec![b'#'; (4 << 20) + 1];
    assert_eq!(
        load(&large).unwrap_err(),
        "F: cannot be read (it is larger than 4MiB); name a readable YAML file of at most 4MiB"
    );
    let said = super::super::load(folder.path()).unwrap_err().to_string();
    assert!(
        said.ends_with("cannot be read (it is no regular file); name a readable YAML file of at most 4MiB"),
        "{said}"
    );
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    assert!(read(&format!("\u{feff}{GOOD}")).is_ok());
    good(&GOOD.replace('\n', "\r\n"));
}
