//! [`Tally`]: what the requests of some tasks met.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::app::Answer;
use crate::trial::{BUDGET, MARGIN};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A signed-in user's page.
    Read,
    /// A signed-in user's counter.
    Write,
    Login,
    /// A logout, or a revocation.
    End,
    /// A page, with the cookie of a session that has ended.
    Ghost,
    /// A page, without a cookie.
    Visit,
}

pub(crate) const KINDS: [Kind; 6] =
    [Kind::Read, Kind::Write, Kind::Login, Kind::End, Kind::Ghost, Kind::Visit];

impl Kind {
    /// How many calls of the store it makes at most, one after the other, each with a budget of its own.
    pub(crate) const fn calls(self) -> u32 {
        match self {
            Self::Visit => 0,
            Self::Read | Self::Login | Self::Ghost => 1,
            Self::Write => 2,
            Self::End => 4,
        }
    }
}

/// What the requests met.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

/// What they have met so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    of: [Count; KINDS.len()],
    /// When the last request was answered 503.
    pub(crate) last_refused: Option<Instant>,
    /// What must not happen.
    pub(crate) violations: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    /// Answered 503.
    pub(crate) refused: u64,
    pub(crate) slowest: Duration,
}

impl Tally {
    /// Sends a request, and notes what it met. `right` is the text that it must be answered, unless with 503.
    pub(crate) async fn note(
        &self,
        kind: Kind,
        right: Option<&str>,
        asking: impl Future<Output = Answer>,
    ) -> Answer {
        let start = Instant::now();
        let answer = asking.await;
        let end = Instant::now();
        let mut counts = self.lock();
        let count = &mut counts.of[kind as usize];
        count.requests += 1;
        count.slowest = count.slowest.max(end - start);
        match &answer {
            Answer::Unavailable if kind != Kind::Visit => {
                count.refused += 1;
                counts.last_refused = Some(end);
            }
            Answer::Ok(text) if right.is_none_or(|right| right == text) => {}
            wrong @ (Answer::Ok(_) | Answer::Unavailable | Answer::Wrong(..)) => {
                counts.violations.push(format!("{kind:?} was answered {wrong:?}, not {right:?}"))
            }
        }
        answer
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap()
    }
}

impl Counts {
    pub(crate) fn of(&self, kind: Kind) -> Count {
        self.of[kind as usize]
    }

    pub(crate) fn all(&self) -> Count {
        self.of.iter().fold(Count::default(), |sum, count| sum.and(*count))
    }

    /// Whether no request took longer than this many budgets and what a busy machine may add; a visitor has none to spend.
    pub(crate) fn all_within(&self, budgets: impl Fn(Kind) -> u32) -> Result<(), String> {
        let late = |kind: &Kind| self.of(*kind).slowest >= BUDGET * budgets(*kind) + MARGIN;
        KINDS
            .iter()
            .find(|kind| late(kind))
            .map_or(Ok(()), |kind| Err(format!("{kind:?}: {:?}", self.of(*kind))))
    }

    /// In words: how long the slowest request took, and what it was for.
    pub(crate) fn slowest(&self) -> String {
        let slowest = KINDS.into_iter().max_by_key(|kind| self.of(*kind).slowest);
        slowest.map_or_else(String::new, |kind| format!("{:.1?} ({kind:?})", self.of(kind).slowest))
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        for (count, other) in self.of.iter_mut().zip(other.of) {
            *count = count.and(other);
        }
        self.last_refused = self.last_refused.max(other.last_refused);
        self.violations.extend(other.violations);
        self
    }
}

impl Count {
    fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            refused: self.refused + other.refused,
            slowest: self.slowest.max(other.slowest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[tokio::test]
    async fn a_user_who_is_answered_as_nobody_or_401_and_a_visitor_who_is_refused_are_violations() {
        let wrong = || Answer::Wrong(StatusCode::UNAUTHORIZED, String::new());
        let ok = |text: &str| Answer::Ok(text.to_owned());
        let cases = [
            ("served", Kind::Read, ok("ada"), 0),
            ("refused", Kind::Read, Answer::Unavailable, 0),
            ("anonymous", Kind::Read, ok("nobody"), 1),
            ("another user", Kind::Write, ok("grace"), 1),
            ("401", Kind::Write, wrong(), 1),
            ("a visitor, refused", Kind::Visit, Answer::Unavailable, 1),
        ];
        for (name, kind, answer, violations) in cases {
            let tally = Tally::default();
            tally.note(kind, Some("ada"), async { answer }).await;
            assert_eq!(tally.counts().violations.len(), violations, "{name}");
        }
    }
}
