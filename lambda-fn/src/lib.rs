//! Aorta's FHIR R4 record server, in the order a request meets it.
//!
//! Two doors, [`event`] (Lambda) and [`http`] (sockets), make a [`request`]. [`interaction`] says what it asks for,
//! [`wishes`] what its answer should look like, [`serve`] carries it out on a [`store`]. [`resource`] and [`search`] parse
//! what clients send, [`concurrency`] their conditions, [`outcome`] turns failures into answers, [`capability`] says what is
//! offered. [`settings`], [`seed`] and [`load`] are for the start, [`clock`] is what the doors ask,
//! [`notify`] whom they tell.
//!
//! Absent on purpose: any clock or chance below the doors (`now` and `new_id` are arguments), authentication (the
//! proxy's business), and any judgement of what a resource says.

pub mod capability;
pub mod clock;
pub mod concurrency;
pub mod event;
pub mod http;
pub mod interaction;
pub mod load;
pub mod notify;
pub mod outcome;
pub mod request;
pub mod resource;
pub mod search;
pub mod seed;
pub mod serve;
pub mod settings;
pub mod store;
pub mod time;
pub mod wishes;
