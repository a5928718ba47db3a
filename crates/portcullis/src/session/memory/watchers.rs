//! [`Watchers`]: who in this process is told that sessions have ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_store::{Key, Locator, Notice, Realm, Watcher, Watching};

/// Who is told that sessions have ended.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: HashMap<u64, (Realm, Arc<dyn Watcher>)>,
    next: u64,
}

/// One watcher's place. It leaves by being dropped.
struct Place {
    watchers: Arc<Watchers>,
    number: u64,
}

impl Watchers {
    pub(super) fn enter(watchers: &Arc<Self>, realm: &Realm, watcher: Arc<dyn Watcher>) -> Watching {
        let mut places = watchers.lock();
        // Under the lock, so that nothing ends untold after it.
        watcher.notice(Notice::Hearing);
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, (realm.clone(), watcher));
        Watching::new(Place { watchers: Arc::clone(watchers), number })
    }

    /// These have ended.
    pub(super) fn tell(&self, ended: &[Key<'_>]) {
        let places = self.lock();
        for (realm, watcher) in places.taken.values() {
            let theirs = ended.iter().filter(|key| key.realm == realm).map(|key| key.locator);
            let theirs: Vec<Locator> = theirs.collect();
            if !theirs.is_empty() {
                watcher.notice(Notice::Ended(&theirs));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Not dropped under the lock: a watcher may have a lock of its own to take.
        let left = self.watchers.lock().taken.remove(&self.number);
        drop(left);
    }
}
