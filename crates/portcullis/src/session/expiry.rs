//! [`Lifetime`]: how long a session lives. What is decided about a loaded record's age is decided here.

use std::time::Duration;

use portcullis_store::{Header, Timestamp};

/// How long a session lives: without a request, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long it lives without a request.
    pub idle: Duration,
    /// How long it lives, however busy.
    pub absolute: Duration,
}

/// What a loaded record's age says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It lives, and its idle deadline is far enough ahead.
    Fresh,
    /// It lives, and is to be touched.
    TouchDue,
    /// Its absolute deadline has passed.
    Expired,
}

impl Lifetime {
    /// For signed-in users by default: 30 minutes idle, 12 hours at most.
    pub const USER: Self =
        Self { idle: Duration::from_secs(30 * 60), absolute: Duration::from_secs(12 * 3600) };

    /// For anonymous visitors by default: 30 minutes, so that a flood of them cannot fill the store.
    pub const ANONYMOUS: Self =
        Self { idle: Duration::from_secs(30 * 60), absolute: Duration::from_secs(30 * 60) };

    /// Whether both are above zero, the idle time is not over the absolute one, and that not over ten years, so that
    /// any store can express it.
    pub(crate) fn is_sound(&self) -> bool {
        const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 3600);
        self.idle >= Duration::from_millis(1) && self.idle <= self.absolute && self.absolute <= TEN_YEARS
    }
}

/// The key's expiry in the store is what ends a session; the absolute deadline is checked besides, with this
/// tolerance for clocks that disagree.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A touch is due when this long has passed since the last one, or a fifth of the idle time, whichever is sooner.
const TOUCH_AFTER: Duration = Duration::from_secs(5 * 60);

/// What this record's age says.
pub(crate) fn age(header: &Header, now: Timestamp) -> Age {
    if now > header.absolute_deadline.saturating_add(CLOCK_SKEW) {
        return Age::Expired;
    }
    let left = header.idle_deadline.since(now);
    let passed = header.idle.saturating_sub(left);
    let capped = header.idle_deadline >= header.absolute_deadline;
    if !capped && passed > TOUCH_AFTER.min(header.idle / 5) { Age::TouchDue } else { Age::Fresh }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_store::{SecretHash, Tag};

    fn header(idle_secs: u64, idle_deadline: u64, absolute_deadline: u64) -> Header {
        Header {
            tags: [Tag::default(); 4],
            flags: 0,
            secret: SecretHash([0; 32]),
            previous: None,
            secret_since: Timestamp::EPOCH,
            created: Timestamp::EPOCH,
            authenticated: None,
            absolute_deadline: Timestamp::from_secs(absolute_deadline),
            idle: Duration::from_secs(idle_secs),
            idle_deadline: Timestamp::from_secs(idle_deadline),
        }
    }

    #[test]
    fn a_record_is_touched_now_and_then_and_expires_for_good() {
        let rows = [
            ("just created", header(1000, 1000, 9999), 0, Age::Fresh),
            ("a fifth has passed", header(1000, 1000, 9999), 200, Age::Fresh),
            ("over a fifth has passed", header(1000, 1000, 9999), 201, Age::TouchDue),
            ("five minutes of a long idle time", header(86_400, 86_400, 999_999), 300, Age::Fresh),
            ("over five minutes", header(86_400, 86_400, 999_999), 301, Age::TouchDue),
            ("at the cap nothing is to be gained", header(1000, 9999, 9999), 9900, Age::Fresh),
            ("past the absolute deadline, clocks disagree", header(1000, 1000, 1000), 1060, Age::Fresh),
            ("past it by more than clocks disagree", header(1000, 1000, 1000), 1061, Age::Expired),
        ];
        for (name, header, now, expected) in rows {
            assert_eq!(age(&header, Timestamp::from_secs(now)), expected, "{name}");
        }
    }
}
