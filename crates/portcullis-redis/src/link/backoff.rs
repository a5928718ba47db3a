//! How long to wait before trying again. Every delay has jitter of its own, or a fleet would come back in lockstep.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

const FIRST_RECONNECT: Duration = Duration::from_millis(50);
const LAST_RECONNECT: Duration = Duration::from_millis(400);
const FIRST_RESEND: Duration = Duration::from_millis(20);
const LAST_RESEND: Duration = Duration::from_millis(160);

/// How long no connection is tried after this many attempts have failed in a row.
pub(crate) fn before_reconnect(failures: u32) -> Duration {
    jittered(doubled(FIRST_RECONNECT, failures.saturating_sub(1), LAST_RECONNECT), random())
}

/// How long to wait before a command is sent for another time, after this many sends.
pub(crate) fn before_resend(sends: u32) -> Duration {
    jittered(doubled(FIRST_RESEND, sends.saturating_sub(1), LAST_RESEND), random())
}

fn doubled(first: Duration, times: u32, last: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(last)
}

/// Between half the delay and all of it.
fn jittered(delay: Duration, random: u32) -> Duration {
    let share = f64::from(random) / f64::from(u32::MAX);
    delay.mul_f64(0.5 + share / 2.0)
}

/// The hasher's keys are random per process and differ per call: enough for jitter, and no dependency.
fn random() -> u32 {
    (RandomState::new().build_hasher().finish() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_their_limit() {
        let reconnect = |times| doubled(FIRST_RECONNECT, times, LAST_RECONNECT).as_millis();
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(reconnect), [50, 100, 200, 400, 400, 400]);
    }

    #[test]
    fn jitter_takes_up_to_half_and_adds_nothing() {
        let delay = Duration::from_millis(400);
        assert_eq!(jittered(delay, 0), delay / 2);
        assert_eq!(jittered(delay, u32::MAX), delay);
    }

    #[test]
    fn two_delays_are_not_the_same() {
        let delays: std::collections::HashSet<_> = (0..32).map(|_| before_reconnect(4)).collect();
        assert!(delays.len() > 16, "{delays:?}");
    }
}
