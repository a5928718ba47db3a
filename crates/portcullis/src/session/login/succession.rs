//! [`Succession`]: a login, whose new session takes the place of the one before.

use std::sync::Arc;

use portcullis_store::{AtOnce, Locator, Record, Tag};

use super::SignIn;
use super::admission::{Admission, left_behind};
use super::handover::{Handover, Inheritance};
use crate::Identity;
use crate::session::core::{Core, Ending, Holder};
use crate::session::error::{Reason, SessionError, SessionErrorKind};
use crate::session::events::{DestroyedReason, LimitOutcome, SessionEventKind};
use crate::session::payload::Who;
use crate::session::shared::Shared;
use crate::session::state::{CookieChange, Held};
use crate::session::stored::Stored;
use crate::session::transport::Token;

/// A new session that is to take the place of the one before.
struct Succession {
    token: Token,
    stored: Stored,
    user: Locator,
    previous: Option<Previous>,
    /// How many recorded operations went into it.
    operations: usize,
}

/// The session whose place a login takes.
struct Previous {
    ending: Ending,
    /// As of when it was loaded, or last committed.
    seen: Tag,
    who: Option<Identity>,
    inheritance: Inheritance,
}

/// A session that is stored and whose token nobody has. Dropped before it is kept, by an error or by cancellation, it
/// is ended.
struct Orphan {
    core: Arc<Core>,
    ending: Option<Ending>,
}

impl Shared {
    pub(crate) async fn login(&self, wanted: SignIn) -> Result<(), SessionError> {
        let _turn = self.turn().await;
        let core = &self.core;
        let credential_version = wanted.credential_version;
        let mut login = self.plan_login(wanted)?;
        let (locator, user) = (login.stored.locator, login.user);
        let orphan = Orphan { core: Arc::clone(core), ending: Some(Ending { locator, user: Some(user) }) };
        let admission = Admission {
            locator,
            record: login.stored.record(),
            user,
            who: login.stored.identity(),
            replaces: login.previous.as_ref().map(|previous| previous.ending.locator),
            credential_version,
        };
        if let Some(previous) = &login.previous {
            core.end_dependents(previous.ending.user, &[previous.ending.locator]).await?;
        }
        let superseded = match &login.previous {
            Some(previous) => admission.run_at_once(previous.ending.locator, previous.seen, core).await?,
            None => AtOnce::NotDone,
        };
        if superseded == AtOnce::NotDone
            && let Err(error) = admission.run(core).await
        {
            if error.kind() == SessionErrorKind::LimitReached {
                let refused = SessionEventKind::LimitReached(LimitOutcome::Refused);
                core.emit(refused, None, login.stored.identity());
            }
            return Err(orphan.refused(error).await);
        }
        self.take_over(&mut login, superseded).await?;
        orphan.keep();
        let who = login.stored.identity().cloned();
        let (held, cookie) = (Held::Stored(login.stored), CookieChange::Set(login.token));
        let replaced = self.lock().replace(held, cookie, login.operations, core);
        core.emit(SessionEventKind::SignedIn, Some(&locator), who.as_ref());
        replaced
    }

    /// Ends the session before, when the new one has all that goes along.
    async fn take_over(&self, login: &mut Succession, superseded: AtOnce) -> Result<(), SessionError> {
        let Some(previous) = &login.previous else { return Ok(()) };
        let Ending { locator, user } = previous.ending;
        let destroyed = match superseded {
            AtOnce::Done => true,
            AtOnce::NotDone => {
                // The cookie can no longer go out: then the session before is the only one that the browser has.
                self.lock().for_login()?;
                let handover = Handover {
                    shared: self,
                    new: &mut login.stored,
                    previous: locator,
                    inheritance: previous.inheritance,
                    operations: login.operations,
                };
                self.core.backend.within_budget(handover.run(previous.seen)).await?
            }
        };
        if let Some(user) = user {
            self.core.withdraw(user, &[locator]).await;
        }
        if destroyed {
            let kind = SessionEventKind::Destroyed(DestroyedReason::Login);
            self.core.emit(kind, Some(&locator), previous.who.as_ref());
        }
        Ok(())
    }

    fn plan_login(&self, wanted: SignIn) -> Result<Succession, SessionError> {
        let core = &self.core;
        let identity = &core.settled(wanted.identity);
        if identity.subject().is_empty() {
            return Err(Reason::NoSubject.into());
        }
        let state = self.lock_to_read();
        let previous = state.for_login()?;
        let user = Core::user_of(identity);
        let mut payload = state.contents(core)?;
        let before = previous;
        let previous = previous.map(|stored| Previous {
            ending: Core::ending(stored),
            seen: stored.record().header.tag(),
            who: stored.identity().cloned(),
            inheritance: Inheritance::of(stored.identity(), user),
        });
        previous.as_ref().map_or(Inheritance::Marked, |previous| previous.inheritance).apply(&mut payload);
        if let Some(label) = wanted.device {
            payload.device = label.into();
        }
        payload.network = wanted.network.or(payload.network);
        payload.identity = Some(Who::Known(identity.clone()));
        core.fits_after(before, &payload)?;
        let token = Token::mint()?;
        let holder = if wanted.remember { Holder::Remembered(identity) } else { Holder::User(identity) };
        let record = Record::new(core.header(&token, holder)?, payload.encode());
        Ok(Succession {
            stored: core.stored(token.locator, record)?,
            token,
            user,
            previous,
            operations: state.recorded(),
        })
    }
}

impl Orphan {
    /// A login failed. If it was refused, what it has stored is ended before that is said; else when it can be.
    async fn refused(mut self, error: SessionError) -> SessionError {
        if let Some(ending) = self.ending.and_then(|new| left_behind(&error, new))
            && self.core.end(ending).await.is_ok()
        {
            self.ending = None;
        }
        error
    }

    fn keep(mut self) {
        self.ending = None;
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if let Some(ending) = self.ending {
            self.core.end_later(ending);
        }
    }
}
