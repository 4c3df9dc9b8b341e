//! Open-loop load: requests leave at a fixed rate whatever the answers do, so that a stall cannot hide itself.

use crate::client::{Client, Reply, Target};
use crate::eventually;
use bytes::Bytes;
use http::Request;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// What is sent, how fast, over how many connections.
pub struct Plan {
    /// How many requests.
    pub requests: usize,
    /// How many each second.
    pub rate: u32,
    /// How many connections, each one request at a time.
    pub connections: usize,
    /// The request with this number.
    pub make: Arc<dyn Fn(usize) -> Request<Bytes> + Send + Sync>,
}

/// One request and what became of it.
#[derive(Debug)]
pub struct Sample {
    /// Its number.
    pub index: usize,
    /// The whole answer, or what broke.
    pub result: Result<Reply, String>,
    /// From the moment it was due, so that waiting for a connection counts too.
    pub latency: Duration,
}

/// How far a load has come.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    due: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl Progress {
    /// Waits until so many requests were due.
    pub async fn due(&self, count: usize) {
        let look = || (self.due.load(Ordering::Relaxed) >= count).then_some(());
        eventually::found_within(Duration::from_secs(60), "so many requests are due", look).await;
    }

    /// Waits until so many requests were answered.
    pub async fn done(&self, count: usize) {
        let look = || (self.done.load(Ordering::Relaxed) >= count).then_some(());
        eventually::found_within(Duration::from_secs(60), "so many requests are answered", look).await;
    }
}

/// Runs a plan to its end; the samples come in the order of their numbers.
pub async fn run(target: &Target, plan: &Plan, progress: &Progress) -> Vec<Sample> {
    let (queue, waiting) = mpsc::unbounded_channel::<(usize, Instant)>();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut workers = JoinSet::new();
    for _ in 0..plan.connections {
        let (waiting, make) = (Arc::clone(&waiting), Arc::clone(&plan.make));
        let (mut client, done) = (Client::new(target.clone()), Arc::clone(&progress.done));
        workers.spawn(async move {
            let mut samples = Vec::new();
            loop {
                let next = waiting.lock().await.recv().await;
                let Some((index, due)) = next else { return samples };
                let result = client.send(make(index)).await;
                samples.push(Sample { index, result, latency: due.elapsed() });
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let start = Instant::now();
    for index in 0..plan.requests {
        let due = start + Duration::from_secs(1).mul_f64(index as f64 / f64::from(plan.rate));
        tokio::time::sleep_until(due.into()).await;
        progress.due.store(index + 1, Ordering::Relaxed);
        // The workers outlive the queue: they end when it does.
        let _ = queue.send((index, due));
    }
    drop(queue);
    let mut samples: Vec<Sample> = workers.join_all().await.into_iter().flatten().collect();
    samples.sort_by_key(|sample| sample.index);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;
    use crate::upstream::{Speech, Upstream};

    #[tokio::test]
    async fn every_request_leaves_once_at_its_time_and_is_accounted_for() {
        let upstream = Upstream::start("one", Speech::Plain, &Authority::new());
        let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
        let plan = Plan { requests: 200, rate: 1000, connections: 8, make: Arc::new(make) };
        let start = Instant::now();
        let samples = run(&Target::plain(upstream.address()), &plan, &Progress::default()).await;
        assert!(start.elapsed() >= Duration::from_millis(199));
        assert_eq!(samples.len(), 200);
        assert!(samples.iter().all(|sample| sample.result.as_ref().is_ok_and(|reply| reply.status == 200)));
        assert!(samples.windows(2).all(|pair| pair[0].index + 1 == pair[1].index));
        assert_eq!(upstream.count(), 200);
    }
}
