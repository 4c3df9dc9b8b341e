//! The control port: plain HTTP on loopback by which a harness orders faults and reads what happened.
//!
//! | request | does |
//! | --- | --- |
//! | `GET /healthz` | `ok` |
//! | `GET /` | region, host, stage, integration, fault, latency, counters |
//! | `PUT /fault` | puts [`crate::fault::Order`] in force; answers when it is |
//! | `DELETE /fault` | ends it |
//! | `PUT /iam`, `DELETE /iam` | [`crate::signature::Keys`]: only requests signed with it pass; all do |
//! | `PUT /clock` | `{"ahead_seconds": 600}`: the gateway's clock against the machine's |
//! | `PUT /latency` | `{"millis": 80}`: added before each answer |
//! | `GET /counters`, `DELETE /counters` | [`crate::counters::Counted`]; starts again at zero |

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Integration;
use crate::endpoint::Switch;
use crate::exchange::Gateway;
use crate::fault::{Kind, Order};
use crate::signature::Keys;

const BODY_BYTES_MAX: usize = 64 * 1024;

type Answer = (StatusCode, Value);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    millis: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    ahead_seconds: i64,
}

/// Serves the control port until the region stops.
pub async fn run(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    switch: Switch,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let (gateway, switch) = (Arc::clone(&gateway), switch.clone());
        connections.spawn(async move {
            let service = service_fn(|request| {
                let (gateway, switch) = (Arc::clone(&gateway), switch.clone());
                async move { Ok::<_, Infallible>(written(answer(request, &gateway, &switch).await)) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, gateway: &Gateway, switch: &Switch) -> Answer {
    if !is_local(&request) {
        return refused("only programs on this machine may order faults: a web page may not");
    }
    let (head, body) = request.into_parts();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/healthz") => (StatusCode::OK, json!({"status": "ok"})),
        (&Method::GET, "/") => (StatusCode::OK, state(gateway)),
        (&Method::GET, "/counters") => (StatusCode::OK, json!(gateway.counters.read())),
        (&Method::DELETE, "/counters") => {
            gateway.counters.reset();
            (StatusCode::OK, json!(gateway.counters.read()))
        }
        (&Method::PUT, "/latency") => match parsed::<Latency>(body).await {
            Ok(latency) => {
                gateway.set_latency_ms(latency.millis);
                (StatusCode::OK, state(gateway))
            }
            Err(problem) => refused(&problem),
        },
        (&Method::PUT, "/clock") => match parsed::<Clock>(body).await {
            Ok(clock) => {
                gateway.set_ahead_secs(clock.ahead_seconds);
                (StatusCode::OK, state(gateway))
            }
            Err(problem) => refused(&problem),
        },
        (&Method::PUT, "/iam") => match parsed::<Keys>(body).await {
            Ok(keys) => {
                gateway.set_iam(Some(keys));
                (StatusCode::OK, state(gateway))
            }
            Err(problem) => refused(&problem),
        },
        (&Method::DELETE, "/iam") => {
            gateway.set_iam(None);
            (StatusCode::OK, state(gateway))
        }
        (&Method::PUT, "/fault") => match parsed::<Order>(body).await {
            Ok(order) => put_fault(order, gateway, switch).await,
            Err(problem) => refused(&problem),
        },
        (&Method::DELETE, "/fault") => {
            gateway.faults.clear();
            switched(gateway, switch, true, false).await
        }
        _ => (
            StatusCode::NOT_FOUND,
            json!({"error": "GET /, GET /healthz, PUT or DELETE /fault, PUT or DELETE /iam, PUT /clock, PUT /latency, GET or DELETE /counters"}),
        ),
    }
}

async fn put_fault(order: Order, gateway: &Gateway, switch: &Switch) -> Answer {
    let (listen, cut_live) = (order.kind != Kind::RefuseConnections, order.cut_live);
    match gateway.faults.set(order) {
        Ok(()) => switched(gateway, switch, listen, cut_live).await,
        Err(problem) => refused(&problem.to_string()),
    }
}

async fn switched(gateway: &Gateway, switch: &Switch, listen: bool, cut_live: bool) -> Answer {
    match switch.set(listen, cut_live).await {
        Ok(()) => (StatusCode::OK, state(gateway)),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"error": format!("the endpoint cannot listen: {error}")}),
        ),
    }
}

fn state(gateway: &Gateway) -> Value {
    let config = gateway.config();
    json!({
        "region": config.region,
        "host": config.host,
        "stage": config.stage,
        "integration": match config.integration {
            Integration::Proxy => "proxy",
            Integration::Envelope => "envelope",
        },
        "fault": gateway.faults.order(),
        "latency_ms": gateway.latency_ms(),
        "counters": gateway.counters.read(),
    })
}

/// A browser names the page it comes from, or (after a rebound name) a host that is no loopback address.
fn is_local(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    !request.headers().contains_key(header::ORIGIN)
        && (name == "localhost" || name == "[::1]" || name.starts_with("127."))
}

async fn parsed<T: DeserializeOwned>(body: Incoming) -> Result<T, String> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
}

fn refused(problem: &str) -> Answer {
    (StatusCode::BAD_REQUEST, json!({"error": problem}))
}

fn written((status, value): Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
