//! The configuration file of one region: what may be written, what it means.
//!
//! Paths are taken as written: relative ones are relative to the working directory.

mod duration;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::signature::Keys;

/// The longest time API Gateway waits for an integration by default, and the longest this simulator allows.
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>
pub const INTEGRATION_TIMEOUT_MAX: Duration = Duration::from_secs(29);
/// Lambda's longest time limit.
pub const FUNCTION_TIMEOUT_MAX: Duration = Duration::from_mins(15);

/// One region.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region's name, in the ready line, the event and the function's environment.
    pub region: String,
    /// Where the TLS endpoint listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Where the plain HTTP control port listens; loopback only.
    pub control: SocketAddr,
    /// The only `Host` that is served; the port in it is ignored.
    pub host: String,
    /// The first segment of every path.
    pub stage: String,
    /// PEM chain of the endpoint.
    pub certificate: PathBuf,
    /// PEM key of the endpoint.
    pub private_key: PathBuf,
    /// How a request becomes an event and a reply a response.
    pub integration: Integration,
    /// `METHOD /prefix` entries without an integration; `*` is any method.
    #[serde(default)]
    pub unmapped: Vec<Unmapped>,
    /// When not empty, what `x-api-key` must be.
    #[serde(default)]
    pub api_key: String,
    /// IAM authorisation: only requests that are signed with this key pass.
    #[serde(default)]
    pub iam: Option<Keys>,
    /// Added before each answer.
    #[serde(default, deserialize_with = "duration::deserialize")]
    pub latency: Duration,
    /// The stage's limit.
    #[serde(default)]
    pub throttle: Throttle,
    /// How long the gateway waits for the function.
    #[serde(default = "integration_timeout", deserialize_with = "duration::deserialize")]
    pub integration_timeout: Duration,
    /// The function to run.
    #[serde(default)]
    pub function: Option<Function>,
    /// A fixed answer in the function's place, for benchmarks.
    #[serde(default)]
    pub answer: Option<Answer>,
    /// What is logged to standard error: a level, or `tracing` directives.
    #[serde(default = "log")]
    pub log: String,
}

/// The integration type of the REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Integration {
    /// `AWS_PROXY`: all paths and methods under the stage, the whole request as event, the reply as response.
    Proxy,
    /// `AWS`: GET at the stage root only, the body as event, whatever the function returns as 200 JSON.
    Envelope,
}

/// A method and path prefix that answers Missing Authentication Token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Unmapped {
    method: String,
    prefix: String,
}

impl Unmapped {
    /// Whether a request falls under this entry; `path` is the path after the stage.
    #[must_use]
    pub fn covers(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method == method) && path.starts_with(&self.prefix)
    }
}

impl TryFrom<String> for Unmapped {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(' ') {
            Some((method, prefix)) if !method.is_empty() && prefix.starts_with('/') => {
                Ok(Self { method: method.to_owned(), prefix: prefix.to_owned() })
            }
            _ => Err(format!(
                "unmapped: `{text}` is not `METHOD /prefix`, as in `DELETE /Patient` or `* /admin`"
            )),
        }
    }
}

/// Requests a second and at once.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Throttle {
    /// Requests a second.
    pub rate: f64,
    /// Requests at once.
    pub burst: f64,
}

impl Default for Throttle {
    /// An account's default in the large regions.
    fn default() -> Self {
        Self { rate: 10_000.0, burst: 5_000.0 }
    }
}

/// The function program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// A program that speaks the Lambda Runtime API.
    pub program: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Added to the environment a Lambda function has; nothing else is inherited but `PATH`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How many processes, each with one event at a time.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// The function's own time limit; its process is killed then.
    #[serde(default = "integration_timeout", deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
}

/// A fixed answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Its body.
    pub file: PathBuf,
    /// Its media type.
    pub content_type: String,
}

/// Why a configuration is not usable.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not YAML, an unknown key, a missing key, a value of the wrong type.
    #[error("{}: {source}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The place and the key.
        source: serde_yaml::Error,
    },
    /// Values that make no sense, one line each.
    #[error("{}", .0.join("\n"))]
    Values(Vec<String>),
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self = serde_yaml::from_str(&text)
            .map_err(|source| ConfigError::Shape { path: path.to_owned(), source })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot say; reports every problem.
    ///
    /// # Errors
    /// [`ConfigError::Values`], one line for each key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut need = |sound: bool, problem: &str| {
            if !sound {
                problems.push(problem.to_owned());
            }
        };
        let stage_sound = self.stage.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        need(!self.region.is_empty(), "region: must not be empty");
        need(!self.host.is_empty(), "host: must not be empty");
        need(
            stage_sound && (1..=128).contains(&self.stage.len()),
            "stage: 1 to 128 letters, digits, hyphens or underscores",
        );
        need(
            self.control.ip().is_loopback(),
            "control: must be a loopback address: who reaches it can break the region",
        );
        need(
            self.throttle.rate > 0.0 && self.throttle.burst >= 1.0,
            "throttle: rate must be above 0, burst at least 1",
        );
        need(
            (Duration::from_millis(50)..=INTEGRATION_TIMEOUT_MAX).contains(&self.integration_timeout),
            "integration_timeout: 50ms to 29s, as API Gateway allows",
        );
        need(
            self.function.is_some() != self.answer.is_some(),
            "function: exactly one of function and answer is needed",
        );
        if let Some(function) = &self.function {
            need(function.program.is_file(), "function.program: no such file");
            need((1..=256).contains(&function.concurrency), "function.concurrency: 1 to 256");
            need(
                (Duration::from_millis(50)..=FUNCTION_TIMEOUT_MAX).contains(&function.timeout),
                "function.timeout: 50ms to 15m",
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Values(problems)) }
    }

    /// The API's id: the first label of its host.
    #[must_use]
    pub fn api_id(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }
}

fn integration_timeout() -> Duration {
    INTEGRATION_TIMEOUT_MAX
}

fn concurrency() -> usize {
    4
}

fn log() -> String {
    "info".to_owned()
}

#[cfg(test)]
mod tests;
