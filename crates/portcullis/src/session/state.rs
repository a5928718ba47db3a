//! [`State`]: what one request knows of its session, and what it has recorded but not committed. No I/O here.

mod ops;
mod step;
mod view;

use portcullis_store::{Record, Saved, SecretHash, StoreError, StoreErrorKind, Timestamp};

pub(in crate::session) use self::ops::Operation;
use self::step::Creation;
pub(in crate::session) use self::step::{Attempt, Step};
use self::view::View;
use super::core::{Core, Holder};
use super::error::{Reason, SessionError, SessionErrorKind};
use super::payload::{Payload, value_in};
use super::stored::Stored;
use super::tag::new_tag;
use super::transport::Token;
use crate::Identity;

/// What one request knows of its session.
#[derive(Debug)]
pub(crate) struct State {
    held: Held,
    /// Recorded and not committed, in order.
    pending: Vec<Operation>,
    /// The session with what is pending applied; `None` while nothing is.
    view: Option<Box<View>>,
    /// A save that was sent and whose outcome is not known.
    attempt: Option<Box<Attempt>>,
    /// What the response must tell the browser.
    cookie: Option<CookieChange>,
    /// A save gave the session a new secret, which is not told yet.
    rotated: bool,
    /// The session began in this request, by a login.
    begun: bool,
    /// The response's head is gone.
    sealed: bool,
    /// The last commit failed in a way that leaves it open what is stored.
    failed: bool,
    /// What was loaded may have changed long before it is saved. So "nothing changes" is for the store to say, and not for
    /// what was loaded.
    may_be_old: bool,
    /// What the request has presented is not the session's secret, but the one before.
    by_previous: bool,
}

/// What is left to do with a session when the response is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing is recorded that is not committed.
    Nothing,
    /// A commit.
    Commit,
    /// A commit of nothing but a new secret.
    Renewal,
    /// The handler's own commit failed. The store is not waited for again.
    Failed,
}

/// The session that a request holds.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// None yet. The first write makes one.
    Nothing,
    /// One that is stored.
    Stored(Stored),
    /// One that was ended meanwhile by somebody else.
    Ended,
    /// Which one cannot be told, because the store was out of reach.
    Unavailable,
    /// One that this request did not prove its right to. It reads as none, and cannot be written.
    Withheld,
}

/// A proof of who somebody is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) at: Timestamp,
    /// When the one before was given.
    pub(crate) before: Option<Timestamp>,
}

/// What the response must tell the browser.
#[derive(Clone, Debug)]
pub(crate) enum CookieChange {
    Set(Token),
    Remove,
}

impl State {
    #[inline]
    pub(crate) fn new(held: Held, may_be_old: bool, by_previous: bool) -> Self {
        Self {
            held,
            pending: Vec::new(),
            view: None,
            attempt: None,
            cookie: None,
            rotated: false,
            begun: false,
            sealed: false,
            failed: false,
            may_be_old,
            by_previous,
        }
    }

    pub(crate) fn may_be_old(&self) -> bool {
        self.may_be_old
    }

    /// It is no longer this request's: another secret has taken its place.
    pub(crate) fn lose(&mut self) {
        self.held = Held::Ended;
        self.discard();
    }

    pub(crate) fn stored(&self) -> Option<&Stored> {
        match &self.held {
            Held::Stored(stored) => Some(stored),
            Held::Nothing | Held::Ended | Held::Unavailable | Held::Withheld => None,
        }
    }

    /// Who is signed in by the session that is held.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.stored().and_then(|stored| stored.identity().cloned())
    }

    /// The value under `key`, with what is pending applied.
    pub(crate) fn value(&self, key: &str) -> Result<Option<&[u8]>, SessionError> {
        match (&self.view, &self.held) {
            (_, Held::Unavailable) => Err(unavailable()),
            (Some(view), _) => Ok(view.payload.value(key)),
            (None, Held::Stored(stored)) => Ok(value_in(&stored.record().payload, key)),
            (None, Held::Nothing | Held::Ended | Held::Withheld) => Ok(None),
        }
    }

    /// Records an operation. One that cannot be applied is not recorded.
    pub(crate) fn record(&mut self, operation: Operation, core: &Core) -> Result<(), SessionError> {
        self.writable()?;
        // The view stays where it is while a closure of the handler's runs: one that panics takes nothing along.
        let mut fresh = None;
        let view = match &mut self.view {
            Some(view) => view,
            None => fresh.insert(Box::new(self.fresh_view(core)?)),
        };
        let before = if let Held::Stored(stored) = &self.held { Some(stored) } else { None };
        let applied =
            view.apply(std::iter::once(&operation)).and_then(|()| core.fits_after(before, &view.payload));
        if applied.is_ok() {
            self.view = self.view.take().or(fresh);
            // One is usual, and four are what a list makes room for.
            self.pending.reserve_exact(usize::from(self.pending.is_empty()));
            self.pending.push(operation);
        } else {
            self.rebuild_view(core)?;
        }
        applied
    }

    /// How many operations are recorded and not committed.
    pub(crate) fn recorded(&self) -> usize {
        self.pending.len()
    }

    /// The session that is stored; that it cannot be told is an error, not "none".
    pub(crate) fn holding(&self) -> Result<Option<&Stored>, SessionError> {
        match &self.held {
            Held::Stored(stored) => Ok(Some(stored)),
            Held::Nothing | Held::Ended => Ok(None),
            Held::Unavailable => Err(unavailable()),
            Held::Withheld => Err(Reason::Withheld.into()),
        }
    }

    /// Whether it was ended meanwhile by somebody else.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.held, Held::Ended)
    }

    /// The session that a login would take the place of. A login needs none, so one that has ended is none.
    pub(crate) fn for_login(&self) -> Result<Option<&Stored>, SessionError> {
        if self.sealed { Err(Reason::Sealed.into()) } else { self.holding() }
    }

    /// Whether something can still be written.
    pub(crate) fn writable(&self) -> Result<(), SessionError> {
        match self.held {
            _ if self.sealed => Err(Reason::Sealed.into()),
            Held::Unavailable => Err(unavailable()),
            Held::Ended => Err(Reason::Ended.into()),
            Held::Withheld => Err(Reason::Withheld.into()),
            Held::Nothing | Held::Stored(_) => Ok(()),
        }
    }

    /// The secret that the client has.
    pub(crate) fn presented(&self) -> Option<SecretHash> {
        let header = &self.stored()?.record().header;
        let previous = header.previous.filter(|_| self.by_previous);
        Some(previous.map_or(header.secret, |(secret, _)| secret))
    }

    /// Whether this proof, or another one that came meanwhile, is noted. If not, the request's secret was replaced before, and
    /// the session is no longer this request's.
    pub(crate) fn ensure_noted(&mut self, Given { at, before }: Given) -> Result<(), SessionError> {
        let noted = self.stored().and_then(|stored| stored.record().header.authenticated);
        if noted == Some(at) || noted != before {
            return Ok(());
        }
        self.lose();
        Err(Reason::Ended.into())
    }

    /// Records a new secret in place of `from`, which was loaded; nothing, if the handler has replaced it.
    pub(crate) fn renew(&mut self, from: SecretHash, core: &Core) {
        let Some(stored) = self.stored().filter(|stored| stored.record().header.secret == from) else {
            return;
        };
        if let Ok(token) = Token::renewed(stored.locator) {
            // What cannot be recorded is no loss: the next request tries again.
            let _ = self.record(Operation::Renew { token, at: core.clock.now(), from }, core);
        }
    }

    /// Nothing can be recorded from here on. What is left to do; with `discard`, what is recorded is dropped.
    pub(crate) fn seal(&mut self, discard: bool) -> Rest {
        self.sealed = true;
        // A secret that may have been replaced is found out about, so that the new one goes out and the old one ends.
        let rotation = self.attempt.as_ref().filter(|attempt| attempt.rotates);
        let rotation = rotation.map(|attempt| attempt.operations);
        match (discard, rotation) {
            (true, Some(operations)) => self.pending.truncate(operations),
            (true, None) => self.discard(),
            (false, _) => {}
        }
        match self.failed {
            true if rotation.is_none() => Rest::Failed,
            false if self.pending.is_empty() => Rest::Nothing,
            false if self.only_renews() => Rest::Renewal,
            true | false => Rest::Commit,
        }
    }

    /// A commit failed.
    pub(crate) fn note_failure(&mut self, error: &SessionError) {
        self.failed = match error.kind() {
            SessionErrorKind::Store(_) | SessionErrorKind::Uncertain | SessionErrorKind::Entropy => true,
            // The handler was told, and nothing is open.
            SessionErrorKind::Ended
            | SessionErrorKind::Sealed
            | SessionErrorKind::SignedOut
            | SessionErrorKind::NotFound
            | SessionErrorKind::NotStored
            | SessionErrorKind::LimitReached
            | SessionErrorKind::StaleCredential
            | SessionErrorKind::Withheld
            | SessionErrorKind::NoSubject
            | SessionErrorKind::TooLarge
            | SessionErrorKind::Value => false,
        };
    }

    /// Whether nothing that is recorded comes from the handler.
    pub(crate) fn only_renews(&self) -> bool {
        self.pending.iter().all(|operation| matches!(operation, Operation::Renew { .. }))
    }

    pub(crate) fn discard(&mut self) {
        self.pending.clear();
        self.view = None;
        self.attempt = None;
    }

    /// Whether the session has got a new secret; asked once.
    pub(crate) fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated)
    }

    /// What the response must tell the browser; asked once.
    pub(crate) fn take_cookie(&mut self) -> Option<CookieChange> {
        self.cookie.take()
    }

    /// The session that a login has begun here, while the response has not taken its token along.
    pub(crate) fn undelivered(&self) -> Option<&Stored> {
        let waits = self.begun && matches!(self.cookie, Some(CookieChange::Set(_)));
        self.stored().filter(|_| waits)
    }

    /// Whether a commit of which nothing is on its way has more to do. If not, it has succeeded, whatever became of those before.
    fn has_more(&mut self) -> bool {
        let has_more = !self.pending.is_empty();
        self.failed &= has_more;
        has_more
    }

    /// What a commit has to do next; `None` when it is done.
    pub(crate) fn next_step(&mut self, core: &Core) -> Result<Option<Step>, SessionError> {
        if let Some(attempt) = &mut self.attempt {
            attempt.in_doubt = true;
            return Ok(Some(Step::Save((**attempt).clone())));
        }
        if !self.has_more() {
            return Ok(None);
        }
        let step = self.plan(core).inspect_err(|_| self.discard())?;
        match &step {
            Some(Step::Save(attempt)) => self.attempt = Some(Box::new(attempt.clone())),
            Some(Step::Create(_)) => {}
            None => {
                self.discard();
                self.failed = false;
            }
        }
        Ok(step)
    }

    fn plan(&self, core: &Core) -> Result<Option<Step>, SessionError> {
        let Some(view) = &self.view else { return Ok(None) };
        core.fits_after(self.stored(), &view.payload)?;
        let operations = self.pending.len();
        match &self.held {
            Held::Unavailable => Err(unavailable()),
            Held::Ended => Err(Reason::Ended.into()),
            Held::Withheld => Err(Reason::Withheld.into()),
            Held::Nothing if view.payload.values.is_empty() => Ok(None),
            Held::Nothing => {
                let token = Token::mint()?;
                let header = core.header(&token, Holder::Anonymous)?;
                Ok(Some(Step::Create(Creation { token, record: view.record(header), operations })))
            }
            Held::Stored(stored) => {
                let mut record = view.record(view.header);
                if record == *stored.record() && !self.may_be_old {
                    return Ok(None);
                }
                // What is recorded may give none: that of another request has ended the secret that it was for.
                let rotates = record.header.secret != stored.record().header.secret;
                record.header.tags = stored.record().header.tags_after(new_tag()?);
                Ok(Some(Step::Save(Attempt {
                    locator: stored.locator,
                    expected: stored.record().header.tag(),
                    record,
                    operations,
                    rotates,
                    in_doubt: false,
                })))
            }
        }
    }

    /// A new session was created. Whether a commit has more to do.
    pub(crate) fn created(&mut self, creation: Creation, core: &Core) -> Result<bool, SessionError> {
        let Creation { token, record, operations } = creation;
        self.held = Held::Stored(Stored::new(token.locator, record, None));
        self.cookie = Some(CookieChange::Set(token));
        self.committed(operations, core).map(|()| self.has_more())
    }

    /// A save was answered. Whether a commit has more to do.
    pub(crate) fn saved(&mut self, saved: Saved, core: &Core) -> Result<bool, SessionError> {
        self.take_answer(saved, core).map(|()| self.has_more())
    }

    fn take_answer(&mut self, saved: Saved, core: &Core) -> Result<(), SessionError> {
        let Some(attempt) = self.attempt.take() else { return Ok(()) };
        match saved {
            Saved::Done => {
                self.see(attempt.record, core)?;
                self.committed(attempt.operations, core)
            }
            Saved::Gone => {
                self.held = Held::Ended;
                self.cookie.take_if(|change| matches!(change, CookieChange::Set(_)));
                self.discard();
                Err(Reason::Ended.into())
            }
            Saved::Conflict { current, in_doubt } => {
                let applied = if in_doubt || attempt.in_doubt {
                    attempt.was_applied(&current.header)
                } else {
                    Some(false)
                };
                self.see(current, core)?;
                match applied {
                    Some(true) => self.committed(attempt.operations, core),
                    Some(false) => self.rebuild_view(core),
                    None => {
                        self.discard();
                        Err(Reason::Uncertain.into())
                    }
                }
            }
        }
    }

    /// Puts a new session in the place of the one before. The first `operations` that were recorded went into it or
    /// went with it; later ones are on top of it.
    pub(crate) fn replace(
        &mut self,
        held: Held,
        cookie: CookieChange,
        operations: usize,
        core: &Core,
    ) -> Result<(), SessionError> {
        self.held = held;
        self.begun = matches!(cookie, CookieChange::Set(_));
        self.cookie = Some(cookie);
        self.attempt = None;
        self.failed = false;
        self.pending.drain(..operations.min(self.pending.len()));
        self.rebuild_view(core)
    }

    /// The session with what is pending applied.
    pub(crate) fn contents(&self, core: &Core) -> Result<Payload, SessionError> {
        match &self.view {
            Some(view) => Ok(view.payload.clone()),
            None => Ok(self.fresh_view(core)?.payload),
        }
    }

    /// The session was looked up; what is pending is on top of what was found.
    pub(crate) fn refreshed(&mut self, found: Option<Record>, core: &Core) -> Result<(), SessionError> {
        match found {
            Some(record) => {
                self.see(record, core)?;
                self.rebuild_view(core)
            }
            None => {
                self.lose();
                Err(Reason::Ended.into())
            }
        }
    }

    /// What the first `operations` make of `current`, as if that had been loaded: of none, of no session.
    pub(crate) fn contents_over(
        &self,
        current: Option<&Record>,
        operations: usize,
        core: &Core,
    ) -> Result<Payload, SessionError> {
        let mut view = match current {
            Some(record) => View::of(record, None)?,
            None => View::blank(core),
        };
        let applied = match (&self.attempt, current) {
            (Some(attempt), Some(current)) => match attempt.was_applied(&current.header) {
                Some(true) => attempt.operations,
                Some(false) => 0,
                None => return Err(Reason::Uncertain.into()),
            },
            (None, _) | (_, None) => 0,
        };
        view.apply(self.pending.iter().take(operations).skip(applied))?;
        Ok(view.payload)
    }

    fn see(&mut self, record: Record, core: &Core) -> Result<(), SessionError> {
        if let Held::Stored(stored) = &mut self.held {
            *stored = core.stored_after(stored, record)?;
        }
        Ok(())
    }

    fn committed(&mut self, operations: usize, core: &Core) -> Result<(), SessionError> {
        let (mut reauthenticated, mut settle) = (None, None);
        for operation in self.pending.drain(..operations.min(self.pending.len())) {
            let (token, rotates) = match operation {
                Operation::Rotate { token, at, reauthenticated: proven, .. } => {
                    reauthenticated = proven.then_some(at).or(reauthenticated);
                    (token, true)
                }
                Operation::Renew { token, .. } => (token, false),
                Operation::Set { .. }
                | Operation::Remove { .. }
                | Operation::Clear
                | Operation::Update { .. }
                | Operation::Settle { .. } => continue,
            };
            let secret = token.hash();
            // A renewal that another request was faster with is none.
            if let Held::Stored(stored) = &self.held
                && stored.record().header.secret == secret
            {
                self.cookie = Some(CookieChange::Set(token));
                (self.rotated, self.by_previous) = (true, false);
                settle = rotates.then_some(secret);
            }
        }
        let settle = settle.map(|secret| Operation::Settle { secret, reauthenticated });
        self.pending.splice(..0, settle);
        self.rebuild_view(core)
    }

    /// What cannot be applied to the session as it stands is dropped, and said. So is all that is pending if a closure of
    /// the handler's panics: what was made of the session before must not be committed over what it is now.
    fn rebuild_view(&mut self, core: &Core) -> Result<(), SessionError> {
        let (pending, attempt) = (std::mem::take(&mut self.pending), self.attempt.take());
        self.view = None;
        self.view = self.view_with(&pending, core)?;
        (self.pending, self.attempt) = (pending, attempt);
        Ok(())
    }

    fn view_with(&self, operations: &[Operation], core: &Core) -> Result<Option<Box<View>>, SessionError> {
        if operations.is_empty() {
            return Ok(None);
        }
        let mut view = self.fresh_view(core)?;
        view.apply(operations.iter())?;
        Ok(Some(Box::new(view)))
    }

    fn fresh_view(&self, core: &Core) -> Result<View, SessionError> {
        match self.stored() {
            Some(stored) => View::of(stored.record(), stored.identity()),
            None => Ok(View::blank(core)),
        }
    }
}

fn unavailable() -> SessionError {
    StoreError::new(StoreErrorKind::Unavailable).into()
}
