//! [`Lifetime`]: how long a session lives. What is decided about a loaded record's age is decided here.

use std::time::Duration;

use portcullis_store::{Header, Timestamp};

use super::transport::LONGEST_LIFE;

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

    /// For signed-in users who asked to be remembered, by default: 14 days idle, 90 days at most.
    pub const REMEMBERED: Self = Self { idle: days(14), absolute: days(90) };

    /// At most what NIST SP 800-63B allows at authenticator assurance level 1: 30 days, however busy (revision 3,
    /// section 4.1.3; revision 4 the same). It asks for no idle time.
    pub const NIST_AAL1: Self = Self { idle: days(30), absolute: days(30) };

    /// At most what NIST SP 800-63B allows at authenticator assurance level 2 by revision 3, section 4.2.3: 30 minutes
    /// idle, 12 hours in all. Revision 4 would allow an hour and 24 hours.
    pub const NIST_AAL2: Self =
        Self { idle: Duration::from_secs(30 * 60), absolute: Duration::from_secs(12 * 3600) };

    /// At most what NIST SP 800-63B allows at authenticator assurance level 3: 15 minutes idle, 12 hours in all
    /// (revision 3, section 4.3.3; revision 4 the same).
    pub const NIST_AAL3: Self =
        Self { idle: Duration::from_secs(15 * 60), absolute: Duration::from_secs(12 * 3600) };

    /// Whether both are above zero, the idle time is not over the absolute one, and that not over ten years, so that
    /// any store can express it.
    pub(crate) fn is_sound(&self) -> bool {
        const TEN_YEARS: Duration = Duration::from_secs(3650 * 24 * 3600);
        self.idle >= Duration::from_millis(1) && self.idle <= self.absolute && self.absolute <= TEN_YEARS
    }
}

/// The bit of a header's flags that says that the user asked to stay signed in.
pub(crate) const REMEMBERED: u8 = 1;

/// For how long the browser is to keep the cookie of this session; `None` for until it is closed.
pub(crate) fn cookie_life(header: &Header, now: Timestamp) -> Option<Duration> {
    is_remembered(header).then(|| header.absolute_deadline.since(now))
}

/// After how long a persistent cookie is handed out again, with a new secret: past half its life, and not twice within
/// a day, however near its end is.
pub(crate) fn reissue_after(header: &Header) -> Option<Duration> {
    let life = header.absolute_deadline.since(header.secret_since).min(LONGEST_LIFE);
    is_remembered(header).then(|| (life / 2).max(days(1)))
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

fn is_remembered(header: &Header) -> bool {
    header.flags & REMEMBERED != 0
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
    fn a_persistent_cookie_lives_until_the_absolute_deadline_and_goes_out_again_past_half_its_life() {
        const DAY: u64 = 24 * 3600;
        // When the secret was issued, the absolute deadline, now; all in days.
        let rows = [
            ("new", (0, 90, 0), 90, 45),
            ("later", (0, 90, 44), 46, 45),
            ("handed out again", (45, 90, 45), 45, 22),
            ("near its end", (89, 90, 89), 1, 1),
            ("past its end", (0, 90, 91), 0, 45),
            ("longer than browsers keep cookies", (0, 3650, 0), 3650, 200),
        ];
        for (name, (since, absolute, now), life, reissue) in rows {
            let secret_since = Timestamp::from_secs(since * DAY);
            let header = Header { secret_since, ..header(1, 1, absolute * DAY) };
            let remembered = Header { flags: REMEMBERED, ..header };
            let now = Timestamp::from_secs(now * DAY);
            assert_eq!(cookie_life(&remembered, now), Some(days(life)), "{name}");
            assert_eq!(
                reissue_after(&remembered).map(|after| after.as_secs() / DAY),
                Some(reissue),
                "{name}"
            );
            assert_eq!((cookie_life(&header, now), reissue_after(&header)), (None, None), "{name}");
        }
    }

    #[test]
    fn presets_are_sound_and_what_they_say() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (name, lifetime, idle, absolute) in [
            ("user", Lifetime::USER, minutes(30), minutes(12 * 60)),
            ("anonymous", Lifetime::ANONYMOUS, minutes(30), minutes(30)),
            ("remembered", Lifetime::REMEMBERED, days(14), days(90)),
            ("AAL1", Lifetime::NIST_AAL1, days(30), days(30)),
            ("AAL2", Lifetime::NIST_AAL2, minutes(30), minutes(12 * 60)),
            ("AAL3", Lifetime::NIST_AAL3, minutes(15), minutes(12 * 60)),
        ] {
            assert_eq!(lifetime, Lifetime { idle, absolute }, "{name}");
            assert!(lifetime.is_sound(), "{name}");
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
