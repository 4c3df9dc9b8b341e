//! A soak: two proxies side by side under steady load, while everything is done to them that an operator does in years.
//!
//! A request is lost that gets no right answer although its caller did what a keep-alive client does: it opens another
//! connection, at the other proxy if need be, when nothing was sent yet, and sends a read once more when a connection
//! ended before its answer began (RFC 9110 section 9.2.2). Reads that needed that are counted apart, and are few. A create
//! is never sent twice. Reloads, certificates and a full disk end no connection at all.

mod callers;
mod instance;
mod report;

pub use callers::{Callers, Tally};
pub use instance::{Instance, Usage};
pub use report::Report;

use crate::authority::Authority;
use crate::eventually;
use crate::setup::Setup;
use crate::upstream::{Speech, Upstream};
use std::time::{Duration, Instant};

/// Between two events so many seconds' worth of the load must have been answered.
const BETWEEN: f64 = 0.25;
/// The longest that anything is waited for under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Callers, each with a connection; one in five speaks TLS, one in ten HTTP/2.
    pub callers: usize,
    /// Requests a second, of all together; each caller sends at least one.
    pub rate: u32,
    /// Seconds of load before the first event, and before the memory is looked at for the last time.
    pub steady: Duration,
    /// At least so many of a hundred requests that are due are made in their time.
    pub rate_min_percent: u32,
    /// A proxy's memory may grow by so much meanwhile.
    pub growth_max_kib: u64,
    /// Seconds for which no file grows.
    pub disk_full: Duration,
    /// Reloads, a good file and a bad one in turn.
    pub reloads: usize,
    /// New certificates, each brought into force by a reload of both proxies.
    pub certificates: usize,
    /// New processes that take over.
    pub upgrades: usize,
    /// Ends by SIGTERM, with a new start.
    pub restarts: usize,
}

impl Plan {
    /// What `make soak` does.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            callers: 100,
            rate: 500,
            steady: Duration::from_secs(20),
            rate_min_percent: 95,
            growth_max_kib: 16 << 10,
            disk_full: Duration::from_secs(10),
            reloads: 100,
            certificates: 20,
            upgrades: 10,
            restarts: 10,
        }
    }

    /// The same in little, for every run of the tests.
    #[must_use]
    pub const fn short() -> Self {
        Self {
            callers: 40,
            rate: 80,
            steady: Duration::from_secs(1),
            // Other tests run beside it.
            rate_min_percent: 60,
            // It is looked at before the process has warmed up.
            growth_max_kib: 40 << 10,
            disk_full: Duration::from_secs(1),
            reloads: 8,
            certificates: 2,
            upgrades: 2,
            restarts: 2,
        }
    }
}

/// Everything that takes part.
struct Stage {
    plan: Plan,
    /// First, so that they end while their upstreams still live.
    proxies: [Instance; 2],
    upstreams: [Upstream; 2],
    /// Its directory holds the certificates that new processes read.
    authority: Authority,
    callers: Callers,
    report: Report,
}

/// Carries a plan out, and says how far it is.
///
/// # Panics
/// When something other than a request is lost: a proxy that does not come up or does not end in order.
pub async fn run(plan: Plan, told: &dyn Fn(&str)) -> Report {
    let mut stage = Stage::set(plan).await;
    let start = Instant::now();
    told(&format!("{} callers send {} requests a second", plan.callers, plan.rate));
    stage.load(plan.steady).await;
    stage.report.start = stage.proxies.each_ref().map(Instance::usage);
    let whole = stage.callers.torn();
    for number in 0..plan.reloads {
        stage.reload(number).await;
        stage.went_on(told, &format!("reload {}", number + 1)).await;
    }
    for number in 0..plan.certificates {
        stage.certify().await;
        stage.went_on(told, &format!("certificate {}", number + 1)).await;
    }
    stage.full_disk(told).await;
    stage.load(plan.steady).await;
    stage.report.torn = stage.callers.torn() - whole;
    stage.report.end = stage.proxies.each_ref().map(Instance::usage);
    for number in 0..plan.upgrades {
        tokio::task::block_in_place(|| stage.proxies[number % 2].upgrade());
        stage.report.upgrades += 1;
        stage.went_on(told, &format!("upgrade {}", number + 1)).await;
    }
    for number in 0..plan.restarts {
        let proxy = &mut stage.proxies[number % 2];
        tokio::task::block_in_place(|| proxy.end());
        proxy.start_again().await;
        stage.report.restarts += 1;
        stage.went_on(told, &format!("restart {}", number + 1)).await;
    }
    stage.close(start).await
}

impl Stage {
    async fn set(plan: Plan) -> Self {
        let authority = Authority::new();
        let files = authority.files("aorta.test");
        let upstreams = ["virginia", "ohio"].map(|name| Upstream::start(name, Speech::Plain, &authority));
        let [virginia, ohio] = &upstreams;
        let setup = Setup::new(&[virginia, ohio]).top("shutdown", "{idle: 2s}").top("log", "{access: all}");
        // A busy machine must not look like a lost region.
        let setup = setup.pool("timeouts", "{connect: 5s, attempt: 10s, request: 20s, idle: 2s}");
        let setup = setup.pool("passive_health", "{latency_factor: 0}");
        // Nothing is reloaded by itself, so that reloads can be counted.
        let setup = setup.top("reload", "{watch: 0s}").top("audit", "{file: audit.jsonl}");
        let yaml = setup.routes("  - {name: ehr, pool: records, audit: open}").yaml();
        let proxies = [Instance::start("a", &yaml, &files).await, Instance::start("b", &yaml, &files).await];
        let mut report = Report {
            rate_wanted: plan.rate,
            rate_min_percent: plan.rate_min_percent,
            growth_max_kib: plan.growth_max_kib,
            callers: plan.callers,
            ..Report::default()
        };
        report.files_at_rest = proxies.each_ref().map(|proxy| proxy.usage().files);
        let targets = |number: usize| {
            let target = |proxy: &Instance| match number % 10 {
                0 => proxy.secure(&authority, true),
                1 | 2 => proxy.secure(&authority, false),
                _ => proxy.plain(),
            };
            let mut targets = proxies.iter().map(target).collect::<Vec<_>>();
            targets.rotate_left(number % 2);
            targets
        };
        let pace = Duration::from_secs(1).mul_f64(plan.callers as f64 / f64::from(plan.rate));
        assert!(pace <= Duration::from_secs(1), "each caller sends at least once a second");
        let callers = Callers::start((0..plan.callers).map(targets).collect(), pace);
        Self { plan, proxies, upstreams, authority, callers, report }
    }

    /// Waits until so much of the load was answered.
    async fn load(&self, time: Duration) {
        let before = self.callers.answered();
        let wanted = before + (time.as_secs_f64() * f64::from(self.plan.rate)) as u64;
        let look = || {
            // What was seen would fill the memory; what took effect is counted at the end.
            self.upstreams.iter().for_each(|upstream| upstream.ledger().forget());
            (self.callers.answered() + self.callers.lost() >= wanted).then_some(())
        };
        eventually::found_within(PATIENCE + time * 2, "the load goes on", look).await;
    }

    async fn went_on(&self, told: &dyn Fn(&str), event: &str) {
        self.load(Duration::from_secs_f64(BETWEEN)).await;
        told(&format!("{event}: {} answered, {} lost", self.callers.answered(), self.callers.lost()));
    }

    /// A good file and a bad one in turn, each for both proxies, one after the other.
    async fn reload(&mut self, number: usize) {
        let proxy = &self.proxies[number % 2];
        let (turn, is_good) = (number / 2, (number / 2).is_multiple_of(2));
        let weight = format!("name: virginia, weight: {}", 2 + turn % 3);
        proxy.write(|good| match is_good {
            true => good.replace("name: virginia", &weight),
            false => good.replace("pool: records", "pool: nobody"),
        });
        let status = proxy.reload().await;
        assert_eq!(status, if is_good { 200 } else { 422 }, "reload {number}");
        proxy.write(str::to_owned);
        self.report.reloads += 1;
    }

    async fn certify(&mut self) {
        let files = self.authority.files("aorta.test");
        for proxy in &self.proxies {
            assert_eq!(proxy.reload().await, 200);
            assert!(
                proxy.bears(&self.authority, &files).await,
                "the next handshake shows the new certificate"
            );
        }
        self.report.certificates += 1;
    }

    async fn full_disk(&mut self, told: &dyn Fn(&str)) {
        let lost = |proxy: &Instance| proxy.metrics().count("aorta_access_log_lines_lost_total", &[]);
        self.proxies.iter().for_each(Instance::fill_disk);
        self.load(self.plan.disk_full).await;
        self.report.lines_lost = self.proxies.iter().map(lost).sum();
        let lost = |proxy: &Instance| proxy.metrics().count("aorta_audit_lost_total", &[]);
        self.report.entries_lost = self.proxies.iter().map(lost).sum();
        let full = self.proxies.each_ref().map(Instance::log_bytes);
        self.proxies.iter().for_each(Instance::clear_disk);
        let grown = || {
            let grows = |(proxy, full): (&Instance, &u64)| proxy.log_bytes() > *full;
            self.proxies.iter().zip(&full).all(grows).then_some(())
        };
        eventually::found("lines are written again", grown).await;
        self.report.full_disks += 1;
        self.went_on(told, "full disk").await;
    }

    async fn close(self, start: Instant) -> Report {
        let Self { proxies, upstreams, callers, mut report, authority: _authority, .. } = self;
        report.seconds = start.elapsed().as_secs_f64();
        let tally = callers.stop().await;
        let mut executed = std::collections::BTreeMap::new();
        for upstream in upstreams.iter() {
            for (marker, times) in &upstream.ledger().executed {
                *executed.entry(marker.clone()).or_insert(0_u32) += times;
            }
        }
        report.take(&tally, &executed);
        // Connections to upstreams are closed two seconds after their last request.
        let at_rest = || {
            let files = proxies.each_ref().map(|proxy| proxy.usage().files);
            files.iter().zip(&report.files_at_rest).all(|(now, then)| now <= then).then_some(files)
        };
        let look =
            tokio::time::timeout(Duration::from_secs(20), eventually::found("files are closed", at_rest));
        let files = look.await.ok();
        report.files_at_end = files.unwrap_or_else(|| proxies.each_ref().map(|proxy| proxy.usage().files));
        tokio::task::block_in_place(|| proxies.iter().for_each(Instance::end));
        report.audit_wrong = proxies.iter().filter_map(|proxy| proxy.judge_audit().err()).collect();
        report
    }
}
