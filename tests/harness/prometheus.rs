//! The real Prometheus: `promtool`, which judges files and metrics, and a server that scrapes and is asked.
//!
//! Both are Debian's, in the package `prometheus`. A test that needs them fails without them and says so.

use crate::eventually;
use crate::metrics::get;
use crate::port::Lease;
use crate::program::Program;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What to do when a tool is not there.
const REMEDY: &str = "run `make setup`, or install Debian's package prometheus";

/// Runs promtool to its end in this directory, with this text as its standard input.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn promtool(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("promtool: {error}; {REMEDY}"));
    let mut pipe = child.stdin.take().expect("piped");
    match pipe.write_all(input.as_bytes()) {
        // A tool that needs no input may have ended already.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("promtool takes no input: {error}"),
        _ => drop(pipe),
    }
    child.wait_with_output().expect("promtool ends")
}

/// What a tool said, for a message.
#[must_use]
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A running Prometheus on loopback. It is killed when this is dropped; its data is gone then.
#[derive(Debug)]
pub struct Prometheus {
    program: Program,
    address: SocketAddr,
    _lease: Lease,
    _data: tempfile::TempDir,
}

/// One series of an answer: its labels, and its samples as `(seconds, value)`.
#[derive(Clone, Debug)]
pub struct Found {
    /// Name and labels.
    pub metric: Value,
    /// In the order of time.
    pub samples: Vec<(f64, f64)>,
}

impl Prometheus {
    /// Starts one with this configuration file, and waits until it answers.
    ///
    /// # Panics
    /// When it is not installed or does not come up.
    pub async fn start(file: &Path) -> Self {
        let (lease, data) = (Lease::take(), tempfile::tempdir().expect("a directory can be made"));
        let address = lease.address();
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", data.path().display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let installed = Command::new("prometheus").arg("--version").output();
        assert!(installed.is_ok_and(|output| output.status.success()), "prometheus is missing: {REMEDY}");
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let program = Program::start(OsStr::new("prometheus"), &arguments, &[], None);
        let ready = || {
            assert!(program.ended().is_none(), "prometheus ended\n{}", program.said());
            get(address, "/-/ready")
        };
        eventually::found("prometheus is ready", ready).await;
        Self { program, address, _lease: lease, _data: data }
    }

    /// Asks for an expression now; an instant answer has one sample for each series, a range selector's many.
    ///
    /// # Panics
    /// When it is no expression, or Prometheus does not answer.
    #[must_use]
    pub fn ask(&self, expression: &str) -> Vec<Found> {
        self.query(expression, "")
    }

    /// Asks what an expression said at a moment, in Unix seconds.
    ///
    /// # Panics
    /// As [`Prometheus::ask`].
    #[must_use]
    pub fn ask_at(&self, expression: &str, unix: f64) -> Vec<Found> {
        self.query(expression, &format!("&time={unix:.3}"))
    }

    fn query(&self, expression: &str, when: &str) -> Vec<Found> {
        let answer = self.get(&format!("/api/v1/query?query={}{when}", escape(expression)));
        let answer = answer.unwrap_or_else(|| panic!("refused: {expression}\n{}", self.program.said()));
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        series.into_iter().map(Found::read).collect()
    }

    /// The `data` that an API path answers; none when it is refused.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&get(self.address, path)?).ok()
    }
}

impl Found {
    fn read(series: Value) -> Self {
        let sample = |pair: &Value| {
            let value = pair[1].as_str().and_then(|text| text.parse().ok());
            pair[0].as_f64().zip(value)
        };
        let one = sample(&series["value"]);
        let many = series["values"].as_array().map(Vec::as_slice).unwrap_or_default();
        let samples = one.into_iter().chain(many.iter().filter_map(sample)).collect();
        Self { metric: series["metric"].clone(), samples }
    }

    /// The last sample's value.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.samples.last().map(|(_, value)| *value)
    }
}

/// As a query value (RFC 3986 section 2.3: what is not unreserved is encoded).
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_escaped_whole() {
        assert_eq!(escape("up{a=\"b c\"} > 1"), "up%7Ba%3D%22b%20c%22%7D%20%3E%201");
    }
}
