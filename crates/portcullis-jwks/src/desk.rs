//! [`Desk`]: what requests and the task of one source share: the set that is served, and the schedule.
//!
//! Requests read the set without a lock. Whatever changes does so under one, by a step of the schedule.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use portcullis::bearer::{KeyHealth, KeyQuery, KeySet, KeyState};
use portcullis_store::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::fetch::{FetchError, FetchErrorKind};
use crate::origin::Fetched;
use crate::report::Report;
use crate::schedule::{Action, Chance, Event, Schedule, lifetime};

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
    /// The schedule's time is [`BEGINNING`] here and goes on by tokio's clock: a clock that is set back, or ahead, would keep keys
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

/// The flight that ended last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Landed {
    pub(crate) flight: u64,
    pub(crate) outcome: Outcome,
}

/// How a flight ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    #[default]
    Failed,
    /// The issuer was asked.
    Fetched,
    /// Another process had asked it, perhaps before the flight began.
    Adopted,
}

/// A set that another process has got.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) document: Bytes,
    pub(crate) keys: KeySet,
    /// When the place was asked for it; and how old it was then, or a little later.
    pub(crate) asked: Instant,
    pub(crate) age: Duration,
    pub(crate) ttl: Duration,
}

/// What came of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It is no newer than what is here, or too old.
    Refused,
    /// It is served until the issuer has answered.
    Served,
    /// It is served, and the issuer need not be asked.
    Suffices,
}

/// A set that the issuer has just sent or confirmed, for others.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) document: Bytes,
    pub(crate) age: Duration,
    pub(crate) ttl: Duration,
}

/// The schedule's time at the start. A set that others have got is older than this process, by ten years at most.
const BEGINNING: Timestamp = Timestamp::from_secs(10 * 365 * 24 * 60 * 60);

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
        let sheet = Sheet { schedule: Schedule::new(max_stale, BEGINNING), flights: 0, last: None };
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
            Action::Rest | Action::Withdraw | Action::Adopt | Action::AdoptAndFetch => {
                Reply::Unavailable { retry_after: Duration::ZERO }
            }
        }
    }

    /// Waits until this flight, or a later one, has ended, or the query is answered meanwhile. `None` when that takes too
    /// long.
    pub(crate) async fn landing(&self, query: &KeyQuery, flight: u64, deadline: Instant) -> Option<Landed> {
        let mut landed = self.landed.subscribe();
        let landing = landed.wait_for(|it| it.flight >= flight || query.is_answered_by(&self.set()));
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
    pub(crate) fn land(&self, outcome: Result<Fetched, FetchError>) -> Option<Fresh> {
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
        let outcome = if taken_in.is_ok() { Outcome::Fetched } else { Outcome::Failed };
        self.landed.send_replace(Landed { flight: sheet.flights, outcome });
        let (age, next) = (sheet.schedule.age(self.now()), sheet.schedule.next_attempt_in(self.now()));
        let document = sheet.last.as_ref().filter(|_| taken_in.is_ok()).map(|last| last.body.clone());
        drop(sheet);
        self.report.fetch(&taken_in, age, next);
        Some(Fresh { document: document?, age: age?, ttl: lifetime(ttl) })
    }

    /// Another process has got a set. It is served before anybody hears of it.
    pub(crate) fn adopt(&self, Offer { document, keys, asked, age, ttl }: Offer) -> Adoption {
        let mut sheet = self.sheet();
        let confirmed = self.at(asked).saturating_sub(age);
        let action = sheet.step(Event::Adopted { confirmed, ttl, chance: chance() }, self.now());
        let adoption = match action {
            Action::Adopt => Adoption::Suffices,
            Action::AdoptAndFetch => Adoption::Served,
            Action::Rest
            | Action::Fetch
            | Action::Join
            | Action::Withdraw
            | Action::Throttled
            | Action::Unavailable { .. } => return Adoption::Refused,
        };
        let Ok(intake) = sheet.take_in(Some((document, keys))) else { return Adoption::Refused };
        self.set.store(Arc::clone(&intake.set));
        if adoption == Adoption::Suffices {
            self.landed.send_replace(Landed { flight: sheet.flights, outcome: Outcome::Adopted });
        } else {
            // Who waits for this very key need not wait any longer.
            self.landed.send_modify(|_| ());
        }
        drop(sheet);
        self.report.adopted(&intake.set, age);
        adoption
    }

    pub(crate) fn is_attended(&self) -> bool {
        self.attended.load(Ordering::Acquire)
    }

    fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    fn at(&self, instant: Instant) -> Timestamp {
        BEGINNING.saturating_add(instant.saturating_duration_since(self.epoch))
    }

    /// Never further ahead than a timer can be set.
    fn instant(&self, at: Timestamp) -> Instant {
        const FAR: Duration = Duration::from_secs(24 * 60 * 60);
        let latest = Instant::now() + FAR;
        self.epoch.checked_add(at.since(BEGINNING)).map_or(latest, |instant| instant.min(latest))
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
            drop(self.0.land(Err(FetchErrorKind::Broken.into())));
        }
        self.0.attended.store(false, Ordering::Release);
    }
}

/// Without randomness all come back at the same time, which is no reason not to come back.
fn chance() -> Chance {
    Chance(getrandom::u32().map_or(u16::MAX, |random| random as u16))
}
