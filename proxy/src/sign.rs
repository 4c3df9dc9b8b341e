//! Signatures of AWS (Version 4) on what goes out: made for one attempt, because each holds the region, host and path
//! of its upstream, and the moment.
//!
//! API Gateway hashes the body too, and knows no `UNSIGNED-PAYLOAD` (that is an offer of Amazon S3: AWS, "Create a
//! signed AWS API request"), so a body that is signed for is held. A signature counts for five minutes around the
//! gateway's own time (AWS re:Post, "Signature expired"), and credentials may expire: both are mended when a gateway
//! refuses one, and files are looked at every few seconds besides.

use crate::clock;
pub use crate::config::SIGNATURE_HEADERS;
use crate::config::{Renewable, Sigv4};
use aorta_core::verdict::Refusal;
use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// Files with credentials are read this often, while requests are signed.
const LOOK: Duration = Duration::from_secs(5);
/// A request whose signature was refused waits no longer than this for its files to be read.
const READ_MAX: Duration = Duration::from_secs(1);
/// A difference of clocks that a request's own travel cannot explain; a fifth of what AWS bears.
const SKEW_MIN_SECS: u64 = 60;

/// The fields of a signature.
pub type Fields = Vec<(HeaderName, HeaderValue)>;

/// Signs for one upstream.
#[derive(Debug)]
pub struct Signer {
    upstream: String,
    config: Sigv4,
    credentials: ArcSwap<Credentials>,
    /// The last reading of the files failed.
    unreadable: AtomicBool,
    /// Held by who reads the files.
    reading: Arc<Mutex<()>>,
    /// When the files were last read, in milliseconds on the core's scale.
    looked: AtomicU64,
    /// Seconds that the upstream's clock is ahead of ours; less than nothing when it is behind.
    ahead_secs: AtomicI64,
}

impl Signer {
    /// Signs with what was read with the configuration, by the time that was known before.
    #[must_use]
    pub fn new(upstream: &str, config: &Sigv4, before: Option<&Self>) -> Arc<Self> {
        let value = |secret: &Renewable| secret.value().to_owned();
        let token = config.session_token.as_ref().map(value);
        let credentials = credentials(value(&config.access_key_id), value(&config.secret_access_key), token);
        Arc::new(Self {
            upstream: upstream.to_owned(),
            config: config.clone(),
            credentials: ArcSwap::from_pointee(credentials),
            unreadable: AtomicBool::new(false),
            reading: Arc::default(),
            looked: AtomicU64::new(millis()),
            ahead_secs: AtomicI64::new(before.map_or(0, |before| before.ahead_secs.load(Ordering::Relaxed))),
        })
    }

    /// The fields that sign a request, which is otherwise ready to go out, now. They replace whatever signature it
    /// bears ([`SIGNATURE_HEADERS`]); what is to be signed, [`plain_spaces`] saw first.
    ///
    /// # Errors
    /// When the request cannot be put in AWS's canonical form.
    pub fn sign(self: &Arc<Self>, request: &Parts, body: &[u8]) -> Result<Fields, Refusal> {
        self.look();
        self.signature(request, body, self.now()).ok_or(Refusal::BadRequest)
    }

    /// The fields that sign this request at this moment.
    fn signature(&self, request: &Parts, body: &[u8], time: SystemTime) -> Option<Fields> {
        let identity = Credentials::clone(&self.credentials.load()).into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.config.region)
            .name(&self.config.service)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let text = |name: &HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(&header::HOST)?;
        // Only these: a gateway's edge may touch others on their way.
        let signed = [(&header::HOST, Some(host)), (&header::CONTENT_TYPE, text(&header::CONTENT_TYPE))];
        let signed = signed.iter().filter_map(|(name, value)| value.map(|value| (name.as_str(), value)));
        let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
        let url = ["https://", host, target].concat();
        let body = SignableBody::Bytes(body);
        let signable = SignableRequest::new(request.method.as_str(), url, signed, body).ok()?;
        let (instructions, _) = http_request::sign(signable, &params).ok()?.into_parts();
        let field = |(name, value): (&str, &str)| {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
        };
        instructions.headers().map(field).collect()
    }

    /// The upstream's time.
    fn now(&self) -> SystemTime {
        let unix = clock::unix();
        let ahead = self.ahead_secs.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        UNIX_EPOCH + if ahead < 0 { unix.saturating_sub(by) } else { unix.saturating_add(by) }
    }

    /// A gateway refused a signature: the `Date` of its answer tells whether the clocks differ.
    pub fn refused(&self, answer: &HeaderMap) {
        let date = answer.get(header::DATE).and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return };
        let (ours, theirs) = (clock::unix().as_secs(), since_epoch(theirs));
        let ahead = i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub_unsigned(ours);
        let ahead = if ahead.unsigned_abs() < SKEW_MIN_SECS { 0 } else { ahead };
        let before = self.ahead_secs.swap(ahead, Ordering::Relaxed);
        if before.abs_diff(ahead) >= SKEW_MIN_SECS {
            let upstream = &self.upstream;
            tracing::warn!(%upstream, ahead_seconds = ahead, "the upstream's clock differs: requests are signed for its time");
        }
    }

    /// Reads the files anew unless somebody just did, and waits for it, but not for long.
    pub async fn renew(self: &Arc<Self>) {
        let since = millis();
        let Ok(turn) = timeout(READ_MAX, Arc::clone(&self.reading).lock_owned()).await else { return };
        if self.looked.load(Ordering::Relaxed) <= since {
            let _ = timeout(READ_MAX, self.read_files(turn)).await;
        }
    }

    /// Reads the files anew when it is time to, and waits for nothing.
    fn look(self: &Arc<Self>) {
        let last = Duration::from_millis(self.looked.load(Ordering::Relaxed));
        let is_due = Duration::from_millis(millis()).saturating_sub(last) >= LOOK && self.may_change();
        if let Some(turn) = Arc::clone(&self.reading).try_lock_owned().ok().filter(|_| is_due) {
            drop(self.read_files(turn));
        }
    }

    fn may_change(&self) -> bool {
        let Sigv4 { access_key_id, secret_access_key, session_token, .. } = &self.config;
        let secrets = [Some(access_key_id), Some(secret_access_key), session_token.as_ref()];
        secrets.into_iter().flatten().any(Renewable::may_change)
    }

    /// On a thread that may wait for a file system; there is one such at a time, however long it waits.
    fn read_files(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> JoinHandle<()> {
        let signer = Arc::clone(self);
        spawn_blocking(move || {
            signer.reread();
            signer.looked.store(millis(), Ordering::Relaxed);
            drop(turn);
        })
    }

    fn reread(&self) {
        let config = &self.config;
        let token = config.session_token.as_ref().map(Renewable::read_again).transpose();
        let read = (config.access_key_id.read_again(), config.secret_access_key.read_again(), token);
        let upstream = &self.upstream;
        match read {
            (Ok(id), Ok(secret), Ok(token)) => {
                self.unreadable.store(false, Ordering::Relaxed);
                let (new, old) = (credentials(id, secret, token), self.credentials.load());
                if new != **old {
                    self.credentials.store(Arc::new(new));
                    tracing::info!(%upstream, "requests are signed with renewed credentials");
                }
            }
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
                if !self.unreadable.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%upstream, %why, "credentials cannot be read again: the last ones stay in force");
                }
            }
        }
    }
}

/// A raw `+` in a query is a space to some and a plus to others, and a signature must not depend on that: API Gateway
/// hands a space to the function, so as a space it goes out (as AWS's own SDKs send it). None where there is no `+`.
#[must_use]
pub fn plain_spaces(uri: &Uri) -> Option<Uri> {
    let (path, query) = uri.path_and_query()?.as_str().split_once('?')?;
    let plain = || [path, "?", &query.replace('+', "%20")].concat().try_into().ok();
    if query.contains('+') { plain() } else { None }
}

fn credentials(id: String, secret: String, token: Option<String>) -> Credentials {
    Credentials::new(id, secret, token, None, "configuration")
}

fn millis() -> u64 {
    clock::now().as_micros() / 1000
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
