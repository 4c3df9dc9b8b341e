//! The configuration: one YAML file, read strictly; every mistake is reported at once and where it is.
//!
//! - `node`: the text as a tree; keeps duplicate keys so that they can be refused
//! - `reader`: takes keys out of the tree, collects problems
//! - `unit`: `35s`, `6MiB`
//! - `locate`: the line and column of a key
//! - `problem`: how a problem prints

mod locate;
mod node;
mod problem;
mod reader;
mod unit;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

pub use problem::{Problem, Problems};

use node::Node;
use reader::{Reader, Table, Wrong, wrong};

/// What the viewer runs with; cannot hold a bad value.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the pages are served. Default `127.0.0.1:8088`.
    pub listen: SocketAddr,
    /// Names a browser may use for this viewer. Empty: any name, or on a loopback address only `localhost` and
    /// literal addresses (a web page elsewhere could point its own name at this machine and read the answers).
    pub hosts: Vec<String>,
    /// The record behind "Fetch Patient Data": the proxy's URL and the path, joined.
    pub record: Uri,
    /// Longest wait for the proxy's whole answer. Default 35 s: more than the proxy's own 29 s for a request.
    pub proxy_timeout: Duration,
    /// The title of the front page.
    pub title: String,
    /// The least severe line that is logged.
    pub log: LogLevel,
    /// Bounds on what clients and the proxy can cost.
    pub limits: Limits,
}

/// Bounds on what clients and the proxy can cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections at one time; more wait in the system's queue.
    pub connections: u32,
    /// A request's head must arrive within this, and a stop waits so long for pages in flight.
    pub request_time: Duration,
    /// Largest answer taken from the proxy, in bytes. Default 6 MiB: Lambda's own limit.
    pub answer_bytes: usize,
}

/// The least severe line that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what stops the viewer
    Error,
    /// Also what an operator should look at
    Warn,
    /// Also one line for each request
    Info,
    /// Also how connections end
    Debug,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

/// Reads a configuration file.
///
/// # Errors
/// Every problem of the file, each with its place.
pub fn load(file: &Path) -> Result<Config, Problems> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&name, &text),
        Err(error) => Err(Problems::unreadable(&name, &error)),
    }
}

/// Reads a configuration from text; `file` is only how problems name it.
///
/// # Errors
/// Every problem of the text, each with its place.
pub fn parse(file: &str, text: &str) -> Result<Config, Problems> {
    let root = Node::parse(text).map_err(|problem| Problems::new(file, vec![problem]))?;
    let mut reader = Reader::new(text);
    let config = resolve(&mut reader, &root);
    match reader.finish() {
        problems if problems.is_empty() => Ok(config),
        problems => Err(Problems::new(file, problems)),
    }
}

/// The keys of each block, in the order of the shipped file; `config/viewer-reference.md` says what they are.
const TOP: [&str; 7] = ["listen", "hosts", "proxy", "record", "title", "log", "limits"];
const PROXY: [&str; 2] = ["url", "timeout"];
const LIMITS: [&str; 3] = ["connections", "request_time", "answer_bytes"];

fn resolve(reader: &mut Reader<'_>, root: &Node) -> Config {
    let top = reader.root(root, &TOP);
    let listen = reader.value(&top, "listen", SocketAddr::from(([127, 0, 0, 1], 8088)), listen);
    let hosts = reader.value(&top, "hosts", Vec::new(), hosts);
    let title = reader.value(&top, "title", "Centralised Medical Data".to_owned(), title);
    let log = reader.value(&top, "log", LogLevel::Info, log_level);
    let path = reader.value(&top, "record", PathAndQuery::from_static("/"), record);
    let proxy = reader.table(&top, "proxy", &PROXY);
    let base = reader.value(&proxy, "url", Base::default(), base);
    let proxy_timeout = reader.value(&proxy, "timeout", Duration::from_secs(35), timeout);
    let limits = resolve_limits(reader, &top);
    if proxy_timeout >= limits.request_time {
        let fault = Wrong {
            what: format!(
                "{proxy_timeout:?} is not shorter than limits.request_time ({:?})",
                limits.request_time
            ),
            right: "give the whole request more time than the fetch inside it".to_owned(),
        };
        reader.report(&proxy, "timeout", fault);
    }
    let record = base.join(&path).unwrap_or_else(|fault| {
        reader.report(&top, "record", fault);
        Uri::default()
    });
    Config { listen, hosts, record, proxy_timeout, title, log, limits }
}

fn resolve_limits(reader: &mut Reader<'_>, top: &Table<'_>) -> Limits {
    let table = reader.table(top, "limits", &LIMITS);
    Limits {
        connections: reader.value(&table, "connections", 1000, connections),
        request_time: reader.value(&table, "request_time", Duration::from_secs(40), timeout),
        answer_bytes: reader.value(&table, "answer_bytes", 6 << 20, answer_bytes),
    }
}

fn listen(node: &Node) -> Result<SocketAddr, Wrong> {
    let right = "an address and a port, such as 127.0.0.1:8088 or [::1]:8088";
    node.text(right)?.parse().map_err(|_| wrong(node, "is no socket address", right))
}

fn hosts(node: &Node) -> Result<Vec<String>, Wrong> {
    let right = "a list of host names without scheme and port, such as [viewer.example.org]";
    let plain = |name: &str| {
        let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !name.is_empty() && name.bytes().all(name_byte)
    };
    node.list(right)?
        .iter()
        .map(|item| match item.text(right)? {
            name if plain(name) => Ok(name.to_ascii_lowercase()),
            _ => Err(wrong(item, "is no host name", right)),
        })
        .collect()
}

fn title(node: &Node) -> Result<String, Wrong> {
    let right = "a title of 1 to 200 characters";
    match node.text(right)?.trim() {
        title if (1..=200).contains(&title.chars().count()) => Ok(title.to_owned()),
        _ => Err(wrong(node, "is empty or too long", right)),
    }
}

fn log_level(node: &Node) -> Result<LogLevel, Wrong> {
    let right = "one of error, warn, info, debug";
    let level = node.text(right)?;
    [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug]
        .into_iter()
        .find(|known| known.to_string() == level)
        .ok_or_else(|| wrong(node, "is no log level", right))
}

fn record(node: &Node) -> Result<PathAndQuery, Wrong> {
    let right = "a path on the proxy that starts with /, such as /Patient/P123456";
    let text = node.text(right)?;
    if !text.starts_with('/') || text.contains('#') {
        return Err(wrong(node, "is no path", right));
    }
    text.parse().map_err(|_| wrong(node, "has characters a URL cannot hold", "write them percent-encoded"))
}

fn timeout(node: &Node) -> Result<Duration, Wrong> {
    unit::duration(node, Duration::from_millis(1)..=Duration::from_secs(600))
}

fn connections(node: &Node) -> Result<u32, Wrong> {
    unit::count(node, 1..=100_000)
}

fn answer_bytes(node: &Node) -> Result<usize, Wrong> {
    unit::size(node, 1024..=64 << 20)
}

/// The proxy's URL: where to connect, and a path that stands before every record's.
struct Base {
    authority: Authority,
    path: String,
}

impl Default for Base {
    fn default() -> Self {
        Self { authority: Authority::from_static("127.0.0.1:8080"), path: String::new() }
    }
}

impl Base {
    fn join(&self, record: &PathAndQuery) -> Result<Uri, Wrong> {
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(format!("{}{record}", self.path))
            .build()
            .map_err(|_| Wrong {
                what: "makes no URL together with proxy.url".to_owned(),
                right: "a path that starts with /".to_owned(),
            })
    }
}

fn base(node: &Node) -> Result<Base, Wrong> {
    let right = "the proxy's plain HTTP address, such as http://127.0.0.1:8080";
    let text = node.text(right)?;
    let uri: Uri = text.parse().map_err(|_| wrong(node, "is no URL", right))?;
    if uri.scheme() == Some(&Scheme::HTTPS) {
        return Err(wrong(node, "wants TLS, which the viewer leaves to the proxy", right));
    }
    let authority = match (uri.scheme() == Some(&Scheme::HTTP), uri.authority()) {
        (true, Some(authority)) => authority.clone(),
        _ => return Err(wrong(node, "is no http URL", right)),
    };
    if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
        return Err(wrong(node, "holds a user, a query or a fragment", right));
    }
    Ok(Base { authority, path: uri.path().trim_end_matches('/').to_owned() })
}

#[cfg(test)]
mod tests;
