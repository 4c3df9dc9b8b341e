//! The decisions of the Aorta proxy, and nothing else.
//!
//! A decision here is a function of what it is told: the facts of a request, the facts of an answer, the time
//! and a source of chance all arrive as arguments. Nothing in this crate does I/O, reads a clock, holds a
//! global or waits. The live proxy, the property tests and the simulation run the very same code.
//!
//! Reading order, which is the order in which a request meets the rooms:
//!
//! 1. [`time`] and [`bounds`]: the plain values everything else is made of.
//! 2. [`route`]: which route, hence which pool, a request belongs to.
//! 3. [`fhir_safety`]: what may be repeated, judged before the first attempt; [`limit`]: how often one client may ask;
//!    [`admission`]: who may begin.
//! 4. [`exchange`]: **the heart**: the life of one request with all its attempts.
//! 5. [`pool`], [`upstream`], [`balance`], [`outlier`], [`slow_start`], `bias`, `pace`, `affinity`: who is asked next, who is
//!    out, how one comes back, who is asked less, and where a client that wrote reads.
//! 6. [`classify`]: what an upstream's answer, or its silence, means; [`check`]: what the proxy's own checks say.
//! 7. [`retry`]: whether the request may be tried again, and when; [`hedge`]: when a second try goes out beside
//!    a late first one.
//! 8. [`receipt`]: what is booked when the exchange closes; [`chronicle`]: what is remembered for who asks why.
//! 9. [`drill`]: a fault made on purpose; [`memory`]: what outlives the process.
//! 10. [`simulate`]: all of the above in virtual time, under seeded traffic and weather; [`tape`]: what a running
//!     proxy asked, to be asked again.

pub mod admission;
mod affinity;
pub mod balance;
mod bias;
pub mod bounds;
pub mod check;
pub mod chronicle;
pub mod classify;
pub mod drill;
pub mod exchange;
pub mod fhir_safety;
pub mod hedge;
pub mod limit;
pub mod memory;
pub mod order;
pub mod outlier;
mod pace;
pub mod pool;
pub mod receipt;
pub mod retry;
pub mod route;
pub mod simulate;
pub mod slow_start;
pub mod tape;
pub mod time;
pub mod timeout;
pub mod upstream;
pub mod verdict;
