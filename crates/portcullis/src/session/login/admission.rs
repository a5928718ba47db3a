//! [`Admission`]: a new session's way into its user's index, past the limit and the credential version.
//!
//! The order is session, index, and only then the cookie: a live session is never missing from its user's index.

use portcullis_store::{
    AtOnce, CredentialVersion, Enrolled, Enrolment, Key, Locator, Record, StoreError, StoreErrorKind, Tag,
    Timestamp,
};

use super::limit::Room;
use crate::Identity;
use crate::session::core::{Core, Ending};
use crate::session::error::{Reason, SessionError, SessionErrorKind};
use crate::session::events::{LimitOutcome, SessionEventKind};

/// A new session, as it is to be stored and entered in its user's index.
#[derive(Clone, Copy)]
pub(crate) struct Admission<'a> {
    pub(crate) locator: Locator,
    pub(crate) record: &'a Record,
    pub(crate) user: Locator,
    /// The user's name, for events.
    pub(crate) who: Option<&'a Identity>,
    /// The session that the new one takes the place of.
    pub(crate) replaces: Option<Locator>,
    pub(crate) credential_version: Option<CredentialVersion>,
}

/// Whoever loses this often against other logins of one user is not let in. Somebody wins each time.
const MAX_ROUNDS: usize = 64;

impl Admission<'_> {
    /// Stores the session, enters it and destroys the one that it takes the place of, if that is still as `expected` and
    /// the store can do it in one step. If not, nothing is done, or what a [`run`](Self::run) repeats. With an error it may
    /// be stored, and it has no holder.
    pub(crate) async fn run_at_once(
        self,
        before: Locator,
        expected: Tag,
        core: &Core,
    ) -> Result<AtOnce, SessionError> {
        let (before, key) = (core.key(before), core.key(self.locator));
        Ok(core.backend.supersede(before, expected, key, self.record, self.enrolment(core)).await?)
    }

    /// Stores the session and enters it. With an error it may be stored, and it has no holder.
    pub(crate) async fn run(self, core: &Core) -> Result<(), SessionError> {
        let enrolment = self.enrolment(core);
        let key = core.key(self.locator);
        let mut answer = core.backend.create_enrolled(key, self.record, enrolment).await?;
        for _ in 0..MAX_ROUNDS {
            let members = match answer {
                Enrolled::Done => return Ok(()),
                Enrolled::StaleCredential => return Err(Reason::StaleCredential.into()),
                // 128 random bits that are taken are not: the store is broken.
                Enrolled::Taken => return Err(StoreError::new(StoreErrorKind::Corrupt).into()),
                Enrolled::Full(members) => members,
            };
            let ended = make_room(core, &members, (self.user, self.who)).await?;
            answer = core.backend.enrol(self.locator, enrolment.evicted(&ended)).await?;
        }
        Err(StoreError::new(StoreErrorKind::Timeout).into())
    }

    fn enrolment<'a>(&self, core: &'a Core) -> Enrolment<'a> {
        let mut enrolment = Enrolment::new(core.user_key(self.user), self.record.header.absolute_deadline);
        enrolment.limit = core.limit.map(|limit| limit.max);
        enrolment.replaces = self.replaces;
        enrolment.credential_version = self.credential_version;
        enrolment
    }
}

/// Ends whom the limit's policy names. Gives those that have ended, to be taken out of the index.
async fn make_room(
    core: &Core,
    members: &[Locator],
    (user, who): (Locator, Option<&Identity>),
) -> Result<Vec<Locator>, SessionError> {
    let members = with_age(core, members).await?;
    match core.limit.map_or(Room::Refuse, |limit| limit.room(&members)) {
        Room::Free { dead } => Ok(dead),
        Room::Refuse => Err(Reason::LimitReached.into()),
        Room::Evict { victims, mut dead } => {
            let keys: Vec<Key<'_>> = victims.iter().map(|locator| core.key(*locator)).collect();
            core.end_dependents(Some(user), &victims).await?;
            core.backend.destroy(&keys).await?;
            for victim in &victims {
                core.emit(SessionEventKind::LimitReached(LimitOutcome::Evicted), Some(victim), who);
            }
            dead.extend(victims);
            Ok(dead)
        }
    }
}

/// When each was created; `None` if it has ended. One that this process cannot read, such as a newer one's, lives and
/// is the last to be ended: it must lock nobody out.
async fn with_age(core: &Core, members: &[Locator]) -> Result<Vec<(Locator, Option<Timestamp>)>, StoreError> {
    let keys: Vec<Key<'_>> = members.iter().map(|locator| core.key(*locator)).collect();
    let age = |record: Option<Record>| record.map(|record| record.header.created);
    let loaded = match core.backend.load_many(&keys).await {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => None,
        loaded => Some(loaded?),
    };
    if let Some(records) = loaded {
        return Ok(members.iter().copied().zip(records.into_iter().map(age)).collect());
    }
    let mut ages = Vec::with_capacity(members.len());
    for key in keys {
        let created = match core.backend.load(key).await {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Some(Timestamp::MAX),
            loaded => age(loaded?),
        };
        ages.push((key.locator, created));
    }
    Ok(ages)
}

/// What is to be ended of a login that was refused, before that is said. After an outage it is ended when it can be:
/// `None`.
pub(crate) fn left_behind(error: &SessionError, new: Ending) -> Option<Ending> {
    if error.kind() == SessionErrorKind::LimitReached {
        return Some(Ending { user: None, ..new });
    }
    // One that was sent twice may have been entered before the credentials were changed.
    (error.kind() == SessionErrorKind::StaleCredential).then_some(new)
}
