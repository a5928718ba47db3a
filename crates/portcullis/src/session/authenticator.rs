//! [`SessionAuthenticator`]: one request's session, in and out. The only file of the module that the layers wait in.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use http::request::Parts;
use http::{HeaderValue, response};
use portcullis_store::{Key, Record, StoreError};
use smallvec::{SmallVec, smallvec};

use super::cookie::MAX_CANDIDATES;
use super::core::{Core, OnUnavailable, RETRY_AFTER};
use super::error::{SessionError, SessionErrorKind};
use super::expiry::{Age, age};
use super::handle::Session;
use super::id::{Presented, Proof};
use super::state::{CookieChange, Held, Rest, Stored};
use crate::Identity;
use crate::authenticate::{Authenticator, Closed, Closing, Edits, Opened, Opening};
use crate::identity::{Authentication, Outcome};
use crate::rejection::{Challenge, Rejection};
use crate::respond::RequestHead;

/// Finds a request's session by its cookie, and saves it on the way out.
#[derive(Clone, Debug)]
pub struct SessionAuthenticator {
    core: Arc<Core>,
    challenge: Challenge,
}

/// What the way out needs from the way in.
pub struct Visit {
    session: Session,
    /// Whether the request's cookie decided what is in its extensions.
    presented: bool,
    /// Whether the session's idle deadline is to be moved.
    touch: bool,
    /// To answer by, should the commit fail.
    head: Option<RequestHead>,
    /// Whether another copy of the layer, further out, holds the session and does all there is to do.
    held_outside: bool,
}

/// What is loaded for the candidates, in their order.
type Loaded = Result<SmallVec<[Option<Record>; MAX_CANDIDATES]>, StoreError>;

impl SessionAuthenticator {
    pub(crate) fn new(core: Core) -> Self {
        // RFC 9110 wants a challenge with every 401; a cookie has no registered scheme.
        let challenge = Challenge::new("Cookie").param("cookie-name", core.cookie.name.clone());
        Self { core: Arc::new(core), challenge }
    }

    fn late_head(&self, head: &Parts) -> Option<RequestHead> {
        (!self.core.read_only).then(|| RequestHead::of(head))
    }
}

impl Authenticator for SessionAuthenticator {
    type Visit = Visit;

    fn challenge(&self) -> Option<Challenge> {
        Some(self.challenge.clone())
    }

    /// Another realm's sessions are nothing here.
    fn supersedes(&self, outer: &Identity) -> bool {
        outer.realm().is_some_and(|realm| *realm != self.core.realm)
    }

    fn open(&self, head: &mut Parts) -> Opening<Visit> {
        let core = &self.core;
        if let Some(session) = head.extensions.get::<Session>().filter(|it| Arc::ptr_eq(&it.0.core, core)) {
            return Opening::anonymous(Visit::of_copy(session.clone()));
        }
        let candidates = core.cookie.find(&head.headers);
        let late = self.late_head(head);
        match candidates.as_slice() {
            [] => Opening::Ready(Ok(Visit::of_nobody(core, Held::Nothing, false, late))),
            [one] => match core.backend.load_now(core.key(one.locator)) {
                Some(loaded) => {
                    Opening::Ready(judge(core, &candidates, loaded.map(|record| smallvec![record]), late))
                }
                None => {
                    let (core, one) = (Arc::clone(core), *one);
                    Opening::pending(async move {
                        let loaded = core.backend.load(core.key(one.locator)).await;
                        judge(&core, &[one], loaded.map(|record| smallvec![record]), late)
                    })
                }
            },
            _ => {
                let core = Arc::clone(core);
                Opening::pending(async move {
                    let keys: Vec<Key<'_>> = candidates.iter().map(|one| core.key(one.locator)).collect();
                    let loaded = core.backend.load_many(&keys).await;
                    judge(&core, &candidates, loaded.map(SmallVec::from_vec), late)
                })
            }
        }
    }

    fn enter(&self, visit: &Visit, head: &mut Parts) {
        if !self.core.read_only {
            head.extensions.insert(visit.session.clone());
        }
    }

    fn close(&self, visit: Visit, response: &response::Parts) -> Closing {
        if visit.held_outside {
            return Closing::nothing();
        }
        let shared = &visit.session.0;
        if visit.touch {
            visit.touch(&self.core);
        }
        let discard = self.core.discard_on_5xx && response.status.is_server_error();
        let rest = shared.lock().seal(discard);
        match rest {
            Rest::Nothing => Closing::edits(visit.edits()),
            Rest::Commit => Closing::pending(async move { visit.commit().await }),
            Rest::Failed => Closing::Ready(visit.closed(!response.status.is_server_error())),
        }
    }
}

/// Decides what the loaded records say about the caller.
fn judge(
    core: &Arc<Core>,
    candidates: &[Presented],
    loaded: Loaded,
    late: Option<RequestHead>,
) -> Opened<Visit> {
    let good = loaded.and_then(|records| good_ones(core, candidates, records));
    let mut good = match good {
        Ok(good) => good,
        Err(error) => return unavailable(core, &error, late),
    };
    match (good.pop(), good.pop()) {
        (None, _) => Ok(Visit::of_nobody(core, Held::Nothing, true, late)),
        (Some((stored, age)), None) => Ok(Visit::of(core, stored, age, late)),
        (Some(_), Some(_)) => {
            tracing::warn!(reason = "ambiguous", "session rejected: two good ones on one request");
            Err(Rejection::BadRequest { challenge: None, description: "the request presents two sessions" })
        }
    }
}

type Good = SmallVec<[(Stored, Age); 1]>;

/// The sessions that were presented with their secret and are alive, each once.
fn good_ones(
    core: &Core,
    candidates: &[Presented],
    records: SmallVec<[Option<Record>; MAX_CANDIDATES]>,
) -> Result<Good, StoreError> {
    let now = core.clock.now();
    let mut good = Good::new();
    for (presented, record) in candidates.iter().zip(records) {
        let session_ref = presented.locator;
        let Some(record) = record else {
            tracing::debug!(%session_ref, reason = "unknown", "session rejected");
            continue;
        };
        if presented.proves(&record.header, now) == Proof::None {
            tracing::warn!(%session_ref, reason = "secret", "session rejected");
            continue;
        }
        let age = age(&record.header, now);
        if age == Age::Expired {
            tracing::debug!(%session_ref, reason = "expired", "session rejected");
            continue;
        }
        if good.iter().all(|(stored, _)| stored.locator != presented.locator) {
            good.push((core.stored(presented.locator, record)?, age));
        }
    }
    Ok(good)
}

fn unavailable(core: &Arc<Core>, error: &StoreError, late: Option<RequestHead>) -> Opened<Visit> {
    tracing::warn!(error = error.kind().label(), "a session could not be loaded");
    match core.on_unavailable {
        OnUnavailable::Reject => Err(Rejection::Unavailable { retry_after: RETRY_AFTER }),
        OnUnavailable::Anonymous => Ok(Visit::of_nobody(core, Held::Unavailable, true, late)),
    }
}

impl Visit {
    fn of(core: &Arc<Core>, stored: Stored, age: Age, head: Option<RequestHead>) -> (Authentication, Self) {
        let outcome = stored.identity.clone().map_or(Outcome::Anonymous, Outcome::Authenticated);
        let session = Session::new(Arc::clone(core), Held::Stored(stored));
        Self { session, presented: true, touch: age == Age::TouchDue, head, held_outside: false }
            .with(outcome)
    }

    fn of_nobody(
        core: &Arc<Core>,
        held: Held,
        presented: bool,
        head: Option<RequestHead>,
    ) -> (Authentication, Self) {
        let outcome = match held {
            Held::Unavailable => Outcome::Unavailable { retry_after: RETRY_AFTER },
            Held::Nothing | Held::Stored(_) | Held::Ended => Outcome::Anonymous,
        };
        let session = Session::new(Arc::clone(core), held);
        Self { session, presented, touch: false, head, held_outside: false }.with(outcome)
    }

    fn of_copy(session: Session) -> Self {
        Self { session, presented: false, touch: false, head: None, held_outside: true }
    }

    fn with(self, outcome: Outcome) -> (Authentication, Self) {
        let reader = Arc::clone(&self.session.0);
        (Authentication::from(outcome).on_read(reader), self)
    }

    fn touch(&self, core: &Arc<Core>) {
        if let Some(stored) = self.session.0.lock().stored() {
            core.touch_later(stored);
        }
    }

    /// Saves what is recorded. Its failure is the response's, because the data would be lost in silence; but when the
    /// session was ended meanwhile, the response stands.
    async fn commit(self) -> Closed {
        let refused = match self.session.0.commit().await {
            Ok(()) => false,
            Err(error) if error.kind() == SessionErrorKind::Ended => {
                tracing::info!("late write dropped: the session ended meanwhile");
                false
            }
            Err(error) => {
                log_lost(&error);
                true
            }
        };
        self.closed(refused)
    }

    fn closed(self, refused: bool) -> Closed {
        let edits = self.edits();
        let rejection = Rejection::Unavailable { retry_after: RETRY_AFTER };
        let refusal = self.head.filter(|_| refused).map(|head| Box::new((rejection, head)));
        Closed { edits, refusal }
    }

    /// Set-Cookie only if the session was created, rotated or destroyed; Vary if the cookie mattered.
    fn edits(&self) -> Edits {
        let shared = &self.session.0;
        let mut edits = Edits::default();
        let cookie = &shared.core.cookie;
        let set_cookie = shared.lock().take_cookie().and_then(|change| match change {
            CookieChange::Set(token) => cookie.set(&token),
            CookieChange::Remove => cookie.removal(),
        });
        if let Some(value) = set_cookie {
            edits.append(SET_COOKIE, value);
            edits.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if self.presented || shared.core.read_only || shared.was_read() {
            edits.append(VARY, HeaderValue::from_static("cookie"));
        }
        edits
    }
}

fn log_lost(error: &SessionError) {
    tracing::error!(%error, "a session could not be saved");
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("session", &self.session).finish_non_exhaustive()
    }
}
