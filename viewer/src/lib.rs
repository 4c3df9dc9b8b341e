//! `aorta-viewer`: web pages that show FHIR records which come through the Aorta proxy.
//!
//! Read in the order a request meets the modules:
//! - [`config`]: the YAML file, read strictly, every mistake at once
//! - [`server`]: the accept loop: connection limit, head time, graceful stop
//! - [`router`]: method and path to page; the host rule and the security headers of every answer
//! - [`source`]: one fetch through the proxy: bounded in time and size
//! - [`view`]: what came, turned into what a page needs; tolerant, pure
//! - [`page`]: views to HTML through the templates; pure
//! - [`request_id`]: the number that a user can quote to the on-call person
//! - [`cli`]: `run` and `check`

pub mod cli;
pub mod config;
pub mod page;
pub mod request_id;
pub mod router;
pub mod server;
pub mod source;
pub mod view;
