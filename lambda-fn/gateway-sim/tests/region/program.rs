//! The program: its ready line, its signals, its complaints.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::client::exchange;
use crate::functions::gone;
use crate::harness::{client_config, control, yaml};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_aorta-gateway-sim"))
}

struct Running {
    child: Child,
    address: SocketAddr,
    control: SocketAddr,
    directory: TempDir,
}

fn run() -> Running {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("region.yaml");
    std::fs::write(&file, yaml(directory.path(), "concurrency: 1", "log: warn")).unwrap();
    let mut child = program().arg("--config").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let value = |key: &str| {
        let (_, rest) = line.split_once(key).unwrap_or_else(|| panic!("{key} in {line:?}"));
        rest.split_whitespace().next().unwrap().to_owned()
    };
    assert!(line.starts_with("ready region=us-east-1 "), "{line}");
    let (address, control) = (value("address=").parse().unwrap(), value("control=").parse().unwrap());
    Running { child, address, control, directory }
}

impl Running {
    async fn function_pid(&self) -> u32 {
        let tls = client_config(self.directory.path(), b"http/1.1");
        exchange(self.address, tls, "GET", "/Server1/pid", "", b"").await.unwrap().text().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}

#[tokio::test]
async fn a_terminated_region_ends_well_and_takes_its_function_along() {
    for signal in ["TERM", "INT"] {
        let mut running = run();
        assert_eq!(control(running.control, "GET", "/healthz", "").await.0, 200);
        let function = running.function_pid().await;
        running.signal(signal);
        assert!(running.child.wait().unwrap().success(), "{signal}");
        gone(function).await;
    }
}

#[tokio::test]
async fn the_function_of_a_killed_region_ends_by_itself() {
    let mut running = run();
    let function = running.function_pid().await;
    running.signal("KILL");
    running.child.wait().unwrap();
    gone(function).await;
}

fn complaint(yaml: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("region.yaml");
    std::fs::write(&file, yaml).unwrap();
    program().arg("--config").arg(&file).output().unwrap()
}

#[test]
fn an_unusable_configuration_exits_with_78_and_names_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let good = yaml(directory.path(), "concurrency: 1", "");
    for (yaml, key) in [
        (good.replace("stage: Server1", "stge: Server1"), "stge"),
        (good.replace("concurrency: 1", "concurrency: 0"), "function.concurrency"),
        (good.replace(".key\n", ".nokey\n"), ".nokey"),
        ("region: [".to_owned(), "region.yaml"),
    ] {
        let output = complaint(&yaml);
        assert_eq!(output.status.code(), Some(78), "{key}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(key) && output.stdout.is_empty(), "{key} in {text}");
    }
}

#[test]
fn certificates_are_made_by_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let made =
        program().args(["certificates", "--host", "localhost", "--directory"]).arg(directory.path()).status();
    assert!(made.unwrap().success());
    for file in ["ca.pem", "localhost.pem", "localhost.key"] {
        assert!(directory.path().join(file).is_file(), "{file}");
    }
}
