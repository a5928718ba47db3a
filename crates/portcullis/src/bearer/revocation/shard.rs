//! [`Shard`]: what is revoked of some users, under one lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_store::{
    Family, Locator, Realm, Revocation, Revoked, Timestamp, TokenEpoch, TokenQuery, TokenStatus, UserKey,
};

use super::families::Place;

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) families: HashMap<Place, Family>,
    pub(super) marks: HashMap<Name, Timestamp>,
    pub(super) epochs: HashMap<Name, Epoch>,
    /// How much there may be before what is over is looked for.
    pub(super) sweep_at: usize,
}

/// What a mark or an epoch is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    realm: Realm,
    user: Locator,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Token(Locator),
    Family(Locator),
    All,
}

/// An epoch, and until when it is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Epoch {
    pub(super) begun: TokenEpoch,
    pub(super) until: Timestamp,
}

pub(super) const FIRST_SWEEP: usize = 64;

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.marks.len() + self.epochs.len() + self.families.len()
    }

    pub(super) fn status(&self, query: TokenQuery<'_>, everyone: TokenEpoch, now: Timestamp) -> TokenStatus {
        // Most users have nothing revoked, and most shards are empty.
        let is_marked = |what: Option<What>| {
            let name = what.filter(|_| !self.marks.is_empty()).map(|what| Name::new(query.user, what));
            name.is_some_and(|name| self.marks.get(&name).is_some_and(|until| *until > now))
        };
        let epoch =
            if self.epochs.is_empty() { None } else { self.epochs.get(&Name::new(query.user, What::All)) };
        TokenStatus {
            token_is_revoked: is_marked(query.token.map(What::Token)),
            family_is_revoked: is_marked(query.family.map(What::Family)),
            user: epoch.copied().unwrap_or_default().at(now),
            everyone,
        }
    }

    pub(super) fn standing(&self, realm: &Realm, now: Timestamp) -> impl Iterator<Item = Revocation> {
        let marks = self.marks.iter().map(|(name, until)| (name, TokenEpoch::default(), *until));
        let epochs = self.epochs.iter().map(|(name, epoch)| (name, epoch.begun, epoch.until));
        let theirs = marks.chain(epochs).filter(move |(name, _, until)| name.realm == *realm && *until > now);
        theirs.map(move |(name, epoch, until)| Revocation {
            what: name.what.revoked(name.user, epoch),
            keep: until.since(now),
        })
    }

    /// Takes away what is over, whenever there is twice as much as there was.
    pub(super) fn sweep(&mut self, now: Timestamp, count: &AtomicUsize) {
        if self.len() < self.sweep_at {
            return;
        }
        let before = self.len();
        self.marks.retain(|_, until| *until > now);
        self.epochs.retain(|_, epoch| epoch.until > now);
        self.families.retain(|_, family| family.deadline() > now);
        count.fetch_sub(before - self.len(), Ordering::Relaxed);
        self.sweep_at = (2 * self.len()).max(FIRST_SWEEP);
    }
}

impl Name {
    pub(super) fn new(user: UserKey<'_>, what: What) -> Self {
        Self { realm: user.realm.clone(), user: user.user, what }
    }
}

impl What {
    /// What it is that is revoked; `epoch` counts if it is all of the user's.
    pub(super) const fn revoked(self, user: Locator, epoch: TokenEpoch) -> Revoked {
        match self {
            Self::Token(token) => Revoked::Token { user, token },
            Self::Family(family) => Revoked::Family { user, family },
            Self::All => Revoked::User { user, epoch },
        }
    }
}

impl Epoch {
    pub(super) fn at(self, now: Timestamp) -> TokenEpoch {
        if self.until > now { self.begun } else { TokenEpoch::default() }
    }

    pub(super) fn next(self, now: Timestamp, keep: Duration) -> Self {
        Self { begun: self.begun.next(now), until: self.until.max(now.saturating_add(keep)) }
    }

    /// The later of this one and one that another store has begun.
    pub(super) fn or(self, begun: TokenEpoch, now: Timestamp, keep: Duration) -> Self {
        Self { begun: self.begun.max(begun), until: self.until.max(now.saturating_add(keep)) }
    }
}
