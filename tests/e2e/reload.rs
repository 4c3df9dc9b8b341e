//! A reload: the file, its certificates and its secrets take effect while requests are under way, and none is lost.

use crate::world::{World, alone};
use harness::client::{Client, Reply, Target};
use harness::eventually;
use harness::metrics::get;
use harness::program::find;
use harness::setup::{Setup, entry};
use harness::upstream::script::{Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Nothing happens by itself.
pub(crate) const BY_HAND: (&str, &str) = ("reload", "{watch: 0s}");

impl World {
    async fn by_hand() -> Self {
        Self::with(Speech::Http1, |setup, _| setup.top(BY_HAND.0, BY_HAND.1)).await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.proxy.file()).unwrap()
    }

    /// Changes the file, and nothing else.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "no {from} in {text}");
        self.write(&text.replacen(from, to, 1));
    }

    fn write(&self, text: &str) {
        std::fs::write(self.proxy.file(), text).unwrap();
    }

    async fn reload(&self) -> Reply {
        let admin = self.proxy.admin();
        let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
        client.post("/api/reload", "").await
    }

    pub(crate) async fn reloads(&self) {
        let reply = self.reload().await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    }

    fn config(&self) -> Value {
        serde_json::from_str(&get(self.proxy.admin(), "/api/config").unwrap()).unwrap()
    }

    fn generation(&self) -> u64 {
        self.proxy.metrics().count("aorta_config_generation", &[])
    }

    /// Adds an upstream to the file.
    fn add(&self, upstream: &Upstream) {
        let text = self.text();
        self.write(&format!("{text}      - {{{}}}\n", entry(upstream, "/Server3")));
    }

    /// Takes one out of it.
    pub(crate) fn remove(&self, upstream: &Upstream) {
        let named = format!("name: {}", upstream.name());
        let without: Vec<_> =
            self.text().lines().filter(|line| !line.contains(&named)).map(str::to_owned).collect();
        self.write(&(without.join("\n") + "\n"));
    }
}

/// Reads, ten times a second, until told to stop; counts what was sent, what was not answered with 200, and the
/// connections that it took.
pub(crate) fn reader(
    client: Client,
    stop: &Arc<AtomicBool>,
) -> tokio::task::JoinHandle<(usize, Vec<String>, usize)> {
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        let (mut client, mut sent, mut lost) = (client, 0, Vec::new());
        let mut turns = tokio::time::interval(Duration::from_millis(100));
        while !stop.load(Ordering::Relaxed) {
            turns.tick().await;
            sent += 1;
            let request = || http::Request::get("/Patient/1").body(bytes::Bytes::new()).unwrap();
            let mut came = client.attempt(request()).await;
            if came.as_ref().is_err_and(|broken| broken.unsent) {
                // Closed between two requests: the next goes out on another connection, which is counted.
                came = client.attempt(request()).await;
            }
            match came {
                Ok(reply) if reply.status == 200 => {}
                Ok(reply) => lost.push(format!("status {}", reply.status)),
                Err(broken) => lost.push(broken.words),
            }
        }
        (sent, lost, client.connections())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_good_and_bad_in_turn_lose_no_request_and_end_no_connection() {
    let _alone = alone().await;
    let world = World::with(Speech::Http1, |setup, authority| {
        setup.tls(&authority.files("aorta.test")).top(BY_HAND.0, BY_HAND.1)
    })
    .await;
    let third = Upstream::start("oregon", Speech::Http1, &world.authority);
    let stop = Arc::new(AtomicBool::new(false));
    let clients = (0..12).map(|index| world.proxy.tls_target(&world.authority, index % 3 == 0));
    let readers: Vec<_> = clients.map(|target| reader(Client::new(target), &stop)).collect();
    let good = world.text();
    for round in 0..25 {
        let before = world.seen();
        eventually::found("the load goes on", || (world.seen() > before + 10).then_some(())).await;
        world.add(&third);
        world.reloads().await;
        let before = world.seen();
        eventually::found("the load goes on", || (world.seen() > before + 10).then_some(())).await;
        world.write("listeners: [");
        assert_eq!(world.reload().await.status, 422);
        world.write(&good.replace("slow_start: 0s", &format!("slow_start: {round}s")));
        // Another certificate for the same name.
        let _ = world.authority.files("aorta.test");
        world.reloads().await;
        world.write(&good.replace("pool: records", "pool: nobody"));
        assert_eq!(world.reload().await.status, 422);
        world.write(&good);
    }
    assert_eq!(world.generation(), 51);
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let (sent, lost, connections) = reader.await.unwrap();
        assert!(sent > 10 && lost.is_empty(), "of {sent}: {lost:?}\n{}", world.proxy.program.said());
        assert_eq!(connections, 1, "nobody had to connect anew");
    }
    assert!(third.count() > 0, "who came was asked");
}

#[tokio::test]
async fn an_ejection_survives_a_reload_and_so_does_its_length() {
    let world = World::with(Speech::Http1, |setup, _| {
        setup.top(BY_HAND.0, BY_HAND.1).pool("passive_health", "{ejection: 60s, ejection_max: 60s}")
    })
    .await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    let mut client = world.client();
    for _ in 0..8 {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
    world.virginia.heal();
    let seen = world.virginia.count();
    world.edit("slow_start: 0s", "slow_start: 9s");
    world.reloads().await;
    assert_eq!((world.proxy.state_of("virginia"), world.proxy.ejections()), ("ejected".to_owned(), 1));
    for _ in 0..8 {
        assert_eq!(client.get("/Patient/1").await.upstream(), "ohio");
    }
    assert_eq!(world.virginia.count(), seen, "it is still out");
}

#[tokio::test]
async fn an_upstream_that_goes_finishes_what_is_in_flight_and_leaves_no_series() {
    let long = |setup: Setup| setup.pool("timeouts", "{attempt: 20s, request: 20s}");
    let world = World::with(Speech::Http1, |setup, _| long(setup).top(BY_HAND.0, BY_HAND.1)).await;
    world.virginia.obey(Order::before(Behaviour::Slow(Duration::from_millis(700))));
    let mut client = world.client();
    let read = tokio::spawn(async move { client.get("/Patient/1").await });
    eventually::equal("it is at virginia", 1, || world.virginia.count()).await;
    world.remove(&world.virginia);
    world.reloads().await;
    for _ in 0..4 {
        assert_eq!(world.client().get("/Patient/2").await.upstream(), "ohio", "nobody new goes there");
    }
    let state = [("upstream", "virginia")];
    assert!(!world.proxy.metrics().has("aorta_upstream_state", &state), "what it is now is nothing");
    let reply = read.await.unwrap();
    assert_eq!((reply.status, reply.upstream()), (200, "virginia"));
    let gone = || {
        let metrics = world.proxy.metrics();
        let is_named = |label: &String| label == "virginia";
        (!metrics.series.iter().any(|series| series.labels.values().any(is_named))).then_some(())
    };
    eventually::found("its series are gone", gone).await;
}

#[tokio::test]
async fn an_upstream_that_comes_is_asked_at_once() {
    let world = World::by_hand().await;
    let oregon = Upstream::start("oregon", Speech::Http1, &world.authority);
    world.add(&oregon);
    world.reloads().await;
    assert_eq!(world.proxy.state_of("oregon"), "healthy");
    let mut client = world.client();
    for _ in 0..6 {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    assert_eq!(oregon.count(), 2, "its third of six");
    let attempts = [("upstream", "oregon"), ("class", "answered")];
    world.proxy.access(6).await;
    assert_eq!(world.proxy.metrics().count("aorta_upstream_attempts_total", &attempts), 2);
}

#[tokio::test]
async fn who_waits_while_its_upstream_goes_is_served_by_one_that_came() {
    let world = World::by_hand().await;
    for region in [&world.virginia, &world.ohio] {
        region.obey(Order::before(Behaviour::Hang));
    }
    let mut client = world.client();
    let read = tokio::spawn(async move { client.get("/Patient/1").await });
    eventually::equal("it is somewhere", 1, || world.seen()).await;
    let oregon = Upstream::start("oregon", Speech::Http1, &world.authority);
    world.add(&oregon);
    world.remove(&world.virginia);
    world.remove(&world.ohio);
    world.reloads().await;
    let reply = read.await.unwrap();
    assert_eq!((reply.status, reply.upstream(), reply.attempts()), (200, "oregon", 2));
}

#[tokio::test]
async fn connections_of_an_upstream_that_does_not_move_are_kept() {
    let world = World::by_hand().await;
    let mut client = world.client();
    for _ in 0..4 {
        client.get("/Patient/1").await;
    }
    let connections = || world.virginia.ledger().connections;
    let before = connections();
    world.edit("attempt: 1s", "attempt: 2s");
    world.reloads().await;
    for _ in 0..4 {
        client.get("/Patient/1").await;
    }
    assert_eq!(connections(), before);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why_everywhere() {
    let world = World::by_hand().await;
    world.edit("attempt: 1s", "attempt: never");
    let reply = world.reload().await;
    assert_eq!(reply.status, 422);
    let problem = reply.json()["problems"][0].as_str().unwrap().to_owned();
    assert!(problem.contains("pools.records.timeouts.attempt: `never` is no whole number"), "{problem}");
    assert_eq!(world.client().get("/Patient/1").await.status, 200);
    let config = world.config();
    assert_eq!((&config["generation"], &config["last_reload"]["ok"]), (&1.into(), &false.into()), "{config}");
    assert_eq!(config["last_reload"]["problems"][0].as_str(), Some(problem.as_str()));
    let metrics = world.proxy.metrics();
    assert_eq!(metrics.count("aorta_config_last_reload_successful", &[]), 0);
    let failed = [("cause", "admin"), ("result", "failed")];
    assert_eq!(metrics.count("aorta_config_reloads_total", &failed), 1);
    let logged =
        || world.proxy.program.err().iter().any(|line| line.contains("timeouts.attempt")).then_some(());
    eventually::found("the log says it", logged).await;
    world.edit("attempt: never", "attempt: 2s");
    world.reloads().await;
    assert_eq!(world.proxy.metrics().count("aorta_config_last_reload_successful", &[]), 1);
    assert_eq!(world.config()["last_reload"]["ok"], true);
}

#[tokio::test]
async fn a_hang_up_signal_reloads_and_ends_nothing() {
    let world = World::by_hand().await;
    world.edit("reveal_upstream: name", "reveal_upstream: off");
    world.proxy.program.signal(Signal::SIGHUP);
    eventually::equal("it is reloaded", 2, || world.generation()).await;
    let reply = world.client().get("/Patient/1").await;
    assert_eq!((reply.status, reply.upstream()), (200, ""));
}

#[tokio::test]
async fn a_changed_file_takes_effect_by_itself_once_it_is_good() {
    let world = World::with(Speech::Http1, |setup, _| setup.top("reload", "{watch: 50ms}")).await;
    let good = world.text();
    world.write(&good[..good.len() / 2]);
    let failed = [("cause", "watch"), ("result", "failed")];
    let failures = || world.proxy.metrics().count("aorta_config_reloads_total", &failed);
    eventually::equal("half a file is refused once", 1, failures).await;
    world.write(&good.replace("reveal_upstream: name", "reveal_upstream: off"));
    eventually::equal("the whole one is taken", 2, || world.generation()).await;
    assert_eq!(world.client().get("/Patient/1").await.upstream(), "");
    assert_eq!(failures(), 1, "a bad file is not tried again and again");
    // What it names is watched too, and who reloads by hand is not outdone.
    world.reloads().await;
    assert_eq!(world.generation(), 3);
}

#[tokio::test]
async fn a_secret_is_read_again_when_its_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "one").unwrap();
    let headers = format!("headers: {{x-api-key: {{file: {}}}}}", file.display());
    let world = World::with(Speech::Http1, |setup, _| {
        setup.top("reload", "{watch: 50ms}").upstream(0, &headers).upstream(1, &headers)
    })
    .await;
    let key = |world: &World| {
        let seen = if world.virginia.count() > world.ohio.count() { &world.virginia } else { &world.ohio };
        seen.last().header("x-api-key").unwrap_or_default().to_owned()
    };
    world.client().get("/Patient/1").await;
    assert_eq!(key(&world), "one");
    std::fs::write(&file, "another").unwrap();
    eventually::equal("it is read", 2, || world.generation()).await;
    world.client().get("/Patient/1").await;
    world.client().get("/Patient/1").await;
    world.client().get("/Patient/1").await;
    assert_eq!(key(&world), "another");
    let config = world.config().to_string();
    assert!(!config.contains("another") && !world.proxy.program.said().contains("another"));
}

#[tokio::test]
async fn a_certificate_is_read_again_for_the_next_handshake() {
    let world = World::with(Speech::Http1, |setup, authority| {
        setup.tls(&authority.files("aorta.test")).top(BY_HAND.0, BY_HAND.1)
    })
    .await;
    let mut old = Client::new(world.proxy.tls_target(&world.authority, false));
    assert_eq!(old.get("/Patient/1").await.status, 200);
    // For a name that no client here asks for: whoever connects anew finds out.
    let strange = world.authority.files("other.test");
    let files = world.authority.files("aorta.test");
    std::fs::copy(strange.certificate, files.certificate).unwrap();
    std::fs::copy(strange.private_key, files.private_key).unwrap();
    world.reloads().await;
    assert_eq!(old.get("/Patient/1").await.status, 200, "a connection that stands is left alone");
    let mut new = Client::new(world.proxy.tls_target(&world.authority, false));
    let request = http::Request::get("/Patient/1").body(bytes::Bytes::new()).unwrap();
    assert!(new.send(request).await.is_err(), "the new certificate bears another name");
}

#[tokio::test]
async fn a_key_that_needs_a_restart_is_named_and_the_rest_is_taken() {
    let world = World::by_hand().await;
    world.edit("reveal_upstream: name", "reveal_upstream: off");
    let more = format!("{}buffers: {{total: 100MiB}}\n", world.text());
    world.write(&more);
    let reply = world.reload().await.json();
    assert_eq!(reply["waits_for_restart"], serde_json::json!(["buffers.total"]), "{reply}");
    assert_eq!(world.client().get("/Patient/1").await.upstream(), "", "the rest is in force");
    let metrics = world.proxy.metrics();
    assert_eq!(metrics.count("aorta_config_keys_waiting_for_restart", &[]), 1);
    assert_eq!(metrics.count("aorta_buffers_size_bytes", &[]), 256 << 20);
    world.write(&more.replace("100MiB", "256MiB"));
    world.reloads().await;
    assert_eq!(world.proxy.metrics().count("aorta_config_keys_waiting_for_restart", &[]), 0);
}

#[tokio::test]
async fn a_preview_says_what_comes_goes_changes_and_what_is_kept() {
    let world = World::by_hand().await;
    let url = format!("http://{}", world.proxy.admin());
    let preview = || {
        let mut command = Command::new(find("aorta-proxy"));
        let output = command.args(["check", "--diff", &url, "--config"]).arg(world.proxy.file()).output();
        let output = output.expect("the proxy's program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(preview().ends_with("\nnothing changes\n"), "{}", preview());
    let oregon = Upstream::start("oregon", Speech::Http1, &world.authority);
    world.add(&oregon);
    world.remove(&world.virginia);
    world.edit("/Server2", "/Server9");
    world.edit("attempt: 1s", "attempt: 1500ms");
    world.write(&format!("{}buffers: {{total: 100MiB}}\n", world.text()));
    let said = preview();
    for line in [
        "+ pools.records.upstreams[oregon]: comes; it is healthy and at its whole weight at once",
        "- pools.records.upstreams[virginia]: goes; what is in flight finishes, its health and its series are forgotten",
        "~ pools.records.upstreams[ohio]: url; keeps its health (healthy), connects anew and 0 in flight",
        "~ pools.records: timeouts.attempt; keeps its budgets, its queue and the health of its upstreams",
        "~ buffers: total (waits for a restart)",
    ] {
        assert!(said.lines().any(|other| other == line), "no {line} in\n{said}");
    }
    assert_eq!(world.generation(), 1, "it only looked");
}

#[tokio::test]
async fn checks_follow_the_configuration() {
    let world = World::by_hand().await;
    assert!(world.proxy.metrics().has("aorta_upstream_check_up", &[]));
    world.edit("timeout: 1s, interval: 1h", "timeout: 100ms, interval: 100ms");
    world.reloads().await;
    let checks = || world.proxy.metrics().count("aorta_upstream_checks_total", &[("result", "passed")]);
    eventually::found("checks come often now", || (checks() > 4).then_some(())).await;
    world.edit("active_health: {path: /metadata, timeout: 100ms, interval: 100ms}", "write_affinity: 0s");
    world.reloads().await;
    assert!(!world.proxy.metrics().has("aorta_upstream_check_up", &[]), "nobody checks any more");
}
