//! [`MemoryTokenBackend`] as a [`FamilyBackend`]: families stand beside the marks that end them, under one lock.

use std::future::{self, Future};

use portcullis_store::{
    Begun, Clock, Family, FamilyBackend, FamilyKey, Locator, NewFamily, Realm, StoreError, StoreErrorKind,
    TokenEpoch, TokenQuery, Turn, Turned, Verdict,
};

use super::memory::MemoryTokenBackend;
use super::shard::{Name, Shard, What};
use super::store::Store;

/// Where a family stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    realm: Realm,
    user: Locator,
    family: Locator,
}

impl Place {
    fn of(key: FamilyKey<'_>) -> Self {
        Self { realm: key.user.realm.clone(), user: key.user.user, family: key.family }
    }
}

impl Store {
    fn begin_family(&self, key: FamilyKey<'_>, new: NewFamily<'_>) -> Result<Begun, StoreError> {
        let now = self.clock.now();
        self.make_room(now);
        let everyone = self.everyone_at(key.user.realm, now);
        let mut shard = self.shard(key.user.user).ok_or(StoreErrorKind::Unavailable)?;
        shard.sweep(now, &self.count);
        let place = Place::of(key);
        let held = shard.families.get(&place).filter(|family| family.deadline() > now);
        if let Some(held) = held {
            // Nobody but an earlier send of this has the secret, and no later generation has it.
            return Ok(if held.current == new.secret { Begun::Done(held.epoch) } else { Begun::Taken });
        }
        let status = shard.status(query(key), everyone, now);
        if status.family_is_revoked || new.epoch.is_some_and(|epoch| epoch != status.user) {
            return Ok(Begun::Revoked);
        }
        if !shard.families.contains_key(&place) {
            self.count_one_more()?;
        }
        shard.families.insert(place, Family::begin(&new, status.user, now));
        Ok(Begun::Done(status.user))
    }

    fn rotate_family(&self, key: FamilyKey<'_>, turn: Turn) -> Result<Turned, StoreError> {
        let now = self.clock.now();
        let everyone = self.everyone_at(key.user.realm, now);
        let mut shard = self.shard(key.user.user).ok_or(StoreErrorKind::Unavailable)?;
        let (status, place) = (shard.status(query(key), everyone, now), Place::of(key));
        let Some(family) = shard.families.get_mut(&place).filter(|family| family.deadline() > now) else {
            return Ok(Turned::Gone);
        };
        if !family.stands(&status) {
            self.end(&mut shard, &place);
            return Ok(Turned::Revoked);
        }
        let verdict = family.judge(&turn, now);
        if verdict == Verdict::Reuse {
            let payload = family.payload.clone();
            // What has gone makes room for the mark.
            self.end(&mut shard, &place);
            let what = What::Family(key.family);
            let until = self.mark_in(&mut shard, Name::new(key.user, what), now.saturating_add(turn.keep))?;
            drop(shard);
            self.tell(key.user, what.revoked(key.user.user, TokenEpoch::default()), until, now);
            return Ok(Turned::Reused { payload });
        }
        if verdict == Verdict::Rotate {
            family.rotate(&turn, now);
        }
        Ok(Turned::Current {
            generation: family.generation,
            is_new: verdict == Verdict::Rotate,
            epoch: status.user,
            left: family.deadline().since(now),
            payload: family.payload.clone(),
        })
    }

    fn find_family(&self, key: FamilyKey<'_>) -> Result<Option<Family>, StoreError> {
        let now = self.clock.now();
        let everyone = self.everyone_at(key.user.realm, now);
        let shard = self.shard(key.user.user).ok_or(StoreErrorKind::Unavailable)?;
        let status = shard.status(query(key), everyone, now);
        let family = shard.families.get(&Place::of(key)).filter(|family| family.deadline() > now);
        Ok(family.filter(|family| family.stands(&status)).cloned())
    }

    fn end(&self, shard: &mut Shard, place: &Place) {
        if shard.families.remove(place).is_some() {
            self.count_one_less();
        }
    }
}

fn query(key: FamilyKey<'_>) -> TokenQuery<'_> {
    TokenQuery { user: key.user, token: None, family: Some(key.family) }
}

impl FamilyBackend for MemoryTokenBackend {
    fn begin_family(
        &self,
        key: FamilyKey<'_>,
        family: NewFamily<'_>,
    ) -> impl Future<Output = Result<Begun, StoreError>> + Send {
        future::ready(self.0.begin_family(key, family))
    }

    fn rotate_family(
        &self,
        key: FamilyKey<'_>,
        turn: Turn,
    ) -> impl Future<Output = Result<Turned, StoreError>> + Send {
        future::ready(self.0.rotate_family(key, turn))
    }

    fn find_family(
        &self,
        key: FamilyKey<'_>,
    ) -> impl Future<Output = Result<Option<Family>, StoreError>> + Send {
        future::ready(self.0.find_family(key))
    }
}
