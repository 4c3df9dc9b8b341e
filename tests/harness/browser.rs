//! A headless Chromium, driven over WebDriver: what a person would see and click.

use crate::client::{Client, PATIENCE, Target};
use crate::eventually;
use crate::port::Lease;
use crate::program::Program;
use base64::Engine;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What keeps a browser to itself: no sandbox (a container has none to give), nothing asked of the network.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,1400",
];

/// How WebDriver names an element in its answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page.
pub struct Browser {
    client: Client,
    session: String,
    lease: Lease,
    _driver: Program,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When Chromium or its driver is not installed, or does not come up.
    pub async fn start() -> Self {
        let [chromium, driver] = ["chromium", "chromedriver"].map(installed);
        let (lease, profile) = (Lease::take(), tempfile::tempdir().expect("a directory can be made"));
        let port = format!("--port={}", lease.port());
        let driver = Program::start(driver.as_os_str(), &[OsStr::new(&port)], &[], None);
        eventually::found("the browser's driver is up", || TcpStream::connect(lease.address()).ok()).await;
        let host = lease.address().to_string();
        let mut client = Client::new(Target { host, ..Target::plain(lease.address()) });
        let directory = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([directory.as_str()]).collect();
        let options = json!({"binary": chromium, "args": arguments});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let opened = ask(&mut client, "POST", "/session", &wanted).await;
        let session = opened["sessionId"].as_str().expect("a session has an id").to_owned();
        Self { client, session, lease, _driver: driver, _profile: profile }
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&mut self, url: &str) {
        self.command("url", &json!({ "url": url })).await;
    }

    /// Clicks what a person would call by this text, a button or a link, and waits for the page it leads to.
    ///
    /// # Panics
    /// When there is none on the page, or it leads nowhere.
    pub async fn click(&mut self, text: &str) {
        let path = format!("//button[normalize-space()='{text}'] | //a[normalize-space()='{text}']");
        let found = self.command("element", &json!({"using": "xpath", "value": path})).await;
        let element = found[ELEMENT].as_str().expect("an element has an id").to_owned();
        // A mark that the next page does not bear.
        self.run("document.documentElement.dataset.left = 'yes'").await;
        self.command(&format!("element/{element}/click"), &json!({})).await;
        let (start, arrived) = (
            Instant::now(),
            "return document.documentElement.dataset.left === undefined
            && document.readyState === 'complete'",
        );
        while self.run(arrived).await != Value::Bool(true) {
            assert!(start.elapsed() < PATIENCE, "{text:?} leads nowhere");
        }
    }

    /// The text of the page's main heading.
    pub async fn heading(&mut self) -> String {
        let text = self.run("return document.querySelector('h1').innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What a person reads on the page.
    pub async fn text(&mut self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The page's cells that name a field, as they are shown.
    pub async fn fields(&mut self) -> BTreeMap<String, String> {
        let script = "return Array.from(document.querySelectorAll('td[data-field]'))
            .map(cell => [cell.dataset.field, cell.innerText])";
        let cells = self.run(script).await;
        let pair = |cell: &Value| Some((cell[0].as_str()?.to_owned(), cell[1].as_str()?.to_owned()));
        cells.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(pair).collect()
    }

    /// Keeps a picture of the page as a PNG.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn screenshot(&mut self, file: &Path) {
        let path = format!("/session/{}/screenshot", self.session);
        let picture = ask(&mut self.client, "GET", &path, &Value::Null).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap_or_default());
        let directory = file.parent().expect("a picture lies in a directory");
        std::fs::create_dir_all(directory).expect("the directory can be made");
        std::fs::write(file, bytes.expect("a picture is base64")).expect("the picture can be written");
    }

    async fn run(&mut self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []})).await
    }

    async fn command(&mut self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        ask(&mut self.client, "POST", &path, body).await
    }
}

impl Drop for Browser {
    /// The driver ends its browser when the session ends; killed, it would leave it behind.
    fn drop(&mut self) {
        let Ok(mut tcp) = TcpStream::connect(self.lease.address()) else { return };
        let _ = tcp.set_read_timeout(Some(Duration::from_secs(5)));
        let request =
            format!("DELETE /session/{} HTTP/1.1\r\nhost: {}\r\n\r\n", self.session, self.lease.address());
        let _ = tcp.write_all(request.as_bytes());
        let _ = tcp.read(&mut [0; 256]);
    }
}

async fn ask(client: &mut Client, method: &str, path: &str, body: &Value) -> Value {
    let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let reply = client.send(request.body(bytes).expect("a request")).await.expect("the browser answers");
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 200, "{method} {path}: {text}");
    reply.json()["value"].clone()
}

fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed: `make test` installs it (Debian: chromium and chromium-driver)")
    })
}
