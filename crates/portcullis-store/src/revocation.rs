//! [`RevocationWatcher`]: who is told by a backend what is revoked, whichever process has revoked it, and so need not ask.

use std::time::{Duration, Instant};

use crate::{Locator, TokenEpoch};

/// Who is told what is revoked. See [`TokenBackend::watch_revocations`](crate::TokenBackend::watch_revocations).
pub trait RevocationWatcher: Send + Sync + 'static {
    /// Something is to be known. It returns at once and does not call the backend, which may hold a lock meanwhile.
    fn notice(&self, notice: RevocationNotice<'_>);
}

/// What a [`RevocationWatcher`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationNotice<'a> {
    /// These are revoked. It may be told more than once, and in any order.
    Revoked(&'a [Revocation]),
    /// Until this moment, by the monotonic clock, the watcher knows enough: at any time before, it has been told of every
    /// revocation whose call had returned [`REVOCATIONS_ARE_TOLD_WITHIN`] earlier.
    ///
    /// `None` from a store in this process, which tells before its call returns: until [`Deaf`](Self::Deaf), and of every
    /// revocation whose call has returned.
    Current {
        /// The moment, at most [`REVOCATIONS_ARE_TOLD_WITHIN`] from now.
        until: Option<Instant>,
    },
    /// The watcher knows nothing any more, as far as can be told: it forgets what it was told. All that stands is told anew
    /// before the next [`Current`](Self::Current). A watcher begins like this.
    Deaf,
}

/// That something is revoked, and for how long yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// For how long it is to be known. Of several for one thing the longest counts, from when it was told.
    pub keep: Duration,
}

/// What is revoked, by the names of a [`TokenQuery`](crate::TokenQuery).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One token of a user's.
    Token {
        /// Whose.
        user: Locator,
        /// Which.
        token: Locator,
    },
    /// One family of a user's tokens.
    Family {
        /// Whose.
        user: Locator,
        /// Which.
        family: Locator,
    },
    /// All tokens of a user's.
    User {
        /// Whose.
        user: Locator,
        /// The epoch that has begun. Of several the latest counts.
        epoch: TokenEpoch,
    },
    /// All tokens of the realm.
    Everyone {
        /// The epoch that has begun. Of several the latest counts.
        epoch: TokenEpoch,
    },
}

/// How long after a revocation's call has returned a [`RevocationWatcher`] may still take itself for current without having
/// been told of it, whatever becomes of the way between the store and the watcher. As a rule it is milliseconds.
pub const REVOCATIONS_ARE_TOLD_WITHIN: Duration = Duration::from_secs(2);
