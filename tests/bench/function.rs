//! The function behind the regions of the damage runs: answers at once, and writes down what it executed.
//!
//! The ledger outlives a region that is killed, so that it can say of every single request how often it was executed.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

/// The request header that numbers requests.
pub(crate) const NUMBER: &str = "x-bench-number";
/// The response header that names the region.
pub(crate) const REGION: &str = "x-bench-region";

/// What it answers, and where it writes.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The region's name.
    #[arg(long)]
    region: String,
    /// The file with the body of every answer.
    #[arg(long)]
    body: PathBuf,
    /// A line `METHOD NUMBER` for everything executed.
    #[arg(long)]
    ledger: PathBuf,
}

/// Takes events from the Lambda Runtime API until the region is gone.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    let body = std::fs::read_to_string(&flags.body)?;
    let mut ledger = OpenOptions::new().create(true).append(true).open(&flags.ledger)?;
    let api =
        std::env::var("AWS_LAMBDA_RUNTIME_API").context("AWS_LAMBDA_RUNTIME_API: a region starts this")?;
    let mut api = TcpStream::connect(api)?;
    api.set_nodelay(true)?;
    loop {
        api.write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: runtime\r\n\r\n")?;
        let (id, event) = answer(&mut api)?;
        let event: Value = serde_json::from_slice(&event)?;
        let reply = reply(&event, &flags.region, &body, &mut ledger)?;
        let head = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: runtime\r\ncontent-length: {}\r\n\r\n",
            reply.len()
        );
        api.write_all((head + &reply).as_bytes())?;
        answer(&mut api)?;
    }
}

fn reply(event: &Value, region: &str, body: &str, ledger: &mut File) -> anyhow::Result<String> {
    let method = event["httpMethod"].as_str().unwrap_or_default();
    let headers = event["headers"].as_object();
    let number =
        headers.and_then(|headers| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(NUMBER)));
    if let Some(number) = number.and_then(|(_, number)| number.as_str()) {
        // One write, so that the lines of several processes do not mix.
        ledger.write_all(format!("{method} {number}\n").as_bytes())?;
    }
    let mut headers = json!({"Content-Type": "application/fhir+json", REGION: region});
    if method == "POST" {
        headers["Location"] = json!("https://records.fhir.test/Server/Patient/P123456/_history/1");
    }
    let status = if method == "POST" { 201 } else { 200 };
    Ok(json!({"statusCode": status, "headers": headers, "body": body}).to_string())
}

/// One answer of the Runtime API: the invocation's id, where there is one, and the body.
fn answer(api: &mut TcpStream) -> anyhow::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        if let httparse::Status::Complete(head) = response.parse(&bytes)? {
            let value = |name: &str| {
                let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                header.and_then(|header| std::str::from_utf8(header.value).ok()).unwrap_or_default()
            };
            ensure!(response.code.is_some_and(|code| code < 300), "the region says {:?}", response.code);
            let (id, length) =
                (value("lambda-runtime-aws-request-id").to_owned(), value("content-length").parse()?);
            let mut body = bytes.split_off(head);
            while body.len() < length {
                read(api, &mut body)?;
            }
            return Ok((id, body));
        }
        read(api, &mut bytes)?;
    }
}

fn read(api: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut buffer = [0; 8192];
    let count = api.read(&mut buffer)?;
    if count == 0 {
        bail!("the region is gone");
    }
    bytes.extend_from_slice(&buffer[..count]);
    Ok(())
}
