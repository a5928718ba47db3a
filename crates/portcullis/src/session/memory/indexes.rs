//! [`Indexes`]: which sessions the users of a shard have, and their credential versions, under one lock.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_store::{CredentialVersion, Enrolled, Enrolment, Key, Locator, Timestamp};

use super::key::OwnedKey;
use super::store::FIRST_SWEEP;

#[derive(Default)]
pub(super) struct Indexes {
    pub(super) members: hashbrown::HashMap<OwnedKey, Members>,
    pub(super) versions: Versions,
    sweep_at: usize,
}

/// Users' credential versions, and until when each is kept.
#[derive(Default)]
pub(super) struct Versions {
    numbers: hashbrown::HashMap<OwnedKey, (CredentialVersion, Timestamp)>,
    sweep_at: usize,
}

/// One user's sessions and their deadlines.
#[derive(Default)]
pub(super) struct Members {
    pub(super) deadlines: HashMap<Locator, Timestamp>,
    sweep_at: usize,
}

impl Indexes {
    pub(super) fn sweep(&mut self, now: Timestamp) {
        if self.members.len() < self.sweep_at {
            return;
        }
        self.members.retain(|_, members| members.deadlines.values().any(|deadline| *deadline > now));
        self.sweep_at = (2 * self.members.len()).max(FIRST_SWEEP);
    }
}

impl Versions {
    pub(super) fn current(&self, user: Key<'_>, now: Timestamp) -> CredentialVersion {
        let kept = self.numbers.get(&user).filter(|(_, until)| *until > now);
        kept.map_or_else(CredentialVersion::default, |(version, _)| *version)
    }

    pub(super) fn bump(&mut self, user: Key<'_>, now: Timestamp, keep: Duration) -> CredentialVersion {
        if self.numbers.len() >= self.sweep_at {
            self.numbers.retain(|_, (_, until)| *until > now);
            self.sweep_at = (2 * self.numbers.len()).max(FIRST_SWEEP);
        }
        let next = CredentialVersion(self.current(user, now).0.saturating_add(1));
        let kept = self.numbers.get(&user).map(|(_, until)| *until).unwrap_or_default();
        self.numbers.insert(user.into(), (next, now.saturating_add(keep).max(kept)));
        next
    }
}

impl Members {
    pub(super) fn enter(&mut self, locator: Locator, enrolment: &Enrolment<'_>, now: Timestamp) -> Enrolled {
        let known = self.deadlines.get(&locator).copied().filter(|deadline| *deadline > now);
        if let (None, Some(limit)) = (known, enrolment.limit) {
            let live = self.deadlines.iter().filter(|(_, deadline)| **deadline > now);
            let others = live.map(|(other, _)| *other).filter(|other| Some(*other) != enrolment.replaces);
            let others: Vec<Locator> = others.collect();
            if others.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Enrolled::Full(others);
            }
        }
        self.deadlines.insert(locator, enrolment.deadline.max(known.unwrap_or_default()));
        Enrolled::Done
    }

    /// Takes entries away that are of no use, whenever their number has doubled.
    pub(super) fn sweep(&mut self, is_of_use: impl Fn(Locator, Timestamp) -> bool) {
        if self.deadlines.len() < self.sweep_at {
            return;
        }
        self.deadlines.retain(|locator, deadline| is_of_use(*locator, *deadline));
        self.sweep_at = (2 * self.deadlines.len()).max(FIRST_SWEEP);
    }
}
