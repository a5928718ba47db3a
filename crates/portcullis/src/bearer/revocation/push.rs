//! [`RevocationPush`]: that a store tells this process what is revoked, and how much of it is kept; and [`Push`], which has
//! it told.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_store::{Realm, Revocation, TokenQuery, TokenStatus, Watching};

use super::backend::Backend;
use super::told::Told;
use crate::bearer::events::{self, Pushed};

/// Has the store tell this process what is revoked, so that a request need not ask. For
/// [`Revocations::push`](super::Revocations::push).
///
/// * The process keeps what is revoked: it is told all of it to begin with, and from then on each as it comes. While that
///   is so, a request costs no round trip; a revocation of this process is seen by its next request, and one of another
///   process as a rule within milliseconds.
/// * The bound is [`REVOCATIONS_ARE_TOLD_WITHIN`](portcullis_store::REVOCATIONS_ARE_TOLD_WITHIN), two seconds: a request
///   that comes so long after a revocation has returned, in whatever process, has its token refused, whatever has become of
///   the connections meanwhile, or is answered by the store. What is not proved to be so new is not relied upon.
/// * Whenever it is not sure that nothing is missing, each request asks the store, as it does without this: at first, after
///   a break until all was told anew, and when there is more than there is room for. A store that cannot be asked either is
///   what [`OnOutage`](super::OnOutage) is for.
/// * What mints tokens, and what rotates families of refresh tokens, asks the store all the same.
///
/// Counted as `portcullis_bearer_revocation_push_total`, by `state`: `current`, `deaf`, `overfull` or `refused`, whenever it
/// becomes that.
///
/// A [`MemoryTokenBackend`](super::MemoryTokenBackend) tells, and gains nothing by it; a `RedisBackend` on one server or
/// behind Sentinels does. On a Redis Cluster, and on connections of the application's own, requests go on asking.
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use portcullis::bearer::{Audience, BearerLayer, Issuer, MemoryTokenBackend, RevocationCheck};
/// use portcullis::bearer::{RevocationPush, Revocations, StaticKeys};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-01", "alg": "ES256",
/// #     "x": "A0lw4kyfOjw0LuBAd2dqEBAgLvg4JRYKeBZlcpIE-hA",
/// #     "y": "jktd7sOpZy8S2RYHUZxVLBeruazA-0MiMfaj5GhRUwc"}]}"#;
/// # const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjIwMjYtMDEifQ.\
/// #     eyJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDAsImlzcyI6Imh0dHBzOi8vaWRwLmV4YW1wbGUiLCJzdWIiOiJhZGEifQ.\
/// #     n94O6RYHHz013YINcWNBQVRACIJ5LAiC4xarum7WP6tWIIAy9u-oQ51l1kjSyc_IAbjhNS8Q05nUoZUyrapdUg";
/// # let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(StaticKeys::jwks(JWKS)?);
/// let store = MemoryTokenBackend::new(); // or a `RedisBackend`
/// let elsewhere = Revocations::new(store.clone()); // another process
/// let revocations = Revocations::new(store).push(RevocationPush::new().max_revocations(100_000));
/// # let age = std::time::Duration::from_secs(100 * 365 * 24 * 3600);
/// # let revocations = revocations.longest_token(age);
/// let check = RevocationCheck::by(&revocations);
/// # let check = check.insecure_accept_incomplete();
/// let bearer = BearerLayer::new([issuer])?.revocation(check);
///
/// let service = bearer.layer(service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(String::new())) }));
/// let request = || Request::get("/").header(AUTHORIZATION, format!("Bearer {TOKEN}")).body(());
/// assert_eq!(service.clone().oneshot(request()?).await?.status(), 200); // asks, and has it told from now on
/// assert!(revocations.is_told());
///
/// elsewhere.revoke_user("https://idp.example", "ada").await?;
/// assert_eq!(service.oneshot(request()?).await?.status(), 401);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RevocationPush {
    max: usize,
}

/// Has this process told what is revoked.
pub(super) struct Push {
    told: Arc<Told>,
    watch: Mutex<Watch>,
}

#[derive(Default)]
struct Watch {
    going_on: Option<Watching>,
    /// The store does not tell. It is tried again with each request, since it may only have been too early.
    is_refused: bool,
}

/// After so long some of what there was no room for may have ended.
const ANEW: Duration = Duration::from_secs(60);

impl RevocationPush {
    /// How many revocations are kept unless said otherwise: at some 150 bytes each, about 150 MB.
    pub const DEFAULT_MAX: usize = 1_000_000;

    /// At most [`DEFAULT_MAX`](Self::DEFAULT_MAX).
    pub const fn new() -> Self {
        Self { max: Self::DEFAULT_MAX }
    }

    /// How many revocations are kept. If there are more, none is, and requests ask the store; a minute later it is tried
    /// again.
    pub const fn max_revocations(mut self, max: usize) -> Self {
        self.max = max;
        self
    }
}

impl Default for RevocationPush {
    fn default() -> Self {
        Self::new()
    }
}

impl Push {
    pub(super) fn new(rules: RevocationPush, realm: Realm) -> Self {
        Self { told: Arc::new(Told::new(realm, rules.max)), watch: Mutex::default() }
    }

    /// What this process knows of a token; `None` to have the store asked.
    pub(super) fn status(&self, query: TokenQuery<'_>, backend: &Backend) -> Option<TokenStatus> {
        let known = self.told.status(query);
        if known.is_none() {
            self.watch(query.user.realm, backend);
        }
        known
    }

    pub(super) fn is_current(&self) -> bool {
        self.told.is_current()
    }

    /// This process has revoked it itself.
    pub(super) fn learn(&self, revocation: Revocation) {
        self.told.learn(&[revocation]);
    }

    fn watch(&self, realm: &Realm, backend: &Backend) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.going_on.is_some() {
            if !self.told.has_been_overfull_for(ANEW) {
                return;
            }
            // The old watch ends first, or its word that all was told would be taken for that of the new one.
            watch.going_on = None;
            self.told.forget();
        }
        watch.going_on = backend.watch(realm, Arc::clone(&self.told) as _);
        let is_refused = watch.going_on.is_none();
        if is_refused && !std::mem::replace(&mut watch.is_refused, is_refused) {
            events::pushed(Pushed::Refused, realm.as_str());
        }
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("told", &self.told).finish_non_exhaustive()
    }
}
