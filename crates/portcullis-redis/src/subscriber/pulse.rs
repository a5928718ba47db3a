//! [`Pulses`]: what this process has published to itself, to see that it comes back. Pure.
//!
//! A server tells its subscribers in the order in which it was told. So whoever hears its own pulse has heard everything that
//! was published before it on the server that the pulse was sent to: the one that commands go to, whichever that is by now.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// What was published and has not come back.
#[derive(Debug, Default)]
pub(super) struct Pulses {
    sent: HashMap<u64, Pulse>,
    next: u64,
}

/// A message to oneself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pulse {
    pub(super) purpose: Purpose,
    pub(super) at: Instant,
    /// The server has taken it.
    is_answered: bool,
}

/// What its coming back is a proof of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// That nothing was missed.
    Renew,
    /// The same, and that a watcher was told all that stood.
    Complete(Reading),
}

/// What stands, read for a watcher once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whose it is.
    pub(super) seat: u64,
    pub(super) number: u64,
}

/// How often one is sent.
pub(super) const BEAT: Duration = Duration::from_millis(500);

/// One that the server has taken, and that has not come back for so long, will not.
const PATIENCE: Duration = Duration::from_secs(1);

impl Pulses {
    /// The number of one that is sent now, or later.
    pub(super) fn begin(&mut self, purpose: Purpose, at: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.sent.insert(number, Pulse { purpose, at, is_answered: false });
        number
    }

    /// The server has taken it; or it has not, as far as is known, and nothing is to be expected.
    pub(super) fn answered(&mut self, number: u64, is_taken: bool) {
        if !is_taken {
            self.sent.remove(&number);
        } else if let Some(pulse) = self.sent.get_mut(&number) {
            pulse.is_answered = true;
        }
    }

    /// It has come back.
    pub(super) fn heard(&mut self, number: u64) -> Option<Pulse> {
        self.sent.remove(&number)
    }

    /// Whether one should have come back by now.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let late = |pulse: &Pulse| pulse.is_answered && now.saturating_duration_since(pulse.at) > PATIENCE;
        self.sent.values().any(late)
    }

    /// None of those that were sent proves anything any more. Their numbers do not come again.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Reading = Reading { seat: 7, number: 8 };

    #[test]
    fn a_pulse_proves_something_once_and_by_its_own_number() {
        let (mut pulses, now) = (Pulses::default(), Instant::now());
        let [one, two] =
            [Purpose::Renew, Purpose::Complete(READING)].map(|purpose| pulses.begin(purpose, now));
        assert_ne!(one, two);
        assert_eq!(
            pulses.heard(two).map(|pulse| (pulse.purpose, pulse.at)),
            Some((Purpose::Complete(READING), now))
        );
        assert_eq!(pulses.heard(two), None, "it has come already");
        pulses.forget();
        assert_eq!(pulses.heard(one), None, "of another connection");
        assert!(pulses.begin(Purpose::Renew, now) > two);
    }

    #[test]
    fn only_what_the_server_has_taken_can_be_overdue() {
        let (mut pulses, now) = (Pulses::default(), Instant::now());
        let late = now + PATIENCE + Duration::from_millis(1);
        let number = pulses.begin(Purpose::Renew, now);
        assert!(!pulses.is_overdue(late), "it was not taken");
        pulses.answered(number, true);
        assert!(!pulses.is_overdue(now + PATIENCE) && pulses.is_overdue(late));
        assert!(pulses.heard(number).is_some() && !pulses.is_overdue(late), "it has come");
        let number = pulses.begin(Purpose::Renew, now);
        pulses.answered(number, false);
        assert!(pulses.heard(number).is_none() && !pulses.is_overdue(late), "it was never sent");
    }
}
