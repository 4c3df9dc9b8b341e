//! The Aorta proxy: carries FHIR traffic to regional endpoints and keeps it flowing when one fails.
//!
//! Everything that decides is in the crate `aorta-core`; this crate translates, asks and obeys. The modules in
//! the order in which a request meets them:
//!
//! 1. [`server`] assembles listeners, admin and background work; [`tls`] holds certificates; [`life`] knows who
//!    accepts, [`handover`] takes over from the process before, [`stop`] ends it, [`notify`] tells systemd.
//! 2. [`listener`] has the threads that accept; [`door`] bounds what a client may use ([`conditions`]), [`downstream`] speaks with it; [`service`] is the
//!    walk of one request: [`client`] says who asks, [`head`] judges its raw head, [`trace`] finds the trace it belongs to, [`path`] judges its target,
//!    [`quota`] counts its client's requests, [`intake`] takes its body in, [`batch`] judges that of a batch, [`admission`] lets it begin.
//! 3. [`engine`] makes the attempts on connections of a [`line`](mod@line) and speaks on them by [`wire`]; [`headers`] are the header rules,
//!    [`shape`] looks into held answers (taken in by `held`), [`links`] leads their links back through the proxy, [`compress`] makes
//!    them smaller, [`refusal`] words Aorta's own answers.
//! 4. [`record`] books the receipt: [`metrics`], [`access_log`], [`audit`] and [`spans`]; [`interaction`] names what it did in
//!    FHIR.
//!
//! Beside them: [`config`] (what the operator wrote), [`snapshot`] (what is in force), [`reload`] (how another one comes into force), [`resolver`] (names to
//! addresses), [`check`] (the proxy's own check request), [`buffers`] (one budget of bytes for all), [`scratch`] (one buffer to read into), `lanes` (sixteen bytes of a text at a time),
//! [`clock`] (the only one), [`last_call`], [`limits`] (of the machine), [`log_level`], [`admin`] and [`admin_client`], [`explain`] (why),
//! [`simulate`] (a configuration in virtual time), [`tape`] (what the core was
//! asked, to be asked again), [`sign`] (signatures of AWS).

pub mod access_log;
pub mod admin;
pub mod admin_client;
pub mod admission;
pub mod audit;
pub mod batch;
pub mod buffers;
pub mod check;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compress;
pub mod conditions;
pub mod config;
pub mod door;
pub mod downstream;
pub mod drills;
pub mod engine;
pub mod explain;
pub mod handover;
pub mod head;
pub mod headers;
mod held;
pub mod intake;
pub mod interaction;
pub mod keeper;
mod lanes;
pub mod last_call;
pub mod life;
pub mod limits;
pub mod line;
pub mod links;
pub mod listener;
pub mod log_level;
pub mod memory;
pub mod metrics;
pub mod notify;
pub mod path;
pub mod quota;
pub mod record;
pub mod refusal;
pub mod reload;
pub mod resolver;
pub mod scratch;
pub mod server;
pub mod service;
pub mod shape;
pub mod sign;
pub mod simulate;
pub mod snapshot;
pub mod spans;
pub mod state_dir;
pub mod stop;
pub mod tape;
pub mod tls;
pub mod trace;
pub mod translate;
pub mod wire;
