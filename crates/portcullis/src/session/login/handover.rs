//! [`Handover`]: how a login takes the place of the session before: with all that it held at its end, or with nothing.
//!
//! * What goes along was loaded when the request began. The session before is destroyed only as it was then; if
//!   another request has written to it since, the new session is given what is there now, and it is tried again.
//! * A session before that somebody else has ended leaves nothing: its end was theirs, so what it held then is unknown,
//!   and a value that was taken from it must not come back.
//! * Nobody holds the new session's token yet, so nobody else writes values to it.

use portcullis_store::{Destroyed, Header, Locator, Record, Saved, StoreError, StoreErrorKind, Tag};

use crate::Identity;
use crate::session::core::Core;
use crate::session::error::{Reason, SessionError};
use crate::session::events::SessionEventKind;
use crate::session::payload::{Payload, Value};
use crate::session::shared::Shared;
use crate::session::stored::Stored;
use crate::session::tag::new_tag;

/// A new session that is stored, and the one whose place it takes.
pub(crate) struct Handover<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) new: &'a mut Stored,
    pub(crate) previous: Locator,
    pub(crate) inheritance: Inheritance,
    /// How many recorded operations went into the new session.
    pub(crate) operations: usize,
}

/// What of a session goes along when its place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inheritance {
    /// It was the same user's.
    All,
    /// It was nobody's.
    Marked,
    /// It was another user's.
    Nothing,
}

impl Inheritance {
    /// What `user` gets of a session that was signed in as `before`.
    pub(crate) fn of(before: Option<&Identity>, user: Locator) -> Self {
        match before {
            None => Self::Marked,
            Some(before) if Core::user_of(before) == user => Self::All,
            Some(_) => Self::Nothing,
        }
    }

    /// Leaves of `payload` what goes along.
    pub(crate) fn apply(self, payload: &mut Payload) {
        match self {
            Self::All => {}
            Self::Marked => payload.values.retain(|value| value.keep_on_login),
            Self::Nothing => {
                payload.values.clear();
                payload.device = Box::default();
                payload.network = None;
            }
        }
    }
}

impl Handover<'_> {
    /// Destroys the session before, which was last `seen` as this. Whether there still was one. With an error it goes on,
    /// unless its end was not answered.
    pub(crate) async fn run(mut self, seen: Tag) -> Result<bool, SessionError> {
        let core = &self.shared.core;
        let (key, write) = (core.key(self.previous), new_tag()?);
        let mut expected = seen;
        loop {
            match core.backend.destroy_unchanged(key, expected, write).await? {
                Destroyed::Done => return Ok(true),
                Destroyed::Gone => return self.carry(None).await.map(|()| false),
                Destroyed::Conflict { current } => {
                    self.carry(Some(&current)).await?;
                    core.emit(SessionEventKind::ConflictRetried, Some(&self.previous), None);
                    expected = current.header.tag();
                }
            }
        }
    }

    /// Gives the new session what goes along of the one before as it stands.
    async fn carry(&mut self, current: Option<&Record>) -> Result<(), SessionError> {
        let core = &self.shared.core;
        let mut contents = self.shared.lock().contents_over(current, self.operations, core)?;
        self.inheritance.apply(&mut contents);
        while let Some(next) = with_values(core, self.new.record(), &contents.values)? {
            let expected = self.new.record().header.tag();
            let stands = match core.backend.save(core.key(self.new.locator), expected, &next).await? {
                Saved::Done => next,
                // It was in its user's index already, and revoked.
                Saved::Gone => return Err(Reason::Ended.into()),
                // Its identity was changed, with all of the user's; or this was applied already, which is the same.
                Saved::Conflict { current, .. } => current,
            };
            *self.new = core.stored(self.new.locator, stands)?;
        }
        Ok(())
    }
}

/// The record with these values in place of its own, as the next write; `None` if they are its own.
fn with_values(core: &Core, record: &Record, values: &[Value]) -> Result<Option<Record>, SessionError> {
    let mut payload =
        Payload::decode(&record.payload).map_err(|_| StoreError::new(StoreErrorKind::Corrupt))?;
    if payload.values == values {
        return Ok(None);
    }
    payload.values = values.to_vec();
    core.fits(&payload)?;
    let header = Header { tags: record.header.tags_after(new_tag()?), ..record.header };
    Ok(Some(Record::new(header, payload.encode())))
}
