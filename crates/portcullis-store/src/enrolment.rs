//! [`Enrolment`]: how a session is to be entered in its user's index, and what must hold for it.

use crate::{Locator, Timestamp, UserKey};

/// How a session is to be entered in its user's index, and what must hold for it.
///
/// ```
/// use portcullis_store::{Enrolment, Locator, Realm, Timestamp, UserKey};
///
/// let realm = Realm::default();
/// let user = UserKey { realm: &realm, user: Locator::from_bytes([7; 16]) };
/// let enrolment = Enrolment::new(user, Timestamp::MAX).limit(3);
/// assert_eq!(enrolment.limit, Some(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enrolment<'a> {
    /// In whose index.
    pub user: UserKey<'a>,
    /// Until when the entry stands: the session's absolute deadline.
    pub deadline: Timestamp,
    /// How many sessions there may be in the index, this one included. `None`: any number.
    pub limit: Option<u32>,
    /// A session that the caller destroys as soon as this one is entered; it does not count. It stays in the index
    /// until it is withdrawn.
    pub replaces: Option<Locator>,
    /// Sessions that the caller has found dead or destroyed to make room. They are taken out of the index.
    pub evicted: &'a [Locator],
    /// The version at which the user's credentials were checked. `None`: whatever it is now.
    pub credential_version: Option<CredentialVersion>,
}

/// How often a user's credentials were changed, as far as is known. The default stands for never.
///
/// It is read before a password is checked and named when the session is entered in the user's index, so that a
/// password that is changed in between signs nobody in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialVersion(pub u64);

/// What became of an [`enrol`](crate::SessionBackend::enrol), or of a
/// [`create_enrolled`](crate::SessionBackend::create_enrolled).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Enrolled {
    /// The session is in the index, by this call or by an earlier send of it.
    Done,
    /// It is not, because of these, which are as many as there may be or more. Some may have ended.
    Full(Vec<Locator>),
    /// It is not, because the user's credentials were changed since they were checked.
    StaleCredential,
    /// It is not, because another record is under its key; that one was left alone. Only of a `create_enrolled`.
    Taken,
}

impl<'a> Enrolment<'a> {
    /// In this user's index until `deadline`, whatever else is there.
    #[must_use]
    pub const fn new(user: UserKey<'a>, deadline: Timestamp) -> Self {
        Self { user, deadline, limit: None, replaces: None, evicted: &[], credential_version: None }
    }

    /// Unless there are as many sessions already.
    #[must_use]
    pub const fn limit(mut self, max: u32) -> Self {
        self.limit = Some(max);
        self
    }

    /// In the place of this one, which does not count.
    #[must_use]
    pub const fn replaces(mut self, previous: Locator) -> Self {
        self.replaces = Some(previous);
        self
    }

    /// Without these, which have ended.
    #[must_use]
    pub const fn evicted(mut self, ended: &'a [Locator]) -> Self {
        self.evicted = ended;
        self
    }

    /// Unless the user's credentials were changed since this version.
    #[must_use]
    pub const fn credential_version(mut self, version: CredentialVersion) -> Self {
        self.credential_version = Some(version);
        self
    }
}
