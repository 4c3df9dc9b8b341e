//! The walk of one request, from its head to the ledger.

use crate::access_log::AccessLog;
use crate::admission::Place;
use crate::audit::Audit;
use crate::buffers::Buffers;
use crate::client::Came;
use crate::conditions::Conditions;
use crate::config::{Audited, Limits, Listener, RouteSettings};
use crate::downstream::Downstream;
use crate::drills::Drills;
use crate::engine::{self, Call, Origin, Outgoing, Served};
use crate::explain::{Booked, History, Told};
use crate::intake::{self, Lost};
use crate::interaction::Interaction;
use crate::links::{ClientSide, page};
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::record::{self, Visit};
use crate::refusal::{Closing, closes, send};
use crate::snapshot::{LivePool, Snapshot};
use crate::spans::Spans;
use crate::state_dir::StateDir;
use crate::tls::Certificates;
use crate::trace::{self, Trace};
use crate::{check, clock, head, headers, path, translate};
use aorta_core::classify::Dialect;
use aorta_core::exchange::Terms;
use aorta_core::fhir_safety::{Errand, Safety};
use aorta_core::limit::Ruling;
use aorta_core::order::Note;
use aorta_core::pool::PoolEvent;
use aorta_core::receipt::{End, Receipt};
use aorta_core::route::RouteFacts;
use aorta_core::upstream::UpstreamKey;
use aorta_core::verdict::Refusal;
use arc_swap::ArcSwap;
use http::{HeaderValue, header};
use pingora::connectors::http::Connector;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::{Notify, watch};

/// What all listeners share.
pub struct Proxy {
    /// What is in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Which generation of it; whoever works in the background waits for the next one.
    pub generations: watch::Sender<u64>,
    /// Those of the listeners.
    pub certificates: Certificates,
    /// What they grant, and whom they believe.
    pub conditions: Conditions,
    /// Connections to upstreams.
    pub connector: Connector,
    /// One budget of bytes for all that is held.
    pub buffers: Arc<Buffers>,
    /// Who has asked how often.
    pub quotas: Quotas,
    /// Counters.
    pub metrics: Metrics,
    /// Where access lines go.
    pub access_log: AccessLog,
    /// Where audit entries go, when there are any.
    pub audit: Option<Audit>,
    /// Where spans go, when they are told.
    pub spans: Option<Spans>,
    /// The process is about to stop: every answer closes its connection.
    pub draining: AtomicBool,
    /// The last requests, for who asks why.
    pub recent: History<Booked>,
    /// Requests that are being served.
    pub in_flight: AtomicUsize,
    /// What outlives the process.
    pub state: StateDir,
    /// Drills, and what came of them.
    pub drills: Drills,
    /// Wakes who keeps what outlives the process.
    pub news: Notify,
    /// Where the process stands between its start and its end.
    pub life: crate::life::Life,
    ids: AtomicU64,
}

impl Proxy {
    /// What all listeners share; `seed` makes request ids unique among processes.
    #[must_use]
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        (certificates, conditions, connector): (Certificates, Conditions, Connector),
        buffers: Arc<Buffers>,
        quotas: Quotas,
        metrics: Metrics,
        (spans, audit, state): (Option<Spans>, Option<Audit>, StateDir),
        seed: u64,
    ) -> Self {
        Self {
            snapshot,
            generations: watch::Sender::new(1),
            certificates,
            conditions,
            connector,
            buffers,
            quotas,
            metrics,
            access_log: AccessLog::start(),
            audit,
            spans,
            draining: AtomicBool::new(false),
            recent: History::of_requests(),
            in_flight: AtomicUsize::new(0),
            drills: Drills::of(&state),
            state,
            news: Notify::new(),
            life: crate::life::Life::default(),
            ids: AtomicU64::new(seed),
        }
    }

    /// Passes on what a pool wants told.
    pub fn tell(self: &Arc<Self>, pool: &Arc<LivePool>, events: &[PoolEvent]) {
        self.tell_ordered(pool, events, None);
    }

    /// The same where somebody has ordered what became of an upstream.
    pub fn tell_ordered(
        self: &Arc<Self>,
        pool: &Arc<LivePool>,
        events: &[PoolEvent],
        ordered: Option<(UpstreamKey, &Note)>,
    ) {
        if !events.is_empty() {
            self.news.notify_one();
        }
        for event in events {
            let of_it = ordered.filter(|(upstream, _)| event.upstream() == Some(*upstream));
            let note = of_it.map(|(_, note)| note.clone());
            pool.state.history.push(Told { at: clock::now(), event: *event, note });
            self.metrics.event(pool, event);
            record::log_event(pool, event);
            match *event {
                PoolEvent::VerifyWanted { upstream } => check::verify(self, pool, upstream),
                PoolEvent::Ejected { upstream, enforced: true, .. } => pool.ejected(upstream),
                _ => {}
            }
        }
    }

    /// A number no other request of this process has; neighbours look unrelated (SplitMix64).
    pub fn next_id(&self) -> u64 {
        let count = self.ids.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn request_id(&self, came: &http::HeaderMap) -> HeaderValue {
        headers::request_id(came).unwrap_or_else(|| {
            let mut digits = [0; 16];
            trace::write_hex(&self.next_id().to_be_bytes(), &mut digits);
            HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("0"))
        })
    }

    /// Serves one request, and says whether the connection may be used again.
    pub async fn serve(self: &Arc<Self>, session: &mut Downstream, listener: &Listener, tls: bool) -> bool {
        let snapshot = self.snapshot.load_full();
        let head = session.head();
        let id = self.request_id(&head.headers);
        let trace = Trace::of(&head.headers, self.spans.as_ref().map(Spans::share), || self.next_id());
        let mut visit = Visit::new(id, head.method.clone(), path::template(head.uri.path()));
        visit.trace = Some(trace);
        let came = Came::of(&head.headers, session.client(), tls, &listener.trusted_proxies);
        let walked = self.walk(&snapshot, session, (&listener.limits, came), trace, &mut visit).await;
        let served = walked.unwrap_or_else(Served::refused);
        let mut reusable = served.reusable;
        if let Some(refusal) = served.refusal {
            let fhir = visit.pool.is_some_and(|pool| snapshot.pools[pool].config.spec.fhir);
            let closing = if served.reusable { Closing::No } else { Closing::Lingering };
            reusable = send(session, refusal, fhir, closing, &mut visit).await && served.reusable;
        }
        visit.ended = Some(clock::now());
        record::book(self, &snapshot, &visit, &served.receipt);
        let pool = visit.pool.and_then(|pool| snapshot.pools.get(pool));
        self.recent.push(Booked::new(visit, served.receipt, pool));
        reusable
    }

    /// Takes a place in the pool, or waits for one.
    async fn admit<'p>(
        &self,
        session: &mut Downstream,
        pool: &'p LivePool,
        (errand, request_is_read): (Errand, bool),
        visit: &mut Visit,
    ) -> Result<Place<'p>, Early> {
        let priority = translate::priority(&pool.config.spec, errand, session.head());
        let waiting = std::pin::pin!(pool.state.places.take(priority));
        let place = engine::unless_gone(session, request_is_read, waiting).await;
        place.ok_or(Early::ClientGone)?.map_err(|shed| {
            pool.series.shed(priority, shed);
            visit.shed = Some(shed);
            if request_is_read {
                Early::Refused(Refusal::Overloaded)
            } else {
                Early::Unread(Refusal::Overloaded)
            }
        })
    }

    /// Counts the request for its client; one that is refused has cost nothing yet, and is read no further.
    async fn count(
        &self,
        snapshot: &Snapshot,
        session: &mut Downstream,
        visit: &mut Visit,
    ) -> Result<(), Early> {
        let Some(position) = visit.route else { return Ok(()) };
        let settings = snapshot.route_settings.get(position);
        let Some(limit) = settings.and_then(|settings| settings.rate_limit.as_ref()) else { return Ok(()) };
        let name = snapshot.routes.routes().get(position).map_or("", |route| &route.name);
        let client = (&session.head().headers, visit.client);
        let standing = self.quotas.ask(name, limit, client, clock::now()).await;
        visit.standing = Some(standing);
        match standing.ruling {
            Ruling::Allowed { .. } => Ok(()),
            Ruling::Refused { .. } if session.is_body_empty() => Err(Early::Refused(Refusal::QuotaUsedUp)),
            Ruling::Refused { .. } => Err(Early::Unread(Refusal::QuotaUsedUp)),
        }
    }

    /// Route, body, place, attempts.
    async fn walk(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        session: &mut Downstream,
        (limits, came): (&Limits, Came),
        trace: Trace,
        visit: &mut Visit,
    ) -> Result<Served, Early> {
        let Asked { pool, strip, outgoing, errand, fhir_expected, mut terms } =
            self.look(snapshot, session, (came, trace), visit)?;
        self.count(snapshot, session, visit).await?;
        let limits = Limits { body_bytes: limits.body_bytes.min(pool.config.body_max), ..*limits };
        let mut body = intake::take_in(session, &limits, pool.config.replay_body_max, &self.buffers).await?;
        if let Some(form) = outgoing.form() {
            // A search by GET has no body; one that has cannot become a form.
            body.held =
                Some(form).filter(|_| body.whole && body.held.is_empty()).ok_or(Refusal::UriTooLong)?;
        }
        terms.replayable = body.whole;
        if pool.config.spec.fhir && errand == Errand::Batch && body.whole {
            terms.safety = translate::batch_safety(&pool.config.spec, &body.held);
        }
        let _place = self.admit(session, pool, (errand, body.whole), visit).await?;
        let told = outgoing.field("x-forwarded-host").and_then(|host| host.to_str().ok());
        let client = ClientSide { tls: came.tls, authority: told.unwrap_or_default(), prefix: strip };
        let call =
            Call { proxy: self, pool, outgoing: &outgoing, terms, fhir_expected, errand, client, trace };
        Ok(engine::run(&call, session, &mut body, visit).await)
    }

    /// From here on the request leaves an audit entry, where its route says so.
    fn audit_if_told(
        &self,
        settings: Option<&RouteSettings>,
        pool: Option<&Arc<LivePool>>,
        path: &str,
        visit: &mut Visit,
    ) -> Result<(), Refusal> {
        let audited = settings.map_or(Audited::Off, |settings| settings.audit);
        let Some(audit) = self.audit.as_ref().filter(|_| audited != Audited::Off) else {
            // A reload brought the route's key into force, and the file waits for a restart.
            let unrecorded = audited == Audited::Closed;
            return if unrecorded { Err(Refusal::AuditUnavailable) } else { Ok(()) };
        };
        visit.auditing = audit.admit(audited)?;
        if pool.is_some_and(|pool| pool.config.spec.fhir) {
            visit.record = audit.pseudonym(path);
        }
        Ok(())
    }

    /// What the head of a request says: where it belongs, and on which terms it goes out.
    fn look<'s>(
        &self,
        snapshot: &'s Snapshot,
        session: &Downstream,
        (came, trace): (Came, Trace),
        visit: &mut Visit,
    ) -> Result<Asked<'s>, Refusal> {
        let head = session.head();
        head::judge_method(&head.method)?;
        let asked = head
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .or_else(|| head.uri.authority().map(http::uri::Authority::as_str));
        let facts = RouteFacts {
            host: head::host(asked)?,
            path: head.uri.path(),
            method: &head.method,
            headers: &head.headers,
        };
        let (position, route) = snapshot.routes.find(facts).ok_or(Refusal::NoRoute)?;
        visit.route = Some(position);
        visit.pool = Some(route.pool);
        visit.client = came.client;
        let settings = snapshot.route_settings.get(position);
        let strip = settings.map_or("", |settings| &settings.strip_prefix);
        let path = head.uri.path().strip_prefix(strip).unwrap_or(head.uri.path());
        self.audit_if_told(settings, snapshot.pools.get(route.pool), path, visit)?;
        let pool = snapshot.pools.get(route.pool).ok_or(Refusal::NoUpstream)?;
        let deadline = translate::deadline(&head.headers)?;
        let spec = &pool.config.spec;
        visit.interaction = spec.fhir.then(|| Interaction::of(&head.method, path));
        let client = visit.client;
        let paged = head.uri.query().filter(|_| spec.fhir).and_then(page::take);
        let page = paged.as_ref().map(|(_, mark)| pool.page_maker(mark)).transpose()?;
        let errand = Errand::of(&head.method, path);
        let origin = Origin {
            peer: came.peer,
            tls: came.tls,
            host: asked.unwrap_or_default(),
            query: match &paged {
                Some((rest, _)) => Some(rest.as_str()).filter(|rest| !rest.is_empty()),
                None => head.uri.query(),
            },
            request_id: &visit.request_id,
            trace,
            judged: spec.fhir || spec.dialect == Dialect::ApiGateway,
        };
        let mut outgoing = Outgoing::new(head, strip, &origin);
        outgoing.fit(spec, errand)?;
        let safety = translate::safety(spec, &head.method, head.uri.path(), |name| outgoing.field(name));
        let terms = Terms {
            safety,
            client: translate::client(&head.headers, client),
            key: pool.config.hash_key.as_ref().and_then(|by| translate::hash_key(by, &head.headers, client)),
            replayable: false,
            deadline,
            page: page.flatten().filter(|_| safety == Safety::Safe),
        };
        let fhir_expected = translate::expects_fhir(spec, &head.uri, &head.headers);
        Ok(Asked { pool, strip, outgoing, errand, fhir_expected, terms })
    }
}

/// What the head of a request says.
struct Asked<'s> {
    pool: &'s Arc<LivePool>,
    strip: &'s str,
    outgoing: Outgoing,
    errand: Errand,
    fhir_expected: bool,
    terms: Terms,
}

/// A request that never reached a pool.
enum Early {
    Refused(Refusal),
    /// The rest of its body is still to come, and nobody wants it.
    Unread(Refusal),
    ClientGone,
}

impl From<Refusal> for Early {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Lost> for Early {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Refused(refusal) => Self::Refused(refusal),
            Lost::ClientGone => Self::ClientGone,
        }
    }
}

impl Served {
    fn refused(early: Early) -> Self {
        match early {
            Early::Refused(refusal) => Self {
                receipt: Box::new(Receipt::refused(refusal)),
                refusal: Some(refusal),
                reusable: !closes(refusal),
            },
            Early::Unread(refusal) => {
                Self { receipt: Box::new(Receipt::refused(refusal)), refusal: Some(refusal), reusable: false }
            }
            Early::ClientGone => {
                let mut receipt = Box::new(Receipt::refused(Refusal::BadRequest));
                receipt.end = End::Abandoned;
                Self { receipt, refusal: None, reusable: false }
            }
        }
    }
}
