//! [`Desk`]: what requests and the task of one source share: the set that is served, and the schedule.
//!
//! Requests read the set without a lock. Whatever changes does so under one, by a step of the schedule.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use portcullis::bearer::{KeyHealth, KeySet, KeyState};
use portcullis_store::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::fetch::{FetchError, FetchErrorKind};
use crate::origin::Fetched;
use crate::report::Report;
use crate::schedule::{Action, Chance, Event, Schedule};

/// What requests and the task share.
pub(crate) struct Desk {
    set: ArcSwap<KeySet>,
    sheet: Mutex<Sheet>,
    /// Whether a task attends to it.
    attended: AtomicBool,
    /// Rung when a request wants a fetch.
    bell: Notify,
    landed: watch::Sender<Landed>,
    report: Report,
    /// The schedule's time is counted from here by tokio's clock: a clock that is set back, or ahead, would keep keys
    /// for longer, or throw good ones away.
    epoch: Instant,
}

struct Sheet {
    schedule: Schedule,
    /// How many fetches have begun; the number of the one under way, if one is.
    flights: u64,
    /// The last good set, whether it is served or not.
    last: Option<Loaded>,
}

struct Loaded {
    body: Bytes,
    set: Arc<KeySet>,
}

/// The fetch that ended last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Landed {
    pub(crate) flight: u64,
    pub(crate) is_good: bool,
}

/// What the task has to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    Fetch,
    SleepUntil(Instant),
}

/// What a request gets that misses a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// The end of this flight has to be waited for.
    Await {
        flight: u64,
        /// Whether it was this request that began it.
        is_own: bool,
    },
    Throttled,
    Unavailable {
        retry_after: Duration,
    },
}

/// The task's presence at the desk. It ends with the task, however that ends.
pub(crate) struct Attendance(Arc<Desk>);

impl Desk {
    pub(crate) fn new(label: String, max_stale: Duration) -> Self {
        let sheet = Sheet { schedule: Schedule::new(max_stale, Timestamp::EPOCH), flights: 0, last: None };
        Self {
            set: ArcSwap::from_pointee(KeySet::empty()),
            sheet: Mutex::new(sheet),
            attended: AtomicBool::new(false),
            bell: Notify::new(),
            landed: watch::Sender::new(Landed::default()),
            report: Report::new(label),
            epoch: Instant::now(),
        }
    }

    pub(crate) fn set(&self) -> Arc<KeySet> {
        self.set.load_full()
    }

    pub(crate) const fn report(&self) -> &Report {
        &self.report
    }

    pub(crate) fn health(&self) -> KeyHealth {
        let schedule = &self.sheet().schedule;
        let age = schedule.age(self.now());
        let state = match age {
            None => KeyState::Unavailable,
            Some(_) if schedule.is_stale() => KeyState::Degraded,
            Some(_) => KeyState::Good,
        };
        KeyHealth::new(state, age)
    }

    /// A request misses a key.
    pub(crate) fn miss(&self) -> Reply {
        let mut sheet = self.sheet();
        match sheet.step(Event::Miss, self.now()) {
            Action::Fetch => {
                self.bell.notify_one();
                Reply::Await { flight: sheet.flights, is_own: true }
            }
            Action::Join => Reply::Await { flight: sheet.flights, is_own: false },
            Action::Throttled => Reply::Throttled,
            Action::Unavailable { retry_after } => Reply::Unavailable { retry_after },
            // Nothing else is an answer to a miss.
            Action::Rest | Action::Withdraw => Reply::Unavailable { retry_after: Duration::ZERO },
        }
    }

    /// Waits until this flight, or a later one, has ended. `None` when that takes too long.
    pub(crate) async fn landing(&self, flight: u64, deadline: Instant) -> Option<Landed> {
        let mut landed = self.landed.subscribe();
        let landing = landed.wait_for(|landed| landed.flight >= flight);
        tokio::time::timeout_at(deadline, landing).await.ok()?.ok().map(|landed| *landed)
    }

    pub(crate) fn next_attempt_in(&self) -> Duration {
        self.sheet().schedule.next_attempt_in(self.now())
    }

    /// What the task has to do now.
    pub(crate) fn plan(&self) -> Plan {
        let mut sheet = self.sheet();
        let has_expired = sheet.step(Event::Tick, self.now()) == Action::Withdraw;
        if has_expired {
            self.set.store(Arc::new(KeySet::empty()));
            // What is due besides.
            sheet.step(Event::Tick, self.now());
        }
        let (is_fetching, wake_at) = (sheet.schedule.is_fetching(), sheet.schedule.wake_at());
        drop(sheet);
        if has_expired {
            self.report.expired();
        }
        if is_fetching { Plan::Fetch } else { Plan::SleepUntil(self.instant(wake_at)) }
    }

    /// When the schedule next wants to look, whatever is under way.
    pub(crate) fn wake_at(&self) -> Instant {
        self.instant(self.sheet().schedule.wake_at())
    }

    /// Waits for a request that wants a fetch, until then.
    pub(crate) async fn rest(&self, until: Instant) {
        let _ = tokio::time::timeout_at(until, self.bell.notified()).await;
    }

    /// The fetch under way has ended. The set is served before anybody hears of it.
    pub(crate) fn land(&self, outcome: Result<Fetched, FetchError>) {
        let mut sheet = self.sheet();
        let (ttl, taken_in) = match outcome {
            Ok(fetched) => (fetched.ttl, sheet.take_in(fetched.keys)),
            Err(error) => (None, Err(error)),
        };
        let event = match &taken_in {
            Ok(_) => Event::Fetched { ttl, chance: chance() },
            Err(_) => Event::Failed { chance: chance() },
        };
        sheet.step(event, self.now());
        if let Ok(intake) = &taken_in {
            self.set.store(Arc::clone(&intake.set));
        }
        self.landed.send_replace(Landed { flight: sheet.flights, is_good: taken_in.is_ok() });
        let (age, next) = (sheet.schedule.age(self.now()), sheet.schedule.next_attempt_in(self.now()));
        drop(sheet);
        self.report.fetch(&taken_in, age, next);
    }

    pub(crate) fn is_attended(&self) -> bool {
        self.attended.load(Ordering::Acquire)
    }

    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.saturating_add(self.epoch.elapsed())
    }

    /// Never further ahead than a timer can be set.
    fn instant(&self, at: Timestamp) -> Instant {
        const FAR: Duration = Duration::from_secs(24 * 60 * 60);
        let latest = Instant::now() + FAR;
        self.epoch.checked_add(at.since(Timestamp::EPOCH)).map_or(latest, |instant| instant.min(latest))
    }

    fn sheet(&self) -> MutexGuard<'_, Sheet> {
        self.sheet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set that is to be served.
pub(crate) struct Intake {
    pub(crate) set: Arc<KeySet>,
    /// Whether it is another one than the one before.
    pub(crate) is_new: bool,
}

impl Sheet {
    fn step(&mut self, event: Event, now: Timestamp) -> Action {
        let (schedule, action) = self.schedule.clone().step(event, now);
        self.schedule = schedule;
        if action == Action::Fetch {
            self.flights += 1;
        }
        action
    }

    /// An unchanged document is the same set, so that what is known about the set stays known.
    fn take_in(&mut self, keys: Option<(Bytes, KeySet)>) -> Result<Intake, FetchError> {
        match (keys, &self.last) {
            (Some((body, _)), Some(last)) if last.body == body => Ok(last.again()),
            (Some((body, set)), _) => {
                let set = Arc::new(set);
                self.last = Some(Loaded { body, set: Arc::clone(&set) });
                Ok(Intake { set, is_new: true })
            }
            (None, Some(last)) => Ok(last.again()),
            // "Not modified", although nobody has said since when.
            (None, None) => Err(FetchErrorKind::Malformed.into()),
        }
    }
}

impl Loaded {
    fn again(&self) -> Intake {
        Intake { set: Arc::clone(&self.set), is_new: false }
    }
}

impl Attendance {
    /// Takes the desk, unless somebody has it.
    pub(crate) fn take(desk: &Arc<Desk>) -> Option<Self> {
        let was_free = !desk.attended.swap(true, Ordering::AcqRel);
        was_free.then(|| Self(Arc::clone(desk)))
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.0
    }
}

impl Drop for Attendance {
    /// Whoever waits is told, and the next request finds the desk free.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.report.panicked();
        }
        let was_fetching = self.0.sheet().schedule.is_fetching();
        if was_fetching {
            self.0.land(Err(FetchErrorKind::Broken.into()));
        }
        self.0.attended.store(false, Ordering::Release);
    }
}

/// Without randomness all come back at the same time, which is no reason not to come back.
fn chance() -> Chance {
    Chance(getrandom::u32().map_or(u16::MAX, |random| random as u16))
}
