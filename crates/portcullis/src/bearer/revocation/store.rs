//! [`Store`]: what a [`MemoryTokenBackend`](super::MemoryTokenBackend) keeps, and how much of it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_store::{
    Clock, Locator, Realm, Revocation, Revoked, StoreError, StoreErrorKind, Timestamp, TokenEpoch,
    TokenQuery, TokenStatus, UserKey,
};

use super::shard::{Epoch, Name, Shard, What};
use super::watchers::Watchers;

#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    everyone: Mutex<HashMap<Realm, Epoch>>,
    hasher: RandomState,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) count: AtomicUsize,
    max: usize,
    /// When all shards were last looked through for what is over, because there was no room.
    swept: AtomicU64,
    pub(super) watchers: Watchers,
}

const SHARDS: usize = 64;

impl Store {
    pub(super) fn new(clock: Arc<dyn Clock>, max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            everyone: Mutex::default(),
            hasher: RandomState::new(),
            clock,
            count: AtomicUsize::new(0),
            max,
            swept: AtomicU64::new(0),
            watchers: Watchers::default(),
        }
    }

    /// All of a user's is on one, so that a status is of one moment. `None` cannot happen: there is one for every hash.
    pub(super) fn shard(&self, user: Locator) -> Option<MutexGuard<'_, Shard>> {
        let at = usize::try_from(self.hasher.hash_one(user) % SHARDS as u64).unwrap_or(0);
        self.shards.get(at).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn everyone(&self) -> MutexGuard<'_, HashMap<Realm, Epoch>> {
        self.everyone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn everyone_at(&self, realm: &Realm, now: Timestamp) -> TokenEpoch {
        self.everyone().get(realm).copied().unwrap_or_default().at(now)
    }

    pub(super) fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        let now = self.clock.now();
        let everyone = self.everyone_at(query.user.realm, now);
        let shard = self.shard(query.user.user).ok_or(StoreErrorKind::Unavailable)?;
        Ok(shard.status(query, everyone, now))
    }

    pub(super) fn mark(&self, user: UserKey<'_>, what: What, keep: Duration) -> Result<(), StoreError> {
        let (now, name) = (self.clock.now(), Name::new(user, what));
        self.make_room(now);
        let mut shard = self.shard(user.user).ok_or(StoreErrorKind::Unavailable)?;
        shard.sweep(now, &self.count);
        let until = self.mark_in(&mut shard, name, now.saturating_add(keep))?;
        drop(shard);
        self.tell(user, what.revoked(user.user, TokenEpoch::default()), until, now);
        Ok(())
    }

    /// Until when the mark stands.
    pub(super) fn mark_in(
        &self,
        shard: &mut Shard,
        name: Name,
        until: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        if let Some(held) = shard.marks.get_mut(&name) {
            *held = until.max(*held);
            return Ok(*held);
        }
        self.count_one_more()?;
        shard.marks.insert(name, until);
        Ok(until)
    }

    pub(super) fn begin_epoch(&self, user: UserKey<'_>, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.change_epoch(user, |held, now| held.next(now, keep))
    }

    fn change_epoch(
        &self,
        user: UserKey<'_>,
        change: impl FnOnce(Epoch, Timestamp) -> Epoch,
    ) -> Result<TokenEpoch, StoreError> {
        let (now, name) = (self.clock.now(), Name::new(user, What::All));
        self.make_room(now);
        let mut shard = self.shard(user.user).ok_or(StoreErrorKind::Unavailable)?;
        shard.sweep(now, &self.count);
        let held = shard.epochs.get(&name).copied();
        if held.is_none() {
            self.count_one_more()?;
        }
        let next = change(held.unwrap_or_default(), now);
        shard.epochs.insert(name, next);
        drop(shard);
        self.tell(user, What::All.revoked(user.user, next.begun), next.until, now);
        Ok(next.begun)
    }

    pub(super) fn begin_epoch_for_everyone(&self, realm: &Realm, keep: Duration) -> TokenEpoch {
        self.change_everyone(realm, |held, now| held.next(now, keep))
    }

    fn change_everyone(&self, realm: &Realm, change: impl FnOnce(Epoch, Timestamp) -> Epoch) -> TokenEpoch {
        let now = self.clock.now();
        let mut everyone = self.everyone();
        let next = change(everyone.get(realm).copied().unwrap_or_default(), now);
        everyone.insert(realm.clone(), next);
        drop(everyone);
        let what = Revoked::Everyone { epoch: next.begun };
        self.watchers.tell(realm, Revocation { what, keep: next.until.since(now) });
        next.begun
    }

    /// Tells who watches, when it stands and no lock is held.
    pub(super) fn tell(&self, user: UserKey<'_>, what: Revoked, until: Timestamp, now: Timestamp) {
        self.watchers.tell(user.realm, Revocation { what, keep: until.since(now) });
    }

    /// Takes over what another store has said. One for which there is no room is an error, unless it is of everyone.
    pub(super) fn learn(&self, realm: &Realm, told: Revocation) -> Result<(), StoreError> {
        let (user, keep) = (|user| UserKey { realm, user }, told.keep);
        match told.what {
            Revoked::Token { user: whose, token } => self.mark(user(whose), What::Token(token), keep),
            Revoked::Family { user: whose, family } => self.mark(user(whose), What::Family(family), keep),
            Revoked::User { user: whose, epoch } => {
                self.change_epoch(user(whose), |held, now| held.or(epoch, now, keep)).map(drop)
            }
            Revoked::Everyone { epoch } => {
                self.change_everyone(realm, |held, now| held.or(epoch, now, keep));
                Ok(())
            }
        }
    }

    /// All that stands in the realm, by pages.
    pub(super) fn standing(&self, realm: &Realm, mut tell: impl FnMut(&[Revocation])) {
        let everyone = self.everyone().get(realm).copied().unwrap_or_default();
        let now = self.clock.now();
        if everyone.until > now {
            let what = Revoked::Everyone { epoch: everyone.begun };
            tell(&[Revocation { what, keep: everyone.until.since(now) }]);
        }
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // Not earlier: what was revoked since then would seem to be kept for longer than it is.
            let page: Vec<Revocation> = shard.standing(realm, self.clock.now()).collect();
            drop(shard);
            tell(&page);
        }
    }

    pub(super) fn count_one_less(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_one_more(&self) -> Result<(), StoreError> {
        if self.count.fetch_add(1, Ordering::Relaxed) < self.max {
            return Ok(());
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        Err(StoreErrorKind::Full.into())
    }

    /// If there is none: takes away all that is over, at most once a second, since a full store must not get slow as well.
    pub(super) fn make_room(&self, now: Timestamp) {
        let last = self.swept.load(Ordering::Relaxed);
        let due = self.count.load(Ordering::Relaxed) >= self.max && now.as_millis().abs_diff(last) >= 1000;
        let swap =
            || self.swept.compare_exchange(last, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed);
        if !due || swap().is_err() {
            return;
        }
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.sweep_at = 0;
            shard.sweep(now, &self.count);
        }
    }
}

#[cfg(test)]
mod tests;
