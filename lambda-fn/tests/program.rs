//! The program from outside: its command line, its sockets, its signals, its log.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running `aorta-fhir serve`; killed when dropped.
struct Program {
    child: Child,
    address: String,
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aorta-fhir"));
    for name in ["DATABASE", "SEED", "ROOT", "CURSOR_KEY", "LOG"] {
        command.env_remove(format!("AORTA_FHIR_{name}"));
    }
    command.env_remove("AWS_LAMBDA_RUNTIME_API");
    command
}

fn database(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("records.db").display())
}

impl Program {
    fn start(folder: &TempDir, log: &str) -> Self {
        let log = std::fs::File::create(folder.path().join(log)).unwrap();
        let mut child = command()
            .args(["serve", "--address", "127.0.0.1:0", "--database", &database(folder)])
            .envs([("AORTA_FHIR_SEED", "builtin"), ("AORTA_FHIR_LOG", "trace")])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// Sends the bytes as they are and reads until the server closes.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may answer and close before it has read all: that is an answer, not a failure.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.raw(format!("{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}").as_bytes())
    }

    fn terminate(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

const FHIR: &str = "content-type: application/fhir+json\r\n";

#[test]
fn a_record_outlives_the_process_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Program::start(&folder, "log");
    let body = r#"{"resourceType":"Patient","id":"a","x":0.10}"#;
    assert_eq!(status(&first.ask("PUT /Patient/a", FHIR, body)), "201");
    assert_eq!(first.terminate(), Some(0));
    let second = Program::start(&folder, "log");
    let read = second.ask("GET /Patient/a", "", "");
    assert!(read.ends_with(r#","x":0.10}"#), "{read}");
    assert_eq!(status(&second.ask("GET /Patient/P123456", "", "")), "200");
}

#[test]
fn a_request_in_flight_is_finished_after_a_stop_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(&folder, "log");
    let body = r#"{"resourceType":"Patient","id":"a"}"#;
    let mut stream = program.connect();
    write!(
        stream,
        "PUT /Patient/a HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {}\r\n{FHIR}\r\n",
        body.len()
    )
    .unwrap();
    // The interim answer proves that the server is waiting for the body.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    let id = program.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), "201");
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_a_client_sends_is_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(&folder, "log");
    let marker = "Zyxwvut-9434765919";
    let body = format!(r#"{{"resourceType":"Patient","id":"{marker}","name":[{{"family":"{marker}"}}]}}"#);
    let secret = format!("{FHIR}authorization: Bearer {marker}\r\nif-none-exist: name={marker}\r\n");
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for (line, headers, body) in [
        (format!("PUT /Patient/{marker}"), secret.as_str(), body.as_str()),
        ("POST /Patient".to_owned(), secret.as_str(), body.as_str()),
        (format!("GET /Patient/{marker}/_history"), "", ""),
        (format!("GET /Patient?name={marker}&{marker}=1&birthdate={marker}"), "", ""),
        (format!("GET /{marker}/{marker}"), "", ""),
        (format!("GET /Patient?_cursor={marker}"), "", ""),
        (format!("{marker} /Patient"), "", ""),
        ("POST /Patient/_search".to_owned(), form, &format!("name={marker}")),
        (format!("PUT /Patient/{marker}"), FHIR, &format!("{marker} is no JSON")),
        (format!("DELETE /Patient/{marker}"), &format!("if-match: {marker}\r\n"), ""),
    ] {
        assert!(program.ask(&line, headers, body).starts_with("HTTP/1.1 "), "{line}");
    }
    // A record that fails its hash chain is the failure that tells the log most.
    let connection = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
    connection.execute("UPDATE res SET body = body || ' '", []).unwrap();
    let damaged = program.ask(&format!("GET /Patient/{marker}"), "", "");
    assert_eq!(status(&damaged), "500");
    assert!(damaged.contains("integrity check") && !damaged.contains("hash"), "{damaged}");
    assert_eq!(program.terminate(), Some(0));
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("hash chain") && log.lines().count() > 10, "{log}");
    assert!(!log.to_lowercase().contains(&marker.to_lowercase()), "{log}");
}

#[test]
fn hostile_bytes_are_refused_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder, "log");
    let long_path =
        format!("GET /Patient/{} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "a".repeat(10_000));
    let long_head = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    for (request, expected) in [
        (&b"GET /Patient/%ff HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"[..], "400"),
        (b"GET /Patient?name=%ff HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "400"),
        (b"GET /Patient/\xff HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
        (long_path.as_bytes(), "400"),
        (long_head.as_bytes(), "431"),
    ] {
        let answer = program.raw(request);
        assert_eq!(
            status(&answer),
            expected,
            "{:?}",
            String::from_utf8_lossy(&request[..40.min(request.len())])
        );
    }
    let large = format!("POST /Patient HTTP/1.1\r\nhost: h\r\n{FHIR}content-length: 7000000\r\n\r\n");
    assert_eq!(status(&program.raw(large.as_bytes())), "413");
    let deep = format!(r#"{{"resourceType":"Patient","a":{}"#, r#"{"a":"#.repeat(100_000));
    assert_eq!(status(&program.ask("POST /Patient", FHIR, &deep)), "400");
    assert_eq!(status(&program.ask("GET /Patient/P123456", "", "")), "200");
}

#[test]
fn two_processes_over_one_file_continue_each_others_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Program::start(&folder, "log-1"), Program::start(&folder, "log-2"));
    for id in ["a", "b"] {
        let body = format!(r#"{{"resourceType":"Basic","id":"{id}"}}"#);
        assert_eq!(status(&one.ask(&format!("PUT /Basic/{id}"), FHIR, &body)), "201");
    }
    let page = one.ask("GET /Basic?_count=1", "", "");
    let next = page.split(r#""next","url":"http://h"#).nth(1).unwrap().split('"').next().unwrap();
    let page = two.ask(&format!("GET {next}"), "", "");
    assert!(page.contains(r#""id":"b""#) && !page.contains(r#""id":"a""#), "{page}");
}

#[test]
fn every_wrong_setting_is_reported_at_once() {
    let output = command()
        .args(["serve", "--address", "127.0.0.1:0"])
        .envs([("AORTA_FHIR_DATABASE", "postgresql://u:secret@h/d"), ("AORTA_FHIR_ROOT", "nonsense")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains("PostgreSQL") && log.contains("AORTA_FHIR_ROOT") && !log.contains("secret"),
        "{log}"
    );
}

#[test]
fn load_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.json");
    let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"a"}},{"resource":{"resourceType":"Patient"}}]}"#;
    std::fs::write(&file, bundle).unwrap();
    let load =
        |file: &Path| command().args(["load", "--database", &database(&folder)]).arg(file).output().unwrap();
    let output = load(&file);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.ends_with("bundle.json: 2 created, 0 updated, 0 unchanged, 0 references unresolved\n"),
        "{said}"
    );
    assert!(!load(&folder.path().join("absent.json")).status.success());
}
