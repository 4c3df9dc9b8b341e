//! The harness: everything a test needs to look at Aorta's programs from outside, over sockets.
//!
//! | module | holds |
//! | --- | --- |
//! | [`port`] | leased ports, so that parallel tests never collide |
//! | [`program`] | one child process: its lines, its signals, its end |
//! | [`proxy`], [`setup`] | the real proxy as a child process; the configuration it is given |
//! | [`upstream`] | a scripted upstream: answers, delays, resets, half answers; remembers what it saw |
//! | [`authority`] | certificates of its own for the scripted upstreams |
//! | [`client`], [`raw`] | an orderly HTTP client; a raw one that misbehaves on purpose |
//! | [`collector`] | an OpenTelemetry collector that remembers spans |
//! | [`soak`] | two proxies under steady load while they are reloaded, replaced and restarted |
//! | [`load`] | requests at a fixed rate, whatever the answers do |
//! | [`metrics`], [`log`] | what the proxy tells: series and their differences, access lines as values |
//! | [`prometheus`] | the real promtool and Prometheus |
//! | [`watched`] | the rules that operators watch by, and the names in them |
//! | [`eventually`] | a bounded wait on a fact, instead of a bare sleep |
//! | [`house`] | the whole house: two simulated regions, the proxy, the viewer |
//! | [`browser`] | a headless browser, driven over WebDriver |
//!
//! A harness may panic: that is how a test fails. It never hides what a program printed.

pub mod authority;
pub mod browser;
pub mod client;
pub mod collector;
pub mod eventually;
pub mod house;
pub mod load;
pub mod log;
pub mod metrics;
pub mod port;
pub mod program;
pub mod prometheus;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod setup;
pub mod soak;
pub mod upstream;
pub mod watched;
