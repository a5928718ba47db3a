//! [`Vigil`]: one who waits for the end of a session; and [`Vigils`], the one subscription behind all of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_store::{Key, Locator, Notice, Watcher, Watching};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// All who wait for the end of a session of one layer. The store is watched while there is anybody.
pub(crate) struct Vigils {
    board: Arc<Board>,
    source: Mutex<Source>,
    lookups: Semaphore,
}

/// One who waits. It leaves by being dropped.
pub(crate) struct Vigil {
    vigils: Arc<Vigils>,
    locator: Locator,
    bell: Arc<Bell>,
}

/// What one who waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The session has ended.
    Ended,
    /// Something may have been missed.
    Look,
    /// Nothing, in the time given.
    None,
}

#[derive(Default)]
struct Source {
    vigils: usize,
    watching: Option<Watching>,
}

/// The bells that hang, by session. It is this that the store tells.
#[derive(Default)]
struct Board(Mutex<Bells>);

#[derive(Default)]
struct Bells {
    by_session: HashMap<Locator, Vec<Arc<Bell>>>,
    hearing: bool,
}

/// One's own bell. What it was rung for stays until it is heard.
#[derive(Default)]
struct Bell {
    told: AtomicU8,
    rung: Notify,
}

const LOOK: u8 = 1;
const ENDED: u8 = 2;

/// How many look up their sessions at once: when a subscription comes back, all of them want to.
const LOOKUPS: usize = 32;

impl Vigils {
    pub(crate) fn new() -> Self {
        Self { board: Arc::default(), source: Mutex::default(), lookups: Semaphore::new(LOOKUPS) }
    }

    /// Begins to wait for the end of this session. `watch` subscribes to the store, if it can tell.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: Key<'_>,
        watch: impl FnOnce(Arc<dyn Watcher>) -> Option<Watching>,
    ) -> Vigil {
        let bell = self.board.bells().hang(key.locator);
        let mut source = self.source();
        source.vigils += 1;
        // A store that is deaf may have lost who listened; it is asked again.
        if !self.is_told() {
            // The one before, if any, ends when the new one stands.
            source.watching = watch(Arc::clone(&self.board) as _);
        }
        drop(source);
        Vigil { vigils: Arc::clone(self), locator: key.locator, bell }
    }

    /// These have ended. The store may say so again.
    pub(crate) fn ended(&self, keys: &[Key<'_>]) {
        let bells = self.board.bells();
        keys.iter().for_each(|key| bells.ring_for(&key.locator, ENDED));
    }

    /// Whether the store tells of every end.
    pub(crate) fn is_told(&self) -> bool {
        self.board.bells().hearing
    }

    /// Leave to look a session up. `None` cannot happen: it is never closed.
    pub(crate) async fn lookup(&self) -> Option<SemaphorePermit<'_>> {
        self.lookups.acquire().await.ok()
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vigil {
    /// What it is told, within this time.
    pub(crate) async fn news(&self, within: Duration) -> News {
        let _ = tokio::time::timeout(within, self.bell.rung.notified()).await;
        let told = self.bell.told.swap(0, Ordering::AcqRel);
        match told {
            0 => News::None,
            _ if told & ENDED != 0 => News::Ended,
            _ => News::Look,
        }
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        self.vigils.board.bells().take_down(self.locator, &self.bell);
        let mut source = self.vigils.source();
        source.vigils -= 1;
        if source.vigils == 0 {
            source.watching = None;
            self.vigils.board.bells().hearing = false;
        }
    }
}

impl Board {
    fn bells(&self) -> MutexGuard<'_, Bells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for Board {
    fn notice(&self, notice: Notice<'_>) {
        let mut bells = self.bells();
        match notice {
            Notice::Ended(locators) => locators.iter().for_each(|locator| bells.ring_for(locator, ENDED)),
            Notice::Hearing => {
                bells.hearing = true;
                bells.ring_all();
            }
            Notice::Deaf => {
                bells.hearing = false;
                bells.ring_all();
            }
        }
    }
}

impl Bells {
    fn hang(&mut self, locator: Locator) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        self.by_session.entry(locator).or_default().push(Arc::clone(&bell));
        bell
    }

    fn take_down(&mut self, locator: Locator, bell: &Arc<Bell>) {
        let Some(bells) = self.by_session.get_mut(&locator) else { return };
        bells.retain(|other| !Arc::ptr_eq(other, bell));
        if bells.is_empty() {
            self.by_session.remove(&locator);
        }
    }

    fn ring_for(&self, locator: &Locator, told: u8) {
        let bells = self.by_session.get(locator).into_iter().flatten();
        bells.for_each(|bell| bell.ring(told));
    }

    fn ring_all(&self) {
        self.by_session.values().flatten().for_each(|bell| bell.ring(LOOK));
    }
}

impl Bell {
    fn ring(&self, told: u8) {
        self.told.fetch_or(told, Ordering::AcqRel);
        self.rung.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_store::Realm;

    #[tokio::test]
    async fn who_waits_hears_of_an_end_and_looks_when_the_store_falls_deaf_or_hears_again() {
        let (vigils, realm) = (Arc::new(Vigils::new()), Realm::default());
        let [own, other] = [1, 2].map(|byte| Locator::from_bytes([byte; 16]));
        let mut store = None;
        let vigil = vigils.begin(Key { realm: &realm, locator: own }, |watcher| {
            store = Some(watcher);
            None
        });
        let store = store.unwrap();
        let rows = [
            ("it hears", Notice::Hearing, true, News::Look),
            ("another session", Notice::Ended(&[other]), true, News::None),
            ("it is deaf", Notice::Deaf, false, News::Look),
            ("it hears again", Notice::Hearing, true, News::Look),
            ("this one", Notice::Ended(&[other, own]), true, News::Ended),
        ];
        for (name, notice, is_told, news) in rows {
            store.notice(notice);
            assert_eq!((vigils.is_told(), vigil.news(Duration::ZERO).await), (is_told, news), "{name}");
        }
        store.notice(Notice::Ended(&[own]));
        store.notice(Notice::Deaf);
        assert_eq!(vigil.news(Duration::ZERO).await, News::Ended, "whatever comes after it");
        store.notice(Notice::Hearing);
        drop(vigil);
        assert!(!vigils.is_told(), "nobody is told of anything while nobody waits");
    }
}
