//! [`Sessions`]: the sessions of a shard, under one lock.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::{DefaultHashBuilder, Equivalent, HashTable};
use portcullis_store::{Record, Timestamp};

use super::key::{Hashed, OwnedKey};
use super::store::FIRST_SWEEP;

#[derive(Default)]
pub(super) struct Sessions {
    pub(super) records: HashTable<(OwnedKey, Record)>,
    /// How many records there may be before expired ones are looked for.
    pub(super) sweep_at: usize,
}

impl Sessions {
    pub(super) fn get(&self, at: Hashed<'_>) -> Option<&Record> {
        self.records.find(at.hash, |(owned, _)| at.key.equivalent(owned)).map(|(_, record)| record)
    }

    /// The record; one that has expired is taken away.
    pub(super) fn live(
        &mut self,
        at: Hashed<'_>,
        now: Timestamp,
        count: &AtomicUsize,
    ) -> Option<&mut Record> {
        if self.get(at)?.header.expires() <= now {
            self.remove(at, count);
            return None;
        }
        self.records.find_mut(at.hash, |(owned, _)| at.key.equivalent(owned)).map(|(_, record)| record)
    }

    /// Of a key that is not there.
    pub(super) fn insert(&mut self, at: Hashed<'_>, record: Record, hasher: &DefaultHashBuilder) {
        let hash = |(owned, _): &(OwnedKey, Record)| hasher.hash_one(owned.locator);
        self.records.insert_unique(at.hash, (at.key.into(), record), hash);
    }

    pub(super) fn remove(&mut self, at: Hashed<'_>, count: &AtomicUsize) {
        if let Ok(found) = self.records.find_entry(at.hash, |(owned, _)| at.key.equivalent(owned)) {
            found.remove();
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes expired records away whenever their number has doubled.
    pub(super) fn sweep(&mut self, now: Timestamp, count: &AtomicUsize) {
        if self.records.len() < self.sweep_at {
            return;
        }
        let before = self.records.len();
        self.records.retain(|(_, record)| record.header.expires() > now);
        count.fetch_sub(before - self.records.len(), Ordering::Relaxed);
        self.sweep_at = (2 * self.records.len()).max(FIRST_SWEEP);
    }
}
