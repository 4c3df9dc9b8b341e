//! The program: its exit codes, its words, its signals.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::upstream::{Upstream, answer};

/// A configuration file that goes away with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aorta-viewer-{}-{name}.yaml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn program(command: &str, file: &File) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_aorta-viewer"));
    program.arg(command).arg("--config").arg(&file.0).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn finish(command: &str, file: &File) -> Output {
    program(command, file).output().unwrap()
}

#[test]
fn check_accepts_a_good_file() {
    let file = File::new("good", "title: A\n");
    let output = finish("check", &file);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with(": ok\n"));
}

#[test]
fn check_and_run_refuse_a_bad_file_with_78_and_every_problem() {
    let file = File::new("bad", "lisen: x\nlog: 5\n");
    let name = file.0.display();
    let known = "listen, hosts, proxy, record, title, log, limits";
    let expected = format!(
        "{name}:1:1: lisen: is no key of the viewer; did you mean \"listen\"? Known here: {known}\n\
         {name}:2:6: log: 5 is not text; one of error, warn, info, debug\n"
    );
    let checked = finish("check", &file);
    assert_eq!(
        (checked.status.code(), String::from_utf8_lossy(&checked.stdout).into_owned()),
        (Some(78), expected.clone())
    );
    let ran = finish("run", &file);
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned()), (Some(78), expected));
}

#[test]
fn a_missing_file_is_a_configuration_problem() {
    let file = File(PathBuf::from("/nonexistent/viewer.yaml"));
    let output = finish("check", &file);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("/nonexistent/viewer.yaml: file: cannot be read")
    );
}

#[test]
fn an_address_in_use_exits_with_1_and_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = File::new("taken", &format!("listen: {}\n", taken.local_addr().unwrap()));
    let output = finish("run", &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on 127.0.0.1:"));
}

/// Ends the program if the test did not.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_it_with_0_and_its_log_holds_nothing_of_the_patient() {
    for signal in ["-TERM", "-INT"] {
        let upstream = Upstream::start(answer("200 OK", "", include_str!("../golden/seed.json"))).await;
        let yaml = format!(
            "listen: 127.0.0.1:0\nlog: debug\nrecord: /Patient/P123456\nproxy: {{url: \"http://{}\"}}\n",
            upstream.address
        );
        let file = File::new(&format!("run{signal}"), &yaml);
        let log = tokio::task::spawn_blocking(move || serve_once(&file, signal)).await.unwrap();
        assert!(log.contains("\"message\":\"fetched\"") && log.contains("\"message\":\"stopped\""), "{log}");
        // Long enough that no timestamp or id can hold one by chance.
        for secret in ["P123456", "John Doe", "1985-04", "555-123", "marker", "Springfield"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

/// Runs the program for one page, stops it, and gives back its log.
fn serve_once(file: &File, signal: &str) -> String {
    let mut child = Running(program("run", file).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let ready: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(ready["message"], "ready");
    let address = ready["address"].as_str().unwrap();
    let page = fetch(address, "/patient?marker=marker");
    assert!(page.contains("John Doe"), "{page}");
    fetch(address, "/marker/P123456");
    let sent = Command::new("kill").arg(signal).arg(child.0.id().to_string()).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    lines.map(|line| line.unwrap() + "\n").collect()
}

fn fetch(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
