//! [`SessionAuthenticator`]: one request's session, in and out. The only file of the module that the layers wait in.

use std::fmt;
use std::sync::{Arc, MutexGuard};

use http::header::{CACHE_CONTROL, VARY};
use http::{Extensions, HeaderValue, Request, Response};
use portcullis_store::{Key, Record, StoreError, Timestamp};

use super::core::{Core, OnUnavailable, RETRY_AFTER};
use super::error::{SessionError, SessionErrorKind};
use super::events::{RejectedReason, SessionEventKind, StoreOperation};
use super::expiry::{Age, age, cookie_life};
use super::handle::Session;
use super::renewal::{Renewal, renewal};
use super::shared::Shared;
use super::state::{CookieChange, Held, Rest, State};
use super::stored::Stored;
use super::transport::{Candidates, Found, Presented, Proof, Rejected};
use crate::authenticate::{Authenticator, Closed, Closing, Edits, Opened, Opening};
use crate::guard::Head;
use crate::identity::{Authentication, Carrier, Outcome};
use crate::realm::{Realm, Slot, Standing};
use crate::rejection::Rejection;
use crate::respond::LateHead;

/// Finds a request's session by its cookie, and saves it on the way out.
#[derive(Clone, Debug)]
pub struct SessionAuthenticator {
    core: Arc<Core>,
    seat: Seat,
}

/// The layer's realm: where layers further out have left what they found, and where the handle is left for handlers.
#[derive(Clone, Copy)]
pub(crate) struct Seat {
    slot: &'static Slot,
    put: fn(&mut Extensions, Arc<Shared>),
    look: fn(&Extensions) -> Option<&Arc<Shared>>,
}

/// What the way out needs from the way in.
#[derive(Debug)]
pub struct Visit(Stay);

#[derive(Debug)]
enum Stay {
    /// Handlers have a handle, and may have written.
    Writable {
        session: Arc<Shared>,
        /// Whether the request's token decided what is in its extensions.
        presented: bool,
        chores: Option<Box<Chores>>,
    },
    /// Handlers have no handle. There is a session only if something is to be done about it.
    ReadOnly { due: Option<Box<(Stored, Chores)>> },
    /// Another copy of the layer, further out, holds the session and does all there is to do.
    HeldOutside,
}

/// What is due of a session's own accord. In a box, since nothing is for nearly all requests, which carry no room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chores {
    /// Its idle deadline is to be moved.
    touch: bool,
    /// What the presented secret asks for.
    renewal: Renewal,
}

/// What was loaded, and whether it may have changed since.
type Loaded = (Result<Option<Record>, StoreError>, bool);

impl SessionAuthenticator {
    pub(crate) fn new(core: Core, seat: Seat) -> Self {
        Self { core: Arc::new(core), seat }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Whether browsers send its credential by themselves.
    pub(crate) fn is_ambient(&self) -> bool {
        self.core.transport.carrier_of_identity() == Carrier::Ambient
    }

    /// What the way out needs of the head, should it have to refuse; where nothing can be written, it does not. Made where
    /// it is kept, for it is large.
    #[inline]
    fn late_head(&self, head: Head<'_>) -> Option<impl FnOnce() -> LateHead> {
        (!self.core.read_only).then_some(move || LateHead::of(head))
    }

    fn look(&self, found: &Found, head: Head<'_>) -> Opening<Visit> {
        let core = &self.core;
        if let Some(Rejected { why, locator }) = &found.rejected {
            core.emit(SessionEventKind::Rejected(*why), locator.as_ref(), None);
        }
        match found.candidates.as_slice() {
            [] => Opening::Ready(Ok(Visit::of_nobody(core, Held::Nothing, false, self.late_head(head)))),
            [one] => self.look_up(one, head),
            _ => self.look_all_up(found.candidates.clone(), head),
        }
    }

    fn look_up(&self, one: &Presented, head: Head<'_>) -> Opening<Visit> {
        let (core, now) = (&self.core, self.core.clock.now());
        if let Some(loaded) = load_now(core, one, now) {
            return Opening::Ready(judge_one(core, one, loaded, now, self.late_head(head)));
        }
        let (core, one, late) = (Arc::clone(core), *one, self.late_head(head).map(|late| late()));
        Opening::pending(async move {
            let loaded = core.backend.load_and_keep(core.key(one.locator)).await;
            judge_one(&core, &one, (loaded, false), core.clock.now(), late.map(|late| || late))
        })
    }

    fn look_all_up(&self, candidates: Candidates, head: Head<'_>) -> Opening<Visit> {
        let (core, late) = (Arc::clone(&self.core), self.late_head(head).map(|late| late()));
        Opening::pending(async move {
            let keys: Vec<Key<'_>> = candidates.iter().map(|one| core.key(one.locator)).collect();
            let loaded = core.backend.load_many(&keys).await;
            judge(&core, &candidates, loaded, core.clock.now(), late.map(|late| || late))
        })
    }

    fn leave(&self, visit: Visit, is_5xx: bool) -> Closing {
        match visit.0 {
            Stay::HeldOutside => Closing::nothing(),
            Stay::ReadOnly { due } => {
                if let Some((stored, chores)) = due.as_deref() {
                    chores.behind_the_response(stored, &self.core);
                }
                self.varying()
            }
            Stay::Writable { session, presented, chores } => self.seal(session, presented, chores, is_5xx),
        }
    }

    fn seal(
        &self,
        session: Arc<Shared>,
        presented: bool,
        chores: Option<Box<Chores>>,
        is_5xx: bool,
    ) -> Closing {
        if chores.is_none() && session.is_left_as_it_was() {
            return if varies(&session, presented) { self.varying() } else { Closing::nothing() };
        }
        let mut state = session.lock();
        if let Some(chores) = chores {
            if let Some(stored) = state.stored() {
                chores.behind_the_response(stored, &self.core);
            }
            if let Renewal::Due(secret) = chores.renewal {
                state.renew(secret, &self.core);
            }
        }
        let rest = state.seal(self.core.discard_on_5xx && is_5xx);
        if rest == Rest::Nothing {
            return Closing::edits(edits(&session, state, presented));
        }
        drop(state);
        match rest {
            Rest::Renewal => Closing::pending(async move { renew(&session, presented).await }),
            Rest::Commit => Closing::pending(async move { commit(&session, presented, !is_5xx).await }),
            Rest::Nothing | Rest::Failed => Closing::Ready(closed(&session, presented, !is_5xx)),
        }
    }

    fn varying(&self) -> Closing {
        Closing::edits(Edits::appending(VARY, self.core.transport.vary()))
    }
}

impl Seat {
    pub(crate) const fn of<M: Realm>() -> Self {
        Self {
            slot: Slot::of::<M>(),
            put: |extensions, shared| _ = extensions.insert(Session::<M>::of(shared)),
            look: |extensions| extensions.get().map(Session::<M>::shared),
        }
    }

    /// The handle, if a layer further out has left one.
    pub(crate) fn look<'a>(&self, extensions: &'a Extensions) -> Option<&'a Arc<Shared>> {
        (self.look)(extensions)
    }
}

impl Authenticator for SessionAuthenticator {
    type Visit = Visit;

    fn open<B>(&self, request: &mut Request<B>) -> Opening<Visit> {
        let core = &self.core;
        match core.claim.standing(self.seat.slot, request.extensions()) {
            Standing::Apart => {}
            Standing::Copy => return Opening::anonymous(Visit(Stay::HeldOutside)),
            Standing::Clash(misassembly) => return Opening::refused(Rejection::Misconfigured(misassembly)),
        }
        let found = core.transport.find(&core.realm, request.headers_mut());
        self.look(&found, Head::from(&*request))
    }

    fn enter<B>(&self, visit: &Visit, request: &mut Request<B>) {
        if let Stay::Writable { session, .. } = &visit.0 {
            (self.seat.put)(request.extensions_mut(), Arc::clone(session));
        }
    }

    fn close<B>(&self, visit: Visit, response: &Response<B>) -> Closing {
        self.leave(visit, response.status().is_server_error())
    }
}

/// From the cache, or else from a store that has no need to wait.
fn load_now(core: &Core, one: &Presented, now: Timestamp) -> Option<Loaded> {
    match core.backend.cached(one, now) {
        Some(record) => Some((Ok(Some(record)), true)),
        None => core.backend.load_now(core.key(one.locator), now).map(|loaded| (loaded, false)),
    }
}

/// Decides what the loaded record says about the caller, if it is one token that they present.
fn judge_one(
    core: &Arc<Core>,
    presented: &Presented,
    (loaded, may_be_old): Loaded,
    now: Timestamp,
    late: Option<impl FnOnce() -> LateHead>,
) -> Opened<Visit> {
    match loaded.and_then(|record| good(core, presented, record, now)) {
        Ok(Some(session)) => Ok(Visit::of(core, session, may_be_old, late)),
        Ok(None) => Ok(Visit::of_nobody(core, Held::Nothing, true, late)),
        Err(error) => unavailable(core, &error, late),
    }
}

/// The same for several tokens, of which one session at most may be good.
fn judge(
    core: &Arc<Core>,
    candidates: &[Presented],
    loaded: Result<Vec<Option<Record>>, StoreError>,
    now: Timestamp,
    late: Option<impl FnOnce() -> LateHead>,
) -> Opened<Visit> {
    let sessions = match loaded.and_then(|records| good_ones(core, candidates, records, now)) {
        Ok(sessions) => sessions,
        Err(error) => return unavailable(core, &error, late),
    };
    let mut sessions = sessions.into_iter();
    match (sessions.next(), sessions.next()) {
        (None, _) => Ok(Visit::of_nobody(core, Held::Nothing, true, late)),
        (Some(session), None) => Ok(Visit::of(core, session, false, late)),
        (Some(_), Some(_)) => {
            core.emit(SessionEventKind::Rejected(RejectedReason::Ambiguous), None, None);
            Err(Rejection::BadRequest { challenge: None, description: "the request presents two sessions" })
        }
    }
}

/// A session that was presented with its secret and is alive, and what is due of it.
struct Good {
    stored: Stored,
    proof: Proof,
    chores: Option<Box<Chores>>,
}

/// The good sessions among those presented, each once.
fn good_ones(
    core: &Core,
    candidates: &[Presented],
    records: Vec<Option<Record>>,
    now: Timestamp,
) -> Result<Vec<Good>, StoreError> {
    let mut sessions: Vec<Good> = Vec::new();
    for (presented, record) in candidates.iter().zip(records) {
        let session = good(core, presented, record, now)?;
        if sessions.iter().all(|session| session.stored.locator != presented.locator) {
            sessions.extend(session);
        }
    }
    Ok(sessions)
}

/// The session, if it was presented with its secret and is alive.
fn good(
    core: &Core,
    presented: &Presented,
    record: Option<Record>,
    now: Timestamp,
) -> Result<Option<Good>, StoreError> {
    let rejected = |why| {
        core.emit(SessionEventKind::Rejected(why), Some(&presented.locator), None);
        Ok(None)
    };
    let Some(record) = record else { return rejected(RejectedReason::Unknown) };
    let proof = presented.proves(&record.header, now);
    if proof == Proof::None {
        return rejected(RejectedReason::Secret);
    }
    let age = age(&record.header, now);
    if age == Age::Expired {
        return rejected(RejectedReason::Expired);
    }
    let renewal = renewal(&record.header, proof, now, core.renew_every);
    let stored = core.loaded(presented.locator, record)?;
    let chores = Chores { touch: age == Age::TouchDue, renewal };
    Ok(Some(Good { stored, proof, chores: chores.if_any() }))
}

fn unavailable(
    core: &Arc<Core>,
    error: &StoreError,
    late: Option<impl FnOnce() -> LateHead>,
) -> Opened<Visit> {
    core.store_failed(StoreOperation::Load, error.kind(), None);
    match core.on_unavailable {
        OnUnavailable::Reject => Err(Rejection::Unavailable { retry_after: RETRY_AFTER }),
        OnUnavailable::Anonymous => Ok(Visit::of_nobody(core, Held::Unavailable, true, late)),
    }
}

impl Visit {
    fn of(
        core: &Arc<Core>,
        Good { stored, proof, chores }: Good,
        may_be_old: bool,
        late: Option<impl FnOnce() -> LateHead>,
    ) -> (Authentication, Self) {
        if proof == Proof::Previous {
            core.emit_of(SessionEventKind::PreviousSecretUsed, &stored);
        }
        let outcome = match stored.identity() {
            Some(identity) => Outcome::Authenticated(identity.clone()),
            None => Outcome::Anonymous,
        };
        match late {
            Some(late) => {
                let held = Held::Stored(stored);
                let by_previous = proof == Proof::Previous;
                let session = Arc::new(Shared::new(Arc::clone(core), held, may_be_old, by_previous, late));
                Self::writable(session, true, chores, outcome)
            }
            None => {
                let due = chores.filter(|chores| chores.are_due());
                Self::read_only(core, due.map(|chores| Box::new((stored, *chores))), outcome)
            }
        }
    }

    fn of_nobody(
        core: &Arc<Core>,
        held: Held,
        presented: bool,
        late: Option<impl FnOnce() -> LateHead>,
    ) -> (Authentication, Self) {
        let outcome = match held {
            Held::Unavailable => Outcome::Unavailable { retry_after: RETRY_AFTER },
            Held::Nothing | Held::Stored(_) | Held::Ended | Held::Withheld => Outcome::Anonymous,
        };
        match late {
            Some(late) => {
                let session = Arc::new(Shared::new(Arc::clone(core), held, false, false, late));
                Self::writable(session, presented, None, outcome)
            }
            None => Self::read_only(core, None, outcome),
        }
    }

    fn writable(
        session: Arc<Shared>,
        presented: bool,
        chores: Option<Box<Chores>>,
        outcome: Outcome,
    ) -> (Authentication, Self) {
        let found = Authentication::of_session(outcome, Arc::clone(&session) as _);
        (found, Self(Stay::Writable { session, presented, chores }))
    }

    fn read_only(
        core: &Arc<Core>,
        due: Option<Box<(Stored, Chores)>>,
        outcome: Outcome,
    ) -> (Authentication, Self) {
        let found = Authentication::of_session(outcome, Arc::clone(core) as _);
        (found, Self(Stay::ReadOnly { due }))
    }
}

impl Chores {
    fn if_any(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    fn are_due(self) -> bool {
        self.touch || self.renewal == Renewal::Arrived
    }

    fn behind_the_response(self, stored: &Stored, core: &Arc<Core>) {
        if self.touch {
            core.touch_later(stored);
        }
        if self.renewal == Renewal::Arrived {
            core.arrived_later(stored);
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.slot.name).finish()
    }
}

/// Saves a new secret and nothing else. That it cannot be saved is no loss: the next request tries again.
async fn renew(shared: &Shared, presented: bool) -> Closed {
    if let Err(error) = shared.commit().await {
        tracing::debug!(%error, "a session was not renewed");
    }
    closed(shared, presented, false)
}

/// Saves what is recorded. Its failure is the response's, because the data would be lost in silence; but a response that
/// says itself that the service has failed stands, and so does one whose session was ended meanwhile.
async fn commit(shared: &Shared, presented: bool, may_refuse: bool) -> Closed {
    let refused = match shared.commit().await {
        Ok(()) => false,
        Err(error) if error.kind() == SessionErrorKind::Ended => false,
        Err(error) => {
            log_lost(&error);
            may_refuse
        }
    };
    closed(shared, presented, refused)
}

fn closed(shared: &Shared, presented: bool, refused: bool) -> Closed {
    let rejection = Rejection::Unavailable { retry_after: RETRY_AFTER };
    let refusal = refused.then(|| Box::new((rejection, shared.head.head())));
    Closed { edits: edits(shared, shared.lock(), presented), refusal }
}

/// A token goes out only if the session was created, rotated or destroyed; Vary if the one that came in mattered.
fn edits(shared: &Shared, mut state: MutexGuard<'_, State>, presented: bool) -> Edits {
    let mut edits = Edits::default();
    let Core { transport, realm, clock, .. } = &*shared.core;
    let field = state.take_cookie().and_then(|change| match change {
        CookieChange::Set(token) => {
            let life = state.stored().and_then(|stored| cookie_life(&stored.record().header, clock.now()));
            transport.handing_out(realm, &token, life)
        }
        CookieChange::Remove => transport.removal(),
    });
    drop(state);
    if let Some((name, value)) = field {
        edits.append(name, value);
        edits.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if varies(shared, presented) {
        edits.append(VARY, transport.vary());
    }
    edits
}

fn varies(shared: &Shared, presented: bool) -> bool {
    presented || shared.was_read()
}

fn log_lost(error: &SessionError) {
    tracing::error!(%error, "a session could not be saved");
}
