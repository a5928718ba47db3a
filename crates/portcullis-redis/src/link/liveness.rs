//! [`Liveness`]: whether a connection still answers.
//!
//! Replies come in the order of the commands, so a command without an answer means that none sent after it has one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// So many commands without an answer in a row condemn a connection; a single one may have met a slow moment.
const LIMIT: u32 = 2;
/// `silent_since` of a connection that owes no answer.
const NEVER: u64 = u64::MAX;

/// Whether a connection still answers. Times are counted from its beginning.
#[derive(Debug)]
pub(crate) struct Liveness {
    unanswered: AtomicU32,
    /// The first send since the last reply, in milliseconds.
    silent_since: AtomicU64,
}

impl Liveness {
    pub(crate) const fn new() -> Self {
        Self { unanswered: AtomicU32::new(0), silent_since: AtomicU64::new(NEVER) }
    }

    pub(crate) fn sent(&self, now: Duration) {
        let _ = self.silent_since.compare_exchange(NEVER, millis(now), Relaxed, Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.unanswered.store(0, Relaxed);
        self.silent_since.store(NEVER, Relaxed);
    }

    /// A command had no answer in time. Whether the connection is to be given up.
    pub(crate) fn timed_out(&self) -> bool {
        self.unanswered.fetch_add(1, Relaxed) + 1 >= LIMIT
    }

    /// A caller did not wait for its answer. Whether the connection is to be given up.
    ///
    /// Callers under a deadline shorter than `patience` would never see a timeout, and a dead connection would stay.
    /// So giving up counts as one, once nothing has been heard for `patience`.
    pub(crate) fn abandoned(&self, now: Duration, patience: Duration) -> bool {
        let silence = millis(now).saturating_sub(self.silent_since.load(Relaxed));
        silence >= millis(patience) && self.timed_out()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn two_timeouts_in_a_row_condemn_a_connection() {
        let liveness = Liveness::new();
        assert!(!liveness.timed_out());
        liveness.answered();
        assert!(!liveness.timed_out());
        assert!(liveness.timed_out());
    }

    #[test]
    fn callers_in_a_hurry_find_a_dead_connection_too() {
        let liveness = Liveness::new();
        let verdicts = [0, 100, 200, 300].map(|start| {
            liveness.sent(at(start));
            liveness.abandoned(at(start + 40), PATIENCE)
        });
        assert_eq!(verdicts, [false, false, false, true]);
    }

    #[test]
    fn callers_that_leave_do_not_condemn_a_connection_that_answers() {
        let liveness = Liveness::new();
        for start in (0..2000).step_by(100) {
            liveness.sent(at(start));
            assert!(!liveness.abandoned(at(start + 1), PATIENCE));
            liveness.sent(at(start + 2));
            liveness.answered();
        }
    }
}
