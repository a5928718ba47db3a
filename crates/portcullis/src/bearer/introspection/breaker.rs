//! [`Breaker`]: whether a server that fails is asked once more. Pure: what happened and when in, an answer out.

use std::time::Duration;

use tokio::time::Instant;

/// After some failures in a row nobody is asked for a while; then one request asks, and what comes of it counts for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Breaker {
    /// The server answers, but for so many failures since it last did.
    Closed { failures: u32, answered: Option<Instant> },
    /// The server is left alone until then.
    Open { failures: u32, until: Instant },
    /// One request asks, since then; the others do not wait for it.
    Probing { failures: u32, since: Instant },
    /// Nothing has happened yet.
    #[default]
    New,
}

/// Whether to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Ask(Call),
    /// Not before so long.
    Wait(Duration),
}

/// Who asks, which says what a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// One of many.
    Usual,
    /// The one that asks for all.
    Probe,
}

/// How many failures in a row it takes.
const TOLERATED: u32 = 3;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// A probe that has not come back by then was given up with its request.
const LOST: Duration = Duration::from_secs(30);

impl Breaker {
    /// Whether to ask now. Whoever is told to, says what came of it.
    pub(super) fn ask(self, now: Instant) -> (Self, Leave) {
        match self {
            Self::New | Self::Closed { .. } => (self, Leave::Ask(Call::Usual)),
            Self::Open { until, .. } if now < until => (self, Leave::Wait(until - now)),
            Self::Probing { since, .. } if now < since + LOST => (self, Leave::Wait(FIRST)),
            Self::Open { failures, .. } | Self::Probing { failures, .. } => {
                (Self::Probing { failures, since: now }, Leave::Ask(Call::Probe))
            }
        }
    }

    pub(super) const fn answered(self, now: Instant) -> Self {
        Self::Closed { failures: 0, answered: Some(now) }
    }

    /// Whether the server has answered anybody since then.
    pub(super) fn has_answered_since(self, then: Instant) -> bool {
        matches!(self, Self::Closed { answered: Some(at), .. } if at >= then)
    }

    /// `chance`, from 0 to 1, spreads the processes of a fleet over the second half of each pause.
    ///
    /// Many calls that were under way when the server failed are one failure of it: those that come back when nobody asks any
    /// more make the pause no longer.
    pub(super) fn failed(self, call: Call, now: Instant, chance: f64) -> Self {
        if self.is_open() && call == Call::Usual {
            return self;
        }
        let failures = self.failures().saturating_add(1);
        if failures < TOLERATED {
            let answered = if let Self::Closed { answered, .. } = self { answered } else { None };
            return Self::Closed { failures, answered };
        }
        let doublings = (failures - TOLERATED).min(16);
        let longest = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        Self::Open { failures, until: now + longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0) }
    }

    /// Whether nobody is asked, but for probes.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Open { .. } | Self::Probing { .. })
    }

    const fn failures(self) -> u32 {
        match self {
            Self::New => 0,
            Self::Closed { failures, .. } | Self::Open { failures, .. } | Self::Probing { failures, .. } => {
                failures
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(failures: u32) -> Breaker {
        Breaker::Closed { failures, answered: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_is_left_alone_and_then_asked_by_one() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut breaker = Breaker::default();
        for _ in 0..TOLERATED {
            let (next, leave) = breaker.ask(start);
            assert_eq!(leave, Leave::Ask(Call::Usual));
            breaker = next.failed(Call::Usual, start, 1.0);
        }
        assert!(breaker.is_open());
        assert_eq!(breaker.ask(at(249)), (breaker, Leave::Wait(Duration::from_millis(1))));
        let (probing, leave) = breaker.ask(at(250));
        assert_eq!(leave, Leave::Ask(Call::Probe));
        assert_eq!(probing.ask(at(250)).1, Leave::Wait(FIRST), "one is enough");
        assert_eq!(probing.answered(at(260)).ask(at(260)).1, Leave::Ask(Call::Usual));
        let open = probing.failed(Call::Probe, at(260), 1.0);
        assert_eq!(open.ask(at(759)).1, Leave::Wait(Duration::from_millis(1)), "twice as long");
        assert_eq!(open.ask(at(760)).1, Leave::Ask(Call::Probe));
        assert_eq!(probing.ask(at(250) + LOST).1, Leave::Ask(Call::Probe), "the probe was lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_half_to_the_whole_of_what_it_may_be_and_a_quarter_of_a_minute_at_most() {
        let now = Instant::now();
        let pause = |failures, chance| match closed(failures).failed(Call::Usual, now, chance) {
            Breaker::Open { until, .. } => until - now,
            other @ (Breaker::New | Breaker::Closed { .. } | Breaker::Probing { .. }) => panic!("{other:?}"),
        };
        assert_eq!(pause(2, 0.0), Duration::from_millis(125));
        assert_eq!(pause(2, 1.0), Duration::from_millis(250));
        assert_eq!(pause(3, 1.0), Duration::from_millis(500));
        for failures in [10, 100, u32::MAX] {
            assert_eq!(pause(failures, 1.0), LONGEST, "{failures}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_before_the_pause_makes_it_no_longer() {
        let now = Instant::now();
        let open = closed(TOLERATED - 1).failed(Call::Usual, now, 1.0);
        assert_eq!(open.failed(Call::Usual, now, 1.0), open);
        let (probing, _) = open.ask(now + FIRST);
        assert_eq!(probing.failed(Call::Usual, now + FIRST, 1.0), probing, "nor ends the probe");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_between_counts_from_the_beginning() {
        let now = Instant::now();
        let breaker = closed(TOLERATED - 1).answered(now);
        assert_eq!(breaker, Breaker::Closed { failures: 0, answered: Some(now) });
        let failed = breaker.failed(Call::Usual, now, 1.0);
        assert!(failed.has_answered_since(now) && !failed.has_answered_since(now + FIRST));
        assert!(!closed(0).has_answered_since(now));
    }
}
