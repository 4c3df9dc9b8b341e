//! How a pool shares its requests among the upstreams that may be asked.
//!
//! The contract every policy keeps: it picks one of the candidates it is given, whatever they are; it never
//! looks at health, which the pool has judged before; and its choice is a function of its state alone.

pub mod round_robin;
