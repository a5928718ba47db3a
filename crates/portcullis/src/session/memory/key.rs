//! [`OwnedKey`]: what a session or a user is kept by. [`Hashed`]: the place of one.

use hashbrown::Equivalent;
use portcullis_store::{Key, Locator, Realm};

/// A session's key, and the hash by which its shard is found and its place therein.
#[derive(Clone, Copy)]
pub(super) struct Hashed<'a> {
    pub(super) key: Key<'a>,
    pub(super) hash: u64,
}

#[derive(PartialEq, Eq, Hash)]
pub(super) struct OwnedKey {
    realm: Realm,
    pub(super) locator: Locator,
}

impl Equivalent<OwnedKey> for Key<'_> {
    fn equivalent(&self, owned: &OwnedKey) -> bool {
        self.locator == owned.locator && *self.realm == owned.realm
    }
}

impl From<Key<'_>> for OwnedKey {
    fn from(key: Key<'_>) -> Self {
        Self { realm: key.realm.clone(), locator: key.locator }
    }
}
