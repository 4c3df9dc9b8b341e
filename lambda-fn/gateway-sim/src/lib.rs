//! One regional AWS REST API Gateway endpoint and the Lambda function behind it, on one machine.
//!
//! One process is one region, so that a region can be killed or frozen alone. The endpoint speaks real TLS with
//! HTTP/1.1 and HTTP/2, answers the gateway's own errors byte for byte, runs the real function program through the
//! Lambda Runtime API, and misbehaves on command.
//!
//! ```text
//! client ──TLS──► endpoint ──► exchange ──► event ──► function ──► runtime_api ◄── function process
//!                    ▲            ▲  catalogue, reply                                (pool of them)
//!                  wire ◄─────── fault ◄── control ◄── PUT /fault
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`config`] | the configuration file: shape, defaults, checks |
//! | [`region`] | starting and stopping everything of one region |
//! | [`endpoint`] | the TLS listener and its connections |
//! | [`exchange`] | one request and its answer: the gateway's checks in their order, the invocation, the faults |
//! | [`catalogue`] | the gateway's own answers: status, error type, exact body |
//! | [`event`], [`reply`] | a request as a Lambda event; a Lambda reply as a response (pure) |
//! | [`function`], [`runtime_api`] | the pool of function processes; the API they poll |
//! | [`fault`], [`wire`] | which fault is in force and whom it hits; cutting a connection under HTTP |
//! | [`throttle`], [`counters`], [`ids`] | request quota; what happened; identifiers and dates |
//! | [`control`] | the plain HTTP port that orders faults and tells the counters |
//! | [`signature`] | IAM authorisation: who may invoke the API |
//! | [`certificates`] | a local authority and a certificate for each host |
//!
//! # Running it
//! ```text
//! aorta-gateway-sim certificates --directory certificates --host a1.execute-api.us-east-1.amazonaws.com
//! aorta-gateway-sim --config virginia.yaml
//! ready region=us-east-1 address=127.0.0.1:9443 control=127.0.0.1:9543
//! curl -X PUT localhost:9543/fault -d '{"kind": "reset_inside", "ratio": 0.5, "paths": "/Patient"}'
//! ```
//! The ready line is the only thing on standard output; the log goes to standard error. Exit status 78 means an
//! unusable configuration. [`config::Config`] has every key:
//! ```yaml
//! region: us-east-1
//! address: 127.0.0.1:9443                 # port 0: a free one, told in the ready line
//! control: 127.0.0.1:9543                 # loopback only
//! host: a1.execute-api.us-east-1.amazonaws.com
//! stage: Server1
//! certificate: certificates/a1.execute-api.us-east-1.amazonaws.com.pem
//! private_key: certificates/a1.execute-api.us-east-1.amazonaws.com.key
//! integration: proxy                      # or envelope: GET at the stage root, whatever the function returns as 200
//! unmapped: ["DELETE /Patient"]           # answer Missing Authentication Token
//! api_key: ""
//! iam:                                    # when it stands, only requests signed with this key pass
//!   access_key_id: AKIDEXAMPLE
//!   secret_access_key: made-up
//!   session_token: ""
//! latency: 0ms
//! throttle: {rate: 10000, burst: 5000}
//! integration_timeout: 29s                # 504 beyond it; the function runs on
//! function:                               # or answer: {file: F, content_type: application/fhir+json}
//!   program: aorta-fhir
//!   arguments: []
//!   environment: {AORTA_FHIR_DATABASE: "sqlite:records.sqlite"}
//!   concurrency: 4
//!   timeout: 29s                          # its process is killed beyond it: 502
//! log: info
//! ```
//! [`control`] lists the control port's requests, [`fault::Kind`] every fault and whether the function has run.
//!
//! # Life of a function process
//! Each process has a Runtime API listener of its own and gets one event at a time. A process that ends is started
//! again; one that exceeds the function's time limit is killed; all are killed when the region stops. When the
//! simulator itself is killed with SIGKILL nobody can kill the processes: they end by themselves, because their
//! pending `…/invocation/next` breaks and a Lambda runtime ends on that. (A parent-death signal would need
//! unsafe code, which this workspace forbids.) A program that ignores the broken connection would stay behind.
//!
//! # What differs from AWS, knowingly
//! - Events wait for a free process instead of starting one more (AWS starts up to the account's concurrency); those
//!   beyond [`function::QUEUE_MAX`] are refused as a failed invocation.
//! - Header names reach the function in lower case; names in answers are lower case too (HTTP treats all cases alike).
//! - Statuses and bodies that AWS does not document are marked so in [`catalogue`].
//! - TLS takes any SNI: AWS would answer an unknown name with 403 as well, after the handshake.

pub mod catalogue;
pub mod certificates;
pub mod config;
pub mod control;
pub mod counters;
pub mod endpoint;
pub mod event;
pub mod exchange;
pub mod fault;
pub mod function;
pub mod ids;
pub mod region;
pub mod reply;
pub mod runtime_api;
pub mod signature;
pub mod throttle;
pub mod wire;
