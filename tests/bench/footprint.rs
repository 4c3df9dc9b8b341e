//! Memory: of each proxy at rest, and for each idle client connection. And time: of a reload of many upstreams.

use crate::figures::table;
use crate::peers::{Contender, Field};
use crate::proxy::{Proxy, Work};
use crate::report::{Promise, Report};
use crate::run_time::family;
use crate::stage::Stage;
use crate::upstreams::Upstreams;
use anyhow::{Context as _, ensure};
use harness::client::{Client, Target};
use harness::setup::many;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

const CONTENDERS: [Contender; 5] =
    [Contender::Aorta, Contender::Nginx, Contender::Haproxy, Contender::Envoy, Contender::Caddy];
/// What is promised of Aorta.
const REST_MIB_MAX: f64 = 30.0;
const IDLE_KIB_MAX: f64 = 12.0;
/// Below the usual limit of 1,024 open files.
const CONNECTIONS: usize = 800;
/// Requests of each of the first connections: together more than Aorta remembers.
const WARM_UP: usize = 4;

/// Measures and reports.
pub(crate) async fn measure(stage: &Stage, field: &Field, report: &mut Report) -> anyhow::Result<()> {
    let upstreams = Upstreams::start(stage).await?;
    let mut rows = vec![["memory", "at rest, MiB", "idle connection, KiB"].map(ToOwned::to_owned).to_vec()];
    let mut raw = Vec::new();
    for contender in field.of_those(&CONTENDERS) {
        report.hint(&format!("memory, {}", contender.name()))?;
        let work = Work::Cost { tls: true };
        let proxy = Proxy::start(contender, work, upstreams.addresses(true), stage).await?;
        let rest = kibibytes(proxy.child.pid())?;
        let mut clients: Vec<Client> =
            (0..CONNECTIONS).map(|_| Client::new(Target::plain(proxy.address))).collect();
        // What the first requests make is not an idle connection's: buffers, connections to upstreams, what is
        // remembered of the last requests.
        for client in &mut clients[..CONNECTIONS / 4] {
            for _ in 0..WARM_UP {
                client.get("/Patient/1").await;
            }
        }
        let few = kibibytes(proxy.child.pid())?;
        for client in &mut clients[CONNECTIONS / 4..] {
            client.get("/Patient/1").await;
        }
        let many = kibibytes(proxy.child.pid())?;
        let each = (many - few) / (CONNECTIONS - CONNECTIONS / 4) as f64;
        if contender == Contender::Aorta {
            promises(rest / 1024.0, each).into_iter().for_each(|promise| report.promise(promise));
        }
        rows.push(vec![contender.name().to_owned(), format!("{:.1}", rest / 1024.0), format!("{each:.1}")]);
        raw.push(json!({"contender": contender.name(), "rest_kib": rest, "idle_connection_kib": each}));
    }
    report.say(&format!(
        "## Memory\n\nShare of memory (Pss) of all processes of the proxy after its start; and what each of {} more \
         kept-alive client connections adds once it has had one answer. Kernel buffers not included.\n",
        CONNECTIONS - CONNECTIONS / 4
    ))?;
    report.readme(&table(&rows));
    report.say(&table(&rows))?;
    report.keep("memory", json!(raw));
    reload(report).await
}

/// Upstreams that are reloaded, and how often.
const UPSTREAMS: usize = 1_000;
const RELOADS: u32 = 21;
const RELOAD_MS_MAX: f64 = 100.0;

/// How long a reload of many upstreams takes, from the order to its answer.
async fn reload(report: &mut Report) -> anyhow::Result<()> {
    report.hint(&format!("reload of {UPSTREAMS} upstreams"))?;
    // Nobody is asked.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let proxy = harness::proxy::Proxy::start_with(&many(UPSTREAMS, nowhere), &[]).await;
    let text = std::fs::read_to_string(proxy.file())?;
    let admin = Target { host: proxy.admin().to_string(), ..Target::plain(proxy.admin()) };
    let mut client = Client::new(admin);
    let (mut stays, mut comes) = (Vec::new(), Vec::new());
    for (what, took) in [("weight: 1", &mut stays), ("region-", &mut comes)] {
        for round in 0..RELOADS {
            let with =
                if what == "region-" { format!("r{round}-") } else { format!("weight: {}", round + 2) };
            std::fs::write(proxy.file(), text.replace(what, &with))?;
            let reply = client.post("/api/reload", "").await;
            ensure!(reply.status == 200, "the reload is refused: {}", String::from_utf8_lossy(&reply.body));
            took.push(reply.took);
            // The series of what is gone are taken out before this is answered, so the next reload meets nothing of it.
            client.get("/metrics").await;
        }
    }
    let median = |took: &mut Vec<Duration>| {
        took.sort();
        took[took.len() / 2].as_secs_f64() * 1e3
    };
    let (stays, comes) = (median(&mut stays), median(&mut comes));
    report.say(&format!(
        "## Reload\n\nFrom `POST /api/reload` to its answer, of {UPSTREAMS} upstreams in one pool, the median of {RELOADS}: \
         {stays:.0} ms where every upstream changes its weight, {comes:.0} ms where every one is replaced by another.\n"
    ))?;
    report.keep("reload", json!({"upstreams": UPSTREAMS, "changed_ms": stays, "replaced_ms": comes}));
    report.promise(Promise {
        says: format!("a reload of {UPSTREAMS} upstreams takes less than {RELOAD_MS_MAX} ms"),
        seen: format!("{stays:.0} ms changed, {comes:.0} ms replaced"),
        kept: stays.max(comes) < RELOAD_MS_MAX,
    });
    Ok(())
}

fn promises(rest: f64, idle: f64) -> [Promise; 2] {
    [
        Promise {
            says: format!("at rest the proxy takes less than {REST_MIB_MAX} MiB"),
            seen: format!("{rest:.1} MiB"),
            kept: rest < REST_MIB_MAX,
        },
        Promise {
            says: format!("an idle client connection takes less than {IDLE_KIB_MAX} KiB"),
            seen: format!("{idle:.1} KiB"),
            kept: idle < IDLE_KIB_MAX,
        },
    ]
}

/// The proportional set size: pages that several processes share count once.
fn kibibytes(pid: u32) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for pid in family(pid)? {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("a Pss line")?;
        sum += line.trim().trim_end_matches(" kB").parse::<f64>()?;
    }
    Ok(sum)
}
