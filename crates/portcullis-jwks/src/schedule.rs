//! [`Schedule`]: when to fetch, whether to serve, and what a token gets that the keys do not verify. Pure: time and
//! chance come in with what happens.
//!
//! | state | serves | leaves when |
//! | --- | --- | --- |
//! | `Cold` | nothing | the first good set -> `Fresh` |
//! | `Fresh` | the set | it is due, or a token asks and the bucket allows -> `Refreshing` |
//! | `Refreshing` | the set | good -> `Fresh`; failed -> `Stale` |
//! | `Stale` | the set | good -> `Fresh`; older than `max_stale` -> `Expired` |
//! | `Expired` | nothing | good -> `Fresh` |

mod bucket;
#[cfg(test)]
mod tests;

use std::time::Duration;

use portcullis_store::Timestamp;

use self::bucket::Bucket;

/// What is known of an issuer's keys, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    state: State,
    bucket: Bucket,
    max_stale: Duration,
}

/// `confirmed` is when the fetch began that the issuer last answered well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There has never been a set.
    Cold(Attempt),
    /// The set is as new as it should be.
    Fresh { confirmed: Timestamp, due: Timestamp },
    /// The same, and it is being fetched anew.
    Refreshing { confirmed: Timestamp, began: Timestamp },
    /// The last fetch failed.
    Stale { confirmed: Timestamp, attempt: Attempt },
    /// The set is too old to be used.
    Expired(Attempt),
}

/// Where a source stands that has to get a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// A fetch is under way, after so many that failed in a row.
    Flying { began: Timestamp, failures: u32 },
    /// The last one failed; the next is at `until`.
    Waiting { until: Timestamp, failures: u32 },
}

/// Something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    /// The keys at hand do not verify a token.
    Miss,
    /// The issuer has said which its keys are, and for how long that holds.
    Fetched { ttl: Option<Duration>, chance: Chance },
    /// Another process has asked the issuer at that moment.
    Adopted { confirmed: Timestamp, ttl: Duration, chance: Chance },
    /// The issuer could not be asked, or its answer was of no use.
    Failed { chance: Chance },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Rest,
    /// Begin a fetch. Whoever missed a key waits for it.
    Fetch,
    /// A fetch is under way: whoever missed a key waits for it.
    Join,
    /// Serve no key any more.
    Withdraw,
    /// Serve the set that another process has got, and let that be enough.
    Adopt,
    /// Serve it, and fetch all the same.
    AdoptAndFetch,
    /// To whoever missed a key: the keys are of a moment ago.
    Throttled,
    /// To whoever missed a key: there is nobody to ask before that time has passed.
    Unavailable { retry_after: Duration },
}

/// A number between zero and one, evenly distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chance(pub(crate) u16);

/// What an issuer may say at the least and at the most about how long its answer holds, and what counts if it says
/// nothing.
const TTL_LEAST: Duration = Duration::from_secs(60);
const TTL_MOST: Duration = Duration::from_secs(60 * 60);
const TTL_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// The wait after the first failure, at the most; it doubles with each.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MOST: Duration = Duration::from_secs(15);

/// How young a set has to be for "no such key" to be a verdict while the issuer is not asked.
const YOUNG: Duration = bucket::REFILL;

impl Schedule {
    /// Nothing is there, and the first fetch is due at once.
    pub(crate) const fn new(max_stale: Duration, now: Timestamp) -> Self {
        let state = State::Cold(Attempt::Waiting { until: now, failures: 0 });
        Self { state, bucket: Bucket::full(now), max_stale }
    }

    /// What follows from an event at this moment.
    #[must_use]
    pub(crate) fn step(self, event: Event, now: Timestamp) -> (Self, Action) {
        let Self { state, mut bucket, max_stale } = self;
        let (state, action) = match event {
            Event::Tick => state.tick(max_stale, now),
            Event::Miss => state.miss(&mut bucket, now),
            Event::Fetched { ttl, chance } => (state.fetched(ttl, chance), Action::Rest),
            Event::Adopted { confirmed, ttl, chance } => {
                state.adopted(confirmed, ttl, chance, max_stale, now)
            }
            Event::Failed { chance } => (state.failed(chance, now), Action::Rest),
        };
        (Self { state, bucket, max_stale }, action)
    }

    /// When the next [`Tick`](Event::Tick) changes something.
    pub(crate) fn wake_at(&self) -> Timestamp {
        let expiry = |confirmed: Timestamp| confirmed.saturating_add(self.max_stale);
        match self.state {
            State::Fresh { confirmed, due } => due.min(expiry(confirmed)),
            State::Refreshing { confirmed, .. } => expiry(confirmed),
            State::Stale { confirmed, attempt } => attempt.wake_at().min(expiry(confirmed)),
            State::Cold(attempt) | State::Expired(attempt) => attempt.wake_at(),
        }
    }

    /// Whether a fetch is under way.
    pub(crate) const fn is_fetching(&self) -> bool {
        match self.state {
            State::Refreshing { .. } => true,
            State::Cold(attempt) | State::Expired(attempt) | State::Stale { attempt, .. } => {
                matches!(attempt, Attempt::Flying { .. })
            }
            State::Fresh { .. } => false,
        }
    }

    /// Whether the last fetch failed.
    pub(crate) const fn is_stale(&self) -> bool {
        matches!(self.state, State::Stale { .. })
    }

    /// How old the set is, if there is one to serve.
    pub(crate) const fn age(&self, now: Timestamp) -> Option<Duration> {
        match self.state.confirmed() {
            Some(confirmed) => Some(now.since(confirmed)),
            None => None,
        }
    }

    /// How long it takes until the issuer is asked again by itself; nothing while it is being asked.
    pub(crate) fn next_attempt_in(&self, now: Timestamp) -> Duration {
        match self.state {
            State::Fresh { due, .. } => due.since(now),
            State::Refreshing { .. } => Duration::ZERO,
            State::Cold(attempt) | State::Expired(attempt) | State::Stale { attempt, .. } => {
                attempt.next_in(now)
            }
        }
    }
}

impl State {
    fn tick(self, max_stale: Duration, now: Timestamp) -> (Self, Action) {
        match self {
            Self::Fresh { confirmed, .. }
            | Self::Refreshing { confirmed, .. }
            | Self::Stale { confirmed, .. }
                if now.since(confirmed) >= max_stale =>
            {
                (Self::Expired(self.attempt(now)), Action::Withdraw)
            }
            Self::Fresh { confirmed, due } if due <= now => {
                (Self::Refreshing { confirmed, began: now }, Action::Fetch)
            }
            Self::Stale { confirmed, attempt } => {
                let (attempt, action) = attempt.tick(now);
                (Self::Stale { confirmed, attempt }, action)
            }
            Self::Cold(attempt) => {
                let (attempt, action) = attempt.tick(now);
                (Self::Cold(attempt), action)
            }
            Self::Expired(attempt) => {
                let (attempt, action) = attempt.tick(now);
                (Self::Expired(attempt), action)
            }
            Self::Fresh { .. } | Self::Refreshing { .. } => (self, Action::Rest),
        }
    }

    /// What is under way, or due, to get another set.
    const fn attempt(self, now: Timestamp) -> Attempt {
        match self {
            Self::Fresh { .. } => Attempt::Waiting { until: now, failures: 0 },
            Self::Refreshing { began, .. } => Attempt::Flying { began, failures: 0 },
            Self::Cold(attempt) | Self::Expired(attempt) | Self::Stale { attempt, .. } => attempt,
        }
    }

    /// The token in the bucket is taken before the issuer is asked, so that an answer that is slow to come, or does not
    /// come, allows no more questions.
    fn miss(self, bucket: &mut Bucket, now: Timestamp) -> (Self, Action) {
        match self {
            Self::Fresh { confirmed, .. } if bucket.take(now) => {
                (Self::Refreshing { confirmed, began: now }, Action::Fetch)
            }
            Self::Fresh { confirmed, .. } if now.since(confirmed) < YOUNG => (self, Action::Throttled),
            Self::Fresh { .. } => (self, Action::Unavailable { retry_after: bucket.next_in(now) }),
            Self::Refreshing { .. } => (self, Action::Join),
            Self::Stale { confirmed, attempt } => {
                let (attempt, action) = attempt.miss(Some(bucket), now);
                (Self::Stale { confirmed, attempt }, action)
            }
            Self::Cold(attempt) => {
                let (attempt, action) = attempt.miss(None, now);
                (Self::Cold(attempt), action)
            }
            Self::Expired(attempt) => {
                let (attempt, action) = attempt.miss(None, now);
                (Self::Expired(attempt), action)
            }
        }
    }

    const fn began(self) -> Option<Timestamp> {
        match self {
            Self::Refreshing { began, .. }
            | Self::Cold(Attempt::Flying { began, .. })
            | Self::Expired(Attempt::Flying { began, .. })
            | Self::Stale { attempt: Attempt::Flying { began, .. }, .. } => Some(began),
            Self::Fresh { .. } | Self::Cold(_) | Self::Expired(_) | Self::Stale { .. } => None,
        }
    }

    /// The set is as old as the question was, not as the answer. At the latest it is due at four fifths of its time.
    fn fetched(self, ttl: Option<Duration>, chance: Chance) -> Self {
        let Some(began) = self.began() else { return self };
        Self::Fresh { confirmed: began, due: due(began, ttl, chance) }
    }

    /// What another process was told since this one was is as good as if this one had asked then.
    fn adopted(
        self,
        confirmed: Timestamp,
        ttl: Duration,
        chance: Chance,
        max_stale: Duration,
        now: Timestamp,
    ) -> (Self, Action) {
        let is_newer = self.confirmed().is_none_or(|own| own < confirmed);
        let Some(began) = self.began().filter(|_| is_newer && now.since(confirmed) < max_stale) else {
            return (self, Action::Rest);
        };
        let due = due(confirmed, Some(ttl), chance);
        match self {
            _ if now < due => (Self::Fresh { confirmed, due }, Action::Adopt),
            Self::Stale { attempt, .. } => (Self::Stale { confirmed, attempt }, Action::AdoptAndFetch),
            Self::Cold(_) | Self::Expired(_) | Self::Fresh { .. } | Self::Refreshing { .. } => {
                (Self::Refreshing { confirmed, began }, Action::AdoptAndFetch)
            }
        }
    }

    const fn confirmed(self) -> Option<Timestamp> {
        match self {
            Self::Fresh { confirmed, .. }
            | Self::Refreshing { confirmed, .. }
            | Self::Stale { confirmed, .. } => Some(confirmed),
            Self::Cold(_) | Self::Expired(_) => None,
        }
    }

    fn failed(self, chance: Chance, now: Timestamp) -> Self {
        match self {
            Self::Refreshing { confirmed, .. } => {
                Self::Stale { confirmed, attempt: Attempt::after_failures(1, chance, now) }
            }
            Self::Stale { confirmed, attempt } => {
                Self::Stale { confirmed, attempt: attempt.failed(chance, now) }
            }
            Self::Cold(attempt) => Self::Cold(attempt.failed(chance, now)),
            Self::Expired(attempt) => Self::Expired(attempt.failed(chance, now)),
            Self::Fresh { .. } => self,
        }
    }
}

/// For how long an issuer's answer holds.
pub(crate) fn lifetime(ttl: Option<Duration>) -> Duration {
    ttl.unwrap_or(TTL_DEFAULT).clamp(TTL_LEAST, TTL_MOST)
}

/// When to ask again, of an answer to a question of that moment.
fn due(confirmed: Timestamp, ttl: Option<Duration>, chance: Chance) -> Timestamp {
    let latest = lifetime(ttl) * 4 / 5;
    confirmed.saturating_add(latest - chance.of(latest / 10))
}

impl Attempt {
    fn tick(self, now: Timestamp) -> (Self, Action) {
        match self {
            Self::Waiting { until, failures } if until <= now => {
                (Self::Flying { began: now, failures }, Action::Fetch)
            }
            Self::Waiting { .. } | Self::Flying { .. } => (self, Action::Rest),
        }
    }

    /// Where keys are served, a token may have the issuer asked before its time. Where there are none, every token
    /// would, so the backoff holds.
    fn miss(self, bucket: Option<&mut Bucket>, now: Timestamp) -> (Self, Action) {
        match self {
            Self::Flying { .. } => (self, Action::Join),
            Self::Waiting { until, failures }
                if until <= now || bucket.is_some_and(|bucket| bucket.take(now)) =>
            {
                (Self::Flying { began: now, failures }, Action::Fetch)
            }
            Self::Waiting { until, .. } => (self, Action::Unavailable { retry_after: until.since(now) }),
        }
    }

    fn failed(self, chance: Chance, now: Timestamp) -> Self {
        match self {
            Self::Flying { failures, .. } => Self::after_failures(failures.saturating_add(1), chance, now),
            Self::Waiting { .. } => self,
        }
    }

    /// Exponential, with full jitter: whoever lost the same issuer at the same time does not come back together.
    fn after_failures(failures: u32, chance: Chance, now: Timestamp) -> Self {
        let doublings = failures.saturating_sub(1).min(10);
        let most = (BACKOFF_FIRST * 2u32.pow(doublings)).min(BACKOFF_MOST);
        Self::Waiting { until: now.saturating_add(chance.of(most)), failures }
    }

    const fn wake_at(self) -> Timestamp {
        match self {
            Self::Waiting { until, .. } => until,
            Self::Flying { .. } => Timestamp::MAX,
        }
    }

    const fn next_in(self, now: Timestamp) -> Duration {
        match self {
            Self::Waiting { until, .. } => until.since(now),
            Self::Flying { .. } => Duration::ZERO,
        }
    }
}

impl Chance {
    /// This part of a duration.
    fn of(self, whole: Duration) -> Duration {
        whole * u32::from(self.0) / u32::from(u16::MAX)
    }
}
