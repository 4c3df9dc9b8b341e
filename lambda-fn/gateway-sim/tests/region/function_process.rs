//! A function for the tests: the test binary, started by the simulator with the name of the one test below.
//!
//! What it does follows from the last segment of the event's path.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The arguments with which this binary is the function.
pub(crate) const ARGUMENTS: [&str; 3] =
    ["function_process::serves_events_when_it_is_the_function", "--exact", "--nocapture"];

#[test]
fn serves_events_when_it_is_the_function() {
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    // Ends when the Runtime API is gone, as a Lambda runtime does.
    let _ = serve(&api);
}

fn serve(api: &str) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(api)?);
    stream.get_ref().set_nodelay(true)?;
    loop {
        let (id, event) = exchange(&mut stream, "GET", "invocation/next", b"")?;
        let event: Value = serde_json::from_slice(&event)?;
        let (verb, reply) = reply_to(&event);
        exchange(&mut stream, "POST", &format!("invocation/{id}/{verb}"), &reply)?;
    }
}

fn reply_to(event: &Value) -> (&'static str, Vec<u8>) {
    let path = event["path"].as_str().unwrap_or("/envelope");
    let reply = match path.rsplit('/').next().unwrap_or_default() {
        "echo" => {
            json!({"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": event.to_string()})
        }
        "binary" => json!({"statusCode": 200, "body": STANDARD.encode([0, 255, 7]), "isBase64Encoded": true}),
        "gone" => json!({"statusCode": 204, "body": "not to be sent"}),
        "unauthorised" => json!({"statusCode": 401, "headers": {"WWW-Authenticate": "Bearer"}, "body": "{}"}),
        "pid" => json!({"statusCode": 200, "body": std::process::id().to_string()}),
        "environment" => {
            let read = |name: &str| std::env::var(name).unwrap_or_default();
            let names = ["AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "COLOUR", "CARGO_MANIFEST_DIR"];
            json!({"statusCode": 200, "body": json!(names.map(read)).to_string()})
        }
        "record" => {
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(std::env::var("RECORD").unwrap())
                .unwrap();
            file.write_all(b"x").unwrap();
            json!({"statusCode": 201, "body": "{}"})
        }
        "malformed" => return ("response", b"\"just text\"".to_vec()),
        "large" => json!({"statusCode": 200, "body": "x".repeat(7 * 1024 * 1024)}),
        "error" => return ("error", br#"{"errorType":"Boom","errorMessage":"it broke"}"#.to_vec()),
        "exit" => std::process::exit(3),
        "stuck" => loop {
            std::thread::park();
        },
        _ => json!({"statusCode": 200, "headers": {"Content-Type": "application/fhir+json"},
            "body": r#"{"resourceType":"Patient","id":"1"}"#}),
    };
    ("response", reply.to_string().into_bytes())
}

/// One request to the Runtime API; gives the invocation's id and the body.
fn exchange(
    stream: &mut BufReader<TcpStream>,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<(String, Vec<u8>)> {
    let mut request = format!(
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: api\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    stream.get_mut().write_all(&request)?;
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some(("lambda-runtime-aws-request-id", value)) => id = value.to_owned(),
            Some(("content-length", value)) => length = value.parse().unwrap_or_default(),
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((id, body))
}
