//! [`Watchers`]: who in this process is told what is revoked. [`MemoryTokenBackend`] as one that tells.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_store::{Realm, Revocation, RevocationNotice, RevocationWatcher, Watching};

use super::memory::MemoryTokenBackend;
use super::store::Store;

/// Who is told what is revoked.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: HashMap<u64, (Realm, Arc<dyn RevocationWatcher>)>,
    next: u64,
}

/// One watcher's place. It leaves by being dropped.
struct Place {
    store: Arc<Store>,
    number: u64,
}

impl Watchers {
    /// This is revoked now.
    pub(super) fn tell(&self, realm: &Realm, revocation: Revocation) {
        let places = self.lock();
        let concerned = places.taken.values().filter(|(watched, _)| watched == realm);
        concerned.for_each(|(_, watcher)| watcher.notice(RevocationNotice::Revoked(&[revocation])));
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryTokenBackend {
    pub(super) fn enter(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Watching {
        let store = Arc::clone(&self.0);
        let mut places = store.watchers.lock();
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, (realm.clone(), Arc::clone(&watcher)));
        // Under the lock: what is revoked meanwhile is either found here, or told as soon as that is over, before its call
        // returns.
        store.standing(realm, |page| watcher.notice(RevocationNotice::Revoked(page)));
        watcher.notice(RevocationNotice::Current { until: None });
        drop(places);
        Watching::new(Place { store, number })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Not dropped under the lock: a watcher may have a lock of its own to take.
        let left = self.store.watchers.lock().taken.remove(&self.number);
        drop(left);
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers").field("number", &self.lock().taken.len()).finish()
    }
}
