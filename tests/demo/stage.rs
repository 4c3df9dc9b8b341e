//! All programs together: brought up in order, watched, started again on request, stopped in the opposite order.

use crate::child::{self, Child};
use crate::guide;
use crate::ports::{Ports, local};
use anyhow::Context as _;
use bytes::Bytes;
use harness::client::{Client, Target};
use harness::house::{self, Part};
use harness::program::find;
use http::Request;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::interval;

/// How often the programs are looked at.
const PERIOD: Duration = Duration::from_millis(200);
/// From the last program's start to the first patient: a debug build seeds its records in it.
const FIRST_PATIENT_MAX: Duration = Duration::from_secs(30);

struct Stage<'a> {
    directory: &'a Path,
    ports: &'a Ports,
    parts: &'a [Part],
    children: Vec<Child>,
}

/// What ends the demo: Ctrl-C, SIGTERM, the end of its terminal.
struct Stop([Signal; 3]);

impl Stop {
    fn new() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Runs the demo until it is asked to stop.
pub(crate) async fn run(directory: &Path, ports: &Ports, parts: &[Part]) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let mut stage = Stage { directory, ports, parts, children: Vec::new() };
    let played = tokio::select! {
        played = stage.play() => played,
        () = stop.asked() => Ok(()),
    };
    say("\nStopping. Once more to stop at once.");
    tokio::select! {
        () = stage.stop() => {}
        // What still runs is killed as the stage is dropped.
        () = stop.asked() => say("killed what still ran"),
    }
    played
}

impl Stage<'_> {
    async fn play(&mut self) -> anyhow::Result<()> {
        let programs = find("aorta-fhir").parent().map(Path::to_owned).unwrap_or_default().canonicalize()?;
        let plan = self.ports.plan();
        house::furnish(self.directory, &programs, &plan)
            .and_then(|()| house::furnish_prometheus(self.directory, &plan))
            .with_context(|| format!("cannot prepare {}", self.directory.display()))?;
        for &part in self.parts {
            let _ = std::fs::remove_file(child::log(part, self.directory));
            self.start(part).await?;
        }
        say(&self.first_patient().await?);
        let children: Vec<_> = self.children.iter().map(|child| (child.part, child.pid())).collect();
        say(&guide::text(self.ports, &children, &shown(self.directory)));
        self.watch().await
    }

    async fn start(&mut self, part: Part) -> anyhow::Result<()> {
        let child = Child::start(part, self.directory, self.ports).await?;
        let [port, _] = self.ports.of(part);
        let pid = child.pid().unwrap_or_default();
        say(&format!("  {:<10} listens on 127.0.0.1:{port:<5} process {pid}", part.name()));
        self.children.push(child);
        Ok(())
    }

    /// Fetches the patient once through the proxy, and says how it went.
    async fn first_patient(&self) -> anyhow::Result<String> {
        let mut client = Client::new(Target::plain(local(self.ports.proxy)));
        let mut last = String::from("no answer");
        let fetched = async {
            let mut ticks = interval(PERIOD);
            loop {
                ticks.tick().await;
                match client.send(Request::get("/").body(Bytes::new())?).await {
                    Ok(reply) if reply.status == 200 => {
                        let region = reply.upstream().to_owned();
                        break Ok(format!(
                            "  patient    fetched through the proxy in {:.0?}, from {region}",
                            reply.took
                        ));
                    }
                    Ok(reply) => last = format!("status {}", reply.status),
                    Err(error) => last = error,
                }
            }
        };
        let result = tokio::time::timeout(FIRST_PATIENT_MAX, fetched).await;
        result.unwrap_or_else(|_| {
            Err(anyhow::anyhow!(
                "no patient came through the proxy: {last}; look into {}",
                self.directory.display()
            ))
        })
    }

    /// Says when a program ends, and starts what has ended when a line is entered.
    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut entered = lines();
        let mut ticks = interval(PERIOD);
        let mut gone: Vec<Part> = Vec::new();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.notice(&mut gone),
                Some(()) = entered.recv() => self.revive(&mut gone).await,
            }
        }
    }

    fn notice(&mut self, gone: &mut Vec<Part>) {
        self.children.retain_mut(|child| {
            let Some(status) = child.ended() else { return true };
            say(&guide::gone(child.part, status, &shown(&child::log(child.part, self.directory))));
            gone.push(child.part);
            false
        });
    }

    async fn revive(&mut self, gone: &mut Vec<Part>) {
        for part in std::mem::take(gone) {
            if let Err(error) = self.start(part).await {
                say(&format!("{error:#}"));
                gone.push(part);
            }
        }
    }

    /// In the opposite order, the regions last: nobody is left without the one he asks.
    async fn stop(&mut self) {
        self.children
            .sort_by_key(|child| std::cmp::Reverse(self.parts.iter().position(|part| *part == child.part)));
        for child in &mut self.children {
            let ended = child.stop().await;
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            say(&format!("  {:<10} ended ({how})", child.part.name()));
        }
        self.children.clear();
    }
}

/// Lines entered at the terminal; none when there is no terminal.
fn lines() -> mpsc::Receiver<()> {
    let (told, lines) = mpsc::channel(1);
    // Reading cannot be given up, so it has a thread that ends with the process.
    std::thread::spawn(move || {
        for _line in io::stdin().lock().lines().map_while(Result::ok) {
            if told.blocking_send(()).is_err() {
                return;
            }
        }
    });
    lines
}

/// A path as short as the reader's own folder makes it.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

/// A closed terminal is no reason to stop in the middle.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
