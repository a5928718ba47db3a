//! [`Ear`]: a watcher of revocations that remembers what it is told, as one would who relies on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_store::{
    REVOCATIONS_ARE_TOLD_WITHIN, Realm, Revocation, RevocationNotice, RevocationWatcher, Revoked,
    TokenBackend, Watching,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::conformance::outcome::{Outcome, Stop, ensure};

/// Remembers what it is told.
pub(in crate::conformance) struct Ear {
    patience: Duration,
    known: Mutex<Known>,
    rung: Notify,
}

#[derive(Clone, Default)]
pub(super) struct Known {
    revoked: HashMap<Revoked, Duration>,
    /// What it had been told when it first became current, at the beginning or after a break.
    pub(super) at_first: HashMap<Revoked, Duration>,
    /// Until when it knows enough, if it does.
    current: Option<Option<Instant>>,
    /// How often it was told that it does.
    pub(super) renewals: usize,
    /// How often it was told that it does not.
    pub(super) breaks: usize,
    /// A moment that was further away than may be.
    pub(super) too_far: Option<Duration>,
}

impl Known {
    pub(super) fn is_current(&self) -> bool {
        self.current.is_some_and(|until| until.is_none_or(|until| Instant::now() < until))
    }

    /// For how long this is revoked, as far as is known.
    pub(super) fn keep(&self, what: Revoked) -> Option<Duration> {
        self.revoked.get(&what).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    pub(super) fn all(&self) -> Vec<Revoked> {
        self.revoked.keys().copied().collect()
    }
}

impl Ear {
    /// One who watches this realm, and is current; `NotChecked` if the backend does not tell.
    pub(in crate::conformance) async fn listening(
        store: &impl TokenBackend,
        realm: &Realm,
        patience: Duration,
    ) -> Result<(Arc<Self>, Watching), Stop> {
        let (ear, watching) = Self::entering(store, realm, patience).ok_or(Stop::NotChecked)?;
        ear.becomes("current", Known::is_current).await?;
        Ok((ear, watching))
    }

    /// One who watches from now on.
    pub(super) fn entering(
        store: &impl TokenBackend,
        realm: &Realm,
        patience: Duration,
    ) -> Option<(Arc<Self>, Watching)> {
        let ear = Arc::new(Self { patience, known: Mutex::default(), rung: Notify::new() });
        let watching = store.watch_revocations(realm, Arc::clone(&ear) as _)?;
        Some((ear, watching))
    }

    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    /// The call that has revoked this has returned: it is known in time, for as long as it is to be kept.
    pub(in crate::conformance) async fn hears(&self, what: Revoked, keep: Duration, when: &str) -> Outcome {
        let returned = Instant::now();
        let is_told = |known: &Known| known.keep(what).is_some_and(|told| told > keep / 2);
        let known = self.known();
        let at_once = known.current == Some(None);
        ensure!(!at_once || is_told(&known), "{when}: {what:?} was not told before the call returned");
        // It is late only if the ear takes itself for current meanwhile.
        let is_late = |known: &Known| {
            known.is_current() && !is_told(known) && returned.elapsed() >= REVOCATIONS_ARE_TOLD_WITHIN
        };
        self.becomes(&format!("told of {what:?}, {when}"), |known| is_told(known) || is_late(known)).await?;
        let known = self.known();
        ensure!(is_told(&known), "{when}: {what:?} was not told in time");
        let told = known.keep(what).unwrap_or_default();
        ensure!(told <= keep, "{when}: {what:?} is told to be kept for {told:?} instead of {keep:?}");
        Ok(())
    }

    /// Waits until this holds of what is known.
    pub(super) async fn becomes(&self, what: &str, holds: impl Fn(&Known) -> bool) -> Outcome {
        let waiting = async {
            while !holds(&self.known()) {
                // A moment may pass without anybody telling.
                let _ = timeout(self.patience / 20, self.rung.notified()).await;
            }
        };
        let patience = self.patience;
        let late = |_| Stop::Broken(format!("in {patience:?} the watcher was not {what}"));
        timeout(patience, waiting).await.map_err(late)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationWatcher for Ear {
    fn notice(&self, notice: RevocationNotice<'_>) {
        let mut known = self.lock();
        match notice {
            RevocationNotice::Revoked(told) => {
                for Revocation { what, keep } in told {
                    let held = known.revoked.entry(*what).or_default();
                    *held = (*held).max(*keep);
                }
            }
            RevocationNotice::Current { until } => {
                let until = until.map(Instant::from_std);
                let far =
                    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
                if far > REVOCATIONS_ARE_TOLD_WITHIN {
                    known.too_far = Some(far);
                }
                if known.current.is_none() {
                    known.at_first = known.revoked.clone();
                }
                known.current = Some(until);
                known.renewals += 1;
            }
            RevocationNotice::Deaf => {
                known.revoked.clear();
                known.current = None;
                known.breaks += 1;
            }
        }
        drop(known);
        self.rung.notify_one();
    }
}
