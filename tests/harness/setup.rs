//! The configuration a test gives the proxy: sound defaults for a test, each replaceable by its key.

use crate::authority::Files;
use crate::upstream::Upstream;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;

/// The limits of a test: an attempt may take one second, an ejection is short enough to be watched.
const POOL: [(&str, &str); 9] = [
    ("dialect", "api_gateway"),
    ("fhir", "true"),
    ("unwrap_envelope", "true"),
    ("reveal_upstream", "name"),
    ("passive_health", "{ejection: 500ms, ejection_max: 2s}"),
    // One that returns takes its whole share at once: a ramp would outlast the test.
    ("slow_start", "0s"),
    // It verifies denials; by itself it would come too seldom to be seen in a test.
    ("active_health", "{path: /metadata, timeout: 1s, interval: 1h}"),
    ("timeouts", "{connect: 500ms, attempt: 1s, request: 6s}"),
    ("retry", "{}"),
];

/// A configuration in the making.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    listener: BTreeMap<String, String>,
    pool: BTreeMap<String, String>,
    top: BTreeMap<String, String>,
    routes: Option<String>,
    upstreams: Vec<String>,
    more: String,
}

impl Setup {
    /// One plain listener, one route, one pool of these upstreams, each with the base path `/Server` and its
    /// number: `/Server1`, `/Server2`.
    #[must_use]
    pub fn new(upstreams: &[&Upstream]) -> Self {
        let pool = POOL.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut setup = Self { pool: pool.into(), ..Self::default() };
        // A test's own clients may still be connected at its end, and have nothing more to send.
        set(&mut setup.top, "shutdown", "{idle: 100ms}");
        // Beside the file, which has a folder of its own.
        set(&mut setup.top, "state_dir", "state");
        set(&mut setup.top, "admin", "{address: 127.0.0.1:0}");
        for (index, upstream) in upstreams.iter().enumerate() {
            setup.upstreams.push(entry(upstream, &format!("/Server{}", index + 1)));
        }
        setup
    }

    /// Sets a key of the pool; the value is YAML on one line. An empty value leaves the key out.
    #[must_use]
    pub fn pool(mut self, key: &str, value: &str) -> Self {
        set(&mut self.pool, key, value);
        self
    }

    /// Sets a key of the listener.
    #[must_use]
    pub fn listener(mut self, key: &str, value: &str) -> Self {
        set(&mut self.listener, key, value);
        self
    }

    /// Sets a key at the top of the file, beside listeners, routes and pools.
    #[must_use]
    pub fn top(mut self, key: &str, value: &str) -> Self {
        set(&mut self.top, key, value);
        self
    }

    /// Replaces the routes; YAML as it stands in the file.
    #[must_use]
    pub fn routes(mut self, yaml: &str) -> Self {
        self.routes = Some(yaml.to_owned());
        self
    }

    /// Adds a pool of one upstream with this base path; everything else has its default.
    #[must_use]
    pub fn more_pool(mut self, name: &str, upstream: &Upstream, base_path: &str) -> Self {
        let entry = entry(upstream, base_path);
        let _ = writeln!(self.more, "  {name}:\n    reveal_upstream: name\n    upstreams: [{{{entry}}}]");
        self
    }

    /// Adds keys to one upstream, the first being 0.
    ///
    /// # Panics
    /// When there is no such upstream.
    #[must_use]
    pub fn upstream(mut self, index: usize, keys: &str) -> Self {
        let _ = write!(self.upstreams[index], ", {keys}");
        self
    }

    /// TLS towards the clients.
    #[must_use]
    pub fn tls(self, files: &Files) -> Self {
        let (certificate, key) = (files.certificate.display(), files.private_key.display());
        self.listener("tls", &format!("{{certificate: {certificate}, private_key: {key}}}"))
    }

    /// The file.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = String::from("listeners:\n  - address: 127.0.0.1:0\n");
        self.listener.iter().for_each(|(key, value)| line(&mut text, 4, key, value));
        self.top.iter().for_each(|(key, value)| line(&mut text, 0, key, value));
        let one_route = "  - {name: ehr, pool: records}";
        let _ = writeln!(text, "routes:\n{}", self.routes.as_deref().unwrap_or(one_route));
        text.push_str("pools:\n  records:\n");
        self.pool.iter().for_each(|(key, value)| line(&mut text, 4, key, value));
        text.push_str("    upstreams:\n");
        for upstream in &self.upstreams {
            let _ = writeln!(text, "      - {{{upstream}}}");
        }
        text.push_str(&self.more);
        text
    }
}

fn set(block: &mut BTreeMap<String, String>, key: &str, value: &str) {
    if value.is_empty() {
        block.remove(key);
    } else {
        block.insert(key.to_owned(), value.to_owned());
    }
}

fn line(text: &mut String, indent: usize, key: &str, value: &str) {
    let _ = writeln!(text, "{:indent$}{key}: {value}", "");
}

/// A pool of so many upstreams, all at this address, and nothing else.
#[must_use]
pub fn many(upstreams: usize, address: SocketAddr) -> String {
    let mut text =
        "listeners: [{address: 127.0.0.1:0}]\nadmin: {address: 127.0.0.1:0}\nreload: {watch: 0s}\n\
                    shutdown: {idle: 100ms}\nroutes: [{name: ehr, pool: records}]\n\
                    pools:\n  records:\n    upstreams:\n"
            .to_owned();
    for number in 0..upstreams {
        let _ = writeln!(
            text,
            "      - {{name: region-{number}, url: \"http://region-{number}.fhir.test/Server1\", \
             addresses: [\"{address}\"], weight: 1, priority: 0, data_domain: store-{number}}}"
        );
    }
    text
}

/// One upstream's entry in a flow mapping, without its braces.
#[must_use]
pub fn entry(upstream: &Upstream, base_path: &str) -> String {
    let (name, url, address) = (upstream.name(), upstream.url(base_path), upstream.address());
    let mut text = format!(r#"name: {name}, url: "{url}", addresses: ["{address}"]"#);
    if let Some(ca) = upstream.ca() {
        let _ = write!(text, ", tls: {{ca: {}}}", ca.display());
    }
    text
}
