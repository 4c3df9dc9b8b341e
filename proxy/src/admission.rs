//! A pool's places: taken, waited for, and given back whatever happens to the request that has one.

use aorta_core::admission::{Admission, Arrival, Concurrency, Priority, Shed, Ticket};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The places of one pool.
#[derive(Debug)]
pub struct Places {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    admission: Admission,
    queue_timeout: Duration,
    /// How those who wait are called; one that is dropped without a call was displaced.
    calls: HashMap<Ticket, oneshot::Sender<()>>,
}

impl State {
    /// Tells one that waits that it has a place; false when it is gone.
    fn call(&mut self, next: &Ticket) -> bool {
        self.calls.remove(next).is_some_and(|call| call.send(()).is_ok())
    }
}

/// A place that is taken; dropping it gives it to whoever is next.
#[derive(Debug)]
pub struct Place<'p>(&'p Places);

impl Places {
    /// All places are free.
    #[must_use]
    pub fn new(spec: Concurrency) -> Self {
        let (admission, queue_timeout) = (Admission::new(spec), spec.queue_timeout);
        Self { state: Mutex::new(State { admission, queue_timeout, calls: HashMap::new() }) }
    }

    /// Other bounds from now on; who has a place keeps it, and who waits waits as long as it was told.
    pub fn reconfigure(&self, spec: Concurrency) {
        let mut state = self.lock();
        state.queue_timeout = spec.queue_timeout;
        let let_in = state.admission.reconfigure(spec);
        let mut lost = 0;
        for next in &let_in {
            lost += usize::from(!state.call(next));
        }
        drop(state);
        // One that cannot be called is gone, and leaves in its turn.
        (0..lost).for_each(|_| self.leave());
    }

    /// Requests under way, and requests that wait.
    #[must_use]
    pub fn counts(&self) -> (u32, usize) {
        let state = self.lock();
        (state.admission.running(), state.admission.waiting())
    }

    /// Takes a place, or waits for one. Dropping the future gives up.
    ///
    /// # Errors
    /// When there is none, and none comes free for this request in time.
    pub async fn take(&self, priority: Priority) -> Result<Place<'_>, Shed> {
        let mut waiting = match self.arrive(priority) {
            Ok(Some(waiting)) => waiting,
            Ok(None) => return Ok(Place(self)),
            Err(shed) => return Err(shed),
        };
        let in_time = timeout(waiting.patience, &mut waiting.called).await;
        match in_time {
            Ok(Ok(())) => Ok(waiting.called()),
            Ok(Err(_)) => Err(Shed::Displaced),
            Err(_) if waiting.give_up() => Err(Shed::QueueTimeout),
            // Called, or displaced, in the very moment in which it gave up.
            Err(_) if waiting.was_called() => Ok(waiting.called()),
            Err(_) => Err(Shed::Displaced),
        }
    }

    /// A place at once, or a place in the queue.
    fn arrive(&self, priority: Priority) -> Result<Option<Waiting<'_>>, Shed> {
        let mut state = self.lock();
        match state.admission.arrive(priority) {
            Arrival::Admitted => Ok(None),
            Arrival::Refused => Err(Shed::QueueFull),
            Arrival::Queued { ticket, displaced } => {
                drop(displaced.and_then(|displaced| state.calls.remove(&displaced)));
                let (call, called) = oneshot::channel();
                state.calls.insert(ticket, call);
                let patience = state.queue_timeout;
                Ok(Some(Waiting { places: self, ticket, called, patience, over: false }))
            }
        }
    }

    fn leave(&self) {
        let mut state = self.lock();
        while let Some(next) = state.admission.leave() {
            // One that cannot be called is gone, and leaves in its turn.
            if state.call(&next) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A request in the queue.
struct Waiting<'p> {
    places: &'p Places,
    ticket: Ticket,
    called: oneshot::Receiver<()>,
    patience: Duration,
    over: bool,
}

impl<'p> Waiting<'p> {
    fn called(mut self) -> Place<'p> {
        self.over = true;
        Place(self.places)
    }

    /// It was still in the queue.
    fn give_up(&mut self) -> bool {
        let mut state = self.places.lock();
        self.over = state.admission.give_up(self.ticket);
        if self.over {
            state.calls.remove(&self.ticket);
        }
        self.over
    }

    fn was_called(&mut self) -> bool {
        self.called.try_recv().is_ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over && !self.give_up() && self.was_called() {
            self.places.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn places(max: u32, queue: u32, millis: u64) -> Places {
        let queue_timeout = Duration::from_millis(millis);
        Places::new(Concurrency { max: NonZeroU32::new(max).unwrap(), queue, queue_timeout })
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_goes_to_the_next_in_the_queue_when_it_is_dropped() {
        let places = places(1, 1, 60_000);
        let first = places.take(Priority::Search).await.unwrap();
        let mut next = pin!(places.take(Priority::Search));
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(places.counts(), (1, 1));
        assert_eq!(places.take(Priority::Search).await.unwrap_err(), Shed::QueueFull);
        drop(first);
        let Poll::Ready(Ok(second)) = next.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it was not called")
        };
        drop(second);
        assert_eq!(places.counts(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_too_long_is_turned_away_and_leaves_nothing_behind() {
        let places = places(1, 1, 100);
        let first = places.take(Priority::Record).await.unwrap();
        assert_eq!(places.take(Priority::Record).await.unwrap_err(), Shed::QueueTimeout);
        assert_eq!(places.counts(), (1, 0));
        drop(first);
        assert_eq!(places.counts(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_displaced_is_told_at_once() {
        let places = places(1, 1, 60_000);
        let _first = places.take(Priority::Bulk).await.unwrap();
        let mut export = pin!(places.take(Priority::Bulk));
        assert!(export.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut read = pin!(places.take(Priority::Record));
        assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(export.await.unwrap_err(), Shed::Displaced);
        assert_eq!(places.counts(), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_gives_its_place_back_whether_it_was_called_or_not() {
        let places = places(1, 2, 60_000);
        for called in [false, true] {
            let first = places.take(Priority::Record).await.unwrap();
            let mut next = Box::pin(places.take(Priority::Record));
            assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            if called {
                drop(first);
                drop(next);
            } else {
                drop(next);
                assert_eq!(places.counts(), (1, 0));
                drop(first);
            }
            assert_eq!(places.counts(), (0, 0));
        }
    }
}
