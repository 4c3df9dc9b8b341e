//! The load of a soak: callers who keep their connections, each of whom sends at its own steady pace whatever the answers
//! do, and knows the other proxy for when the first one leaves.

use crate::client::{Client, Target};
use crate::upstream::ledger::MARKER;
use bytes::Bytes;
use http::Request;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// One request in so many creates a record.
const CREATE_EACH: usize = 10;
/// One caller in so many keeps no connection: each of its requests comes on a new one.
const FLEETING_EACH: u32 = 10;
/// Connections that are tried for one request before it counts as lost: both proxies, twice and once more.
const CONNECTIONS_MAX: usize = 5;
/// Losses that are told in words.
const TOLD: usize = 20;

/// What became of all requests so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were due, and made.
    pub sent: u64,
    /// Those that were answered as they should be: 200 to a read, 201 to a create.
    pub answered: u64,
    /// Of them: reads that were sent once more, because a connection ended before their answer began.
    pub resent: u64,
    /// Why, for the first of them.
    pub resent_told: Vec<String>,
    /// Of them: requests for which another connection had to be opened before anything was sent.
    pub moved: u64,
    /// Connections that were kept, found closed between two requests, and opened anew.
    pub reopened: u64,
    /// The others.
    pub lost: u64,
    /// The first of them, in words.
    pub told: Vec<String>,
    /// Creates, by their marker, and whether they were answered.
    pub creates: BTreeMap<String, bool>,
    /// From the moment each was due to its answer, in microseconds.
    pub micros: Vec<u32>,
}

/// Callers who are calling.
pub struct Callers {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Callers {
    /// Lets one caller for each list of targets call at this pace; the first target is asked first.
    #[must_use]
    pub fn start(callers: Vec<Vec<Target>>, pace: Duration) -> Self {
        let (tally, stop) = (Arc::<Mutex<Tally>>::default(), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        let count = u32::try_from(callers.len()).unwrap_or(u32::MAX);
        for (number, targets) in (0..).zip(callers) {
            let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
            let keeps = number % FLEETING_EACH != FLEETING_EACH - 1;
            let caller = Caller { number, targets, at: 0, client: None, keeps };
            // Not all at once.
            let first = tokio::time::Instant::now() + pace * number / count.max(1);
            tasks.spawn(caller.call_on(tally, stop, first, pace));
        }
        Self { tally, stop, tasks }
    }

    /// Requests that were answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        lock(&self.tally).answered
    }

    /// Requests that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        lock(&self.tally).lost
    }

    /// Connections that ended although their callers would have kept them, so far, whatever was done about it.
    #[must_use]
    pub fn torn(&self) -> u64 {
        let tally = lock(&self.tally);
        tally.resent + tally.moved + tally.reopened
    }

    /// Lets each finish what it has begun, and tells what became of everything.
    pub async fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut lock(&self.tally))
    }
}

struct Caller {
    number: u32,
    targets: Vec<Target>,
    at: usize,
    client: Option<Client>,
    keeps: bool,
}

/// What became of one request.
enum Fate {
    Answered { resent: Option<String>, moved: bool, reopened: bool },
    Lost(String),
}

impl Caller {
    async fn call_on(
        mut self,
        tally: Arc<Mutex<Tally>>,
        stop: Arc<AtomicBool>,
        first: tokio::time::Instant,
        pace: Duration,
    ) {
        // What is late stays due, and is caught up on: a stall cannot hide itself.
        let mut turns = tokio::time::interval_at(first, pace);
        for index in 0_usize.. {
            let due = turns.tick().await;
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let creates = index % CREATE_EACH == CREATE_EACH - 1;
            let marker = format!("soak-{}-{index}", self.number);
            if creates {
                lock(&tally).creates.insert(marker.clone(), false);
            }
            let fate = self.call(&request(creates, &marker), creates).await;
            book(&mut lock(&tally), fate, due.into_std(), creates.then_some(marker));
        }
    }

    async fn call(&mut self, request: &Request<Bytes>, creates: bool) -> Fate {
        let (mut resent, mut moved) = (None, false);
        let mut last = String::new();
        for _ in 0..CONNECTIONS_MAX {
            let target = &self.targets[self.at % self.targets.len()];
            let client = self.client.get_or_insert_with(|| Client::new(target.clone()));
            let before = client.connections();
            let broken = match client.attempt(request.clone()).await {
                Ok(reply) if reply.status == if creates { 201 } else { 200 } => {
                    let reopened = before > 0 && client.connections() > before;
                    self.client = self.client.take().filter(|_| self.keeps);
                    return Fate::Answered { resent, moved, reopened };
                }
                Ok(reply) => return Fate::Lost(format!("status {}", reply.status)),
                Err(broken) => broken,
            };
            self.client = None;
            self.at += 1;
            if broken.unsent {
                moved = true;
            } else if broken.unanswered && !creates && resent.is_none() {
                resent = Some(broken.words.clone());
            } else {
                return Fate::Lost(broken.words);
            }
            last = broken.words;
        }
        Fate::Lost(last)
    }
}

fn request(creates: bool, marker: &str) -> Request<Bytes> {
    let request = if creates {
        let body = Bytes::from_static(br#"{"resourceType":"Patient","active":true}"#);
        let post = Request::post("/Patient").header("content-type", "application/fhir+json");
        post.header(MARKER, marker).body(body)
    } else {
        Request::get(format!("/Patient/{marker}")).body(Bytes::new())
    };
    request.expect("a marker fits into a path and a header")
}

fn book(tally: &mut Tally, fate: Fate, due: Instant, create: Option<String>) {
    tally.sent += 1;
    match fate {
        Fate::Answered { resent, moved, reopened } => {
            tally.answered += 1;
            tally.reopened += u64::from(reopened);
            tally.moved += u64::from(moved && resent.is_none());
            if let Some(words) = resent {
                tally.resent += 1;
                if tally.resent_told.len() < TOLD {
                    tally.resent_told.push(words);
                }
            }
            tally.micros.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
            if let Some(marker) = create {
                tally.creates.insert(marker, true);
            }
        }
        Fate::Lost(words) => {
            tally.lost += 1;
            if tally.told.len() < TOLD {
                tally.told.push(format!("{} {words}", if create.is_some() { "create:" } else { "read:" }));
            }
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
