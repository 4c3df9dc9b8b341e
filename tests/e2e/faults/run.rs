//! One fault, run through.

use crate::world::{World, alone};
use bytes::Bytes;
use harness::client::{Reply, Target};
use harness::eventually;
use harness::load::{self, Plan, Progress, Sample};
use harness::upstream::Speech;
use harness::upstream::answer::record;
use harness::upstream::ledger::{MARKER, hash};
use harness::upstream::script::{Behaviour, Door, Order};
use http::Request;
use std::sync::Arc;
use std::time::Instant;

/// How a fault is brought about in Virginia.
pub(crate) enum Show {
    /// Nobody listens; every connection is cut.
    Refuse,
    /// The gateway refuses before the function ran.
    Refusal(Order),
    /// The answer is spoilt after the function ran: the worst moment for whoever repeats.
    Spoil(Behaviour),
    /// The process is stopped.
    Freeze,
    /// The listener itself misbehaves; what was connected is cut first.
    Door(Door),
}

/// What clients speak.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Down {
    Http1,
    Http2,
}

const READS: usize = 1000;
const READS_PER_SECOND: u32 = 200;
const CREATES: usize = 100;
const CREATES_PER_SECOND: u32 = 20;
const CONNECTIONS: usize = 32;
const CREATE_CONNECTIONS: usize = 4;
/// The fault comes when a quarter of the reads is out, and goes when seven tenths are.
const COMES: usize = READS / 4;
const GOES: usize = READS * 7 / 10;

impl Show {
    async fn come(&self, world: &World) {
        let virginia = &world.virginia;
        match self {
            Self::Refuse => virginia.refuse().await,
            Self::Refusal(order) => virginia.obey(order.clone()),
            Self::Spoil(behaviour) => virginia.obey(Order::after(behaviour.clone())),
            Self::Freeze => virginia.freeze(),
            Self::Door(door) => {
                virginia.refuse().await;
                virginia.door(*door);
                virginia.listen();
            }
        }
    }

    /// The region said no before anything was executed.
    const fn refuses_before_execution(&self) -> bool {
        matches!(self, Self::Refuse | Self::Refusal(_))
    }
}

/// Runs reads and creates through two regions of which one shows a fault for a while, and checks every promise.
pub(crate) async fn survive(show: Show, up: Speech, down: Down) {
    let _turn = alone().await;
    let world = World::with(up, |setup, authority| match down {
        Down::Http1 => setup,
        Down::Http2 => setup.tls(&authority.files("aorta.test")),
    })
    .await;
    let target = match down {
        Down::Http1 => world.proxy.target(),
        Down::Http2 => world.proxy.tls_target(&world.authority, true),
    };
    let (progress, unwatched, start) = (Progress::default(), Progress::default(), Instant::now());
    let script = async {
        progress.due(COMES).await;
        show.come(&world).await;
        progress.due(GOES).await;
        world.virginia.heal();
    };
    let (reads, creates) = (reads(), creates());
    let (reads, creates, ()) = tokio::join!(
        load::run(&target, &reads, &progress),
        load::run(&target, &creates, &unwatched),
        script,
    );
    let seconds = start.elapsed().as_secs_f64();
    no_read_is_lost(&reads);
    rescued_some(&reads);
    creates_are_executed_once(&world, &show, &creates);
    attempts_stay_within_the_budget(&world, seconds).await;
    recovers(&world, target).await;
}

fn reads() -> Plan {
    let make = |index: usize| {
        let request = Request::get(format!("/Patient/{index}")).header("accept", "application/fhir+json");
        request.header("x-api-key", format!("client-{}", index % 3)).body(Bytes::new()).unwrap()
    };
    Plan { requests: READS, rate: READS_PER_SECOND, connections: CONNECTIONS, make: Arc::new(make) }
}

fn marker(index: usize) -> String {
    format!("create-{index}")
}

fn creates() -> Plan {
    let make = |index: usize| {
        let request = Request::post("/Patient").header("content-type", "application/fhir+json");
        let request = request.header(MARKER, marker(index)).header("x-api-key", "client-0");
        request.body(Bytes::from(r#"{"resourceType":"Patient"}"#)).unwrap()
    };
    Plan {
        requests: CREATES,
        rate: CREATES_PER_SECOND,
        connections: CREATE_CONNECTIONS,
        make: Arc::new(make),
    }
}

fn no_read_is_lost(samples: &[Sample]) {
    let complaint = |sample: &Sample| match &sample.result {
        Err(error) => Some(format!("read {}: {error}", sample.index)),
        Ok(reply) if reply.status != 200 => Some(format!("read {}: {}", sample.index, told(reply))),
        Ok(reply) if reply.hash() != hash(&record(&sample.index.to_string())) => {
            Some(format!("read {}: the wrong body", sample.index))
        }
        Ok(reply) if reply.attempts() > 3 => Some(format!("read {}: too many attempts", sample.index)),
        Ok(_) => None,
    };
    let lost: Vec<_> = samples.iter().filter_map(complaint).collect();
    assert_eq!(samples.len(), READS);
    assert!(
        lost.is_empty(),
        "{} of {READS} reads were lost:\n{}",
        lost.len(),
        lost[..lost.len().min(8)].join("\n")
    );
}

fn told(reply: &Reply) -> String {
    let body = String::from_utf8_lossy(&reply.body);
    format!("{} after {} attempts, {:?}: {body}", reply.status, reply.attempts(), reply.took)
}

/// Otherwise the fault never showed, and the run proved nothing.
fn rescued_some(samples: &[Sample]) {
    let rescued = samples.iter().filter_map(|sample| sample.result.as_ref().ok());
    assert!(rescued.filter(|reply| reply.attempts() > 1).count() > 0, "no read needed a second attempt");
}

fn creates_are_executed_once(world: &World, show: &Show, samples: &[Sample]) {
    for sample in samples {
        let executed = world.executed(&marker(sample.index));
        assert!(executed <= 1, "create {} was executed {executed} times", sample.index);
        let reply = sample.result.as_ref();
        let reply = reply.unwrap_or_else(|error| panic!("create {} got no answer: {error}", sample.index));
        if show.refuses_before_execution() && began_during_the_fault(sample) {
            assert_eq!((reply.status, executed), (201, 1), "create {}: {}", sample.index, told(reply));
        } else if reply.status == 201 {
            assert_eq!(executed, 1, "create {} was confirmed and not executed", sample.index);
        }
    }
}

/// A create that was on the way when its connection was cut may have been executed: nobody can know.
fn began_during_the_fault(sample: &Sample) -> bool {
    sample.index > CREATES * COMES / READS + CREATE_CONNECTIONS
}

/// Rule 3: a move away from an upstream that was just ejected, or that got nothing, is free; all others are paid.
async fn attempts_stay_within_the_budget(world: &World, seconds: f64) {
    let lines = world.proxy.access(READS + CREATES).await;
    let classes: Vec<_> = lines.iter().map(harness::log::classes).collect();
    let repeated = |classes: &Vec<String>| classes.len().saturating_sub(1);
    let retries: usize = classes.iter().map(repeated).sum();
    let unsent = |classes: &Vec<String>| {
        classes.iter().take(repeated(classes)).filter(|class| *class == "transport_unsent").count()
    };
    let unsent: usize = classes.iter().map(unsent).sum();
    let in_flight_at_ejections = world.proxy.ejections() * (CONNECTIONS + CREATE_CONNECTIONS) as u64;
    let paid = 20.0 + 0.2 * (READS + CREATES) as f64 + 3.0 * seconds;
    let allowed = paid + unsent as f64 + in_flight_at_ejections as f64;
    assert!(retries as f64 <= allowed, "{retries} retries, allowed {allowed}");
    assert!(classes.iter().all(|classes| classes.len() <= 3), "more than attempts_max");
}

async fn recovers(world: &World, target: Target) {
    world.served_by(target, "virginia", 3).await;
    let state = || world.proxy.state_of("virginia");
    eventually::equal("Virginia's state after the fault", "healthy".to_owned(), state).await;
}
