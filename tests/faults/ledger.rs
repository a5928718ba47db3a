//! [`Ledger`]: what one browser has asked to be written and what it was told, and so what its session must hold.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::app::Holding;

/// The operations that a session has seen, as the session itself keeps them: small, however many they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// Without overlap, in order: first and last.
    ranges: Vec<(u32, u32)>,
    /// Applied another time.
    twice: Vec<u32>,
}

/// What was asked of one session. Each operation has a number of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    next: u32,
    acknowledged: BTreeSet<u32>,
    /// Acknowledged while Redis itself may have lost it.
    fragile: BTreeSet<u32>,
    /// Not acknowledged: they may have been applied, once.
    doubtful: BTreeSet<u32>,
}

/// How a write was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    /// Done, by a Redis that may have been about to lose it.
    DoneOnSand,
    Unavailable,
}

/// What has become of the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// What Redis kept had to be kept; these are all.
    pub(crate) acknowledged: usize,
    pub(crate) kept: usize,
    /// Acknowledged by a Redis that then lost them.
    pub(crate) lost_by_redis: usize,
    /// Applied although they had gone unanswered.
    pub(crate) applied_in_doubt: usize,
}

impl Applied {
    pub(crate) fn with(mut self, operation: u32) -> Self {
        let at = self.ranges.partition_point(|&(_, last)| last < operation);
        if self.ranges.get(at).is_some_and(|&(first, _)| first <= operation) {
            self.twice.push(operation);
            return self;
        }
        self.ranges.insert(at, (operation, operation));
        self.ranges.dedup_by(|next, before| {
            let adjoin = before.1 + 1 == next.0;
            if adjoin {
                before.1 = next.1;
            }
            adjoin
        });
        self
    }

    fn operations(&self) -> BTreeSet<u32> {
        self.ranges.iter().flat_map(|&(first, last)| first..=last).collect()
    }
}

impl Ledger {
    /// A number for an operation. Until it is [`told`](Self::told) it is in doubt.
    pub(crate) fn begin(&mut self) -> u32 {
        self.next += 1;
        self.doubtful.insert(self.next);
        self.next
    }

    pub(crate) fn told(&mut self, operation: u32, told: Told) {
        let book = match told {
            Told::Unavailable => return,
            Told::Done => &mut self.acknowledged,
            Told::DoneOnSand => &mut self.fragile,
        };
        self.doubtful.remove(&operation);
        book.insert(operation);
    }

    /// Compares with what the session holds.
    pub(crate) fn compare(&self, holding: &Holding) -> Result<Kept, String> {
        let applied = holding.applied.operations();
        let asked: BTreeSet<u32> =
            self.acknowledged.iter().chain(&self.fragile).chain(&self.doubtful).copied().collect();
        let lost: Vec<_> = self.acknowledged.difference(&applied).collect();
        let invented: Vec<_> = applied.difference(&asked).collect();
        if !lost.is_empty() {
            return Err(format!("acknowledged and not there: {lost:?}"));
        }
        if !holding.applied.twice.is_empty() {
            return Err(format!("applied twice: {:?}", holding.applied.twice));
        }
        if !invented.is_empty() {
            return Err(format!("there and never asked for: {invented:?}"));
        }
        if usize::try_from(holding.count) != Ok(applied.len()) {
            return Err(format!("the counter says {}, and {} were applied", holding.count, applied.len()));
        }
        let fragile_kept = self.fragile.intersection(&applied).count();
        Ok(Kept {
            acknowledged: self.acknowledged.len() + self.fragile.len(),
            kept: self.acknowledged.len() + fragile_kept,
            lost_by_redis: self.fragile.len() - fragile_kept,
            applied_in_doubt: self.doubtful.intersection(&applied).count(),
        })
    }
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.kept += other.kept;
        self.lost_by_redis += other.lost_by_redis;
        self.applied_in_doubt += other.applied_in_doubt;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(operations: &[u32]) -> Applied {
        operations.iter().fold(Applied::default(), |applied, operation| applied.with(*operation))
    }

    #[test]
    fn operations_are_kept_as_ranges_in_whatever_order_they_come() {
        let held = applied(&[4, 1, 2, 7, 5, 3]);
        assert_eq!((&*held.ranges, held.twice.len()), (&[(1, 5), (7, 7)][..], 0));
        assert_eq!(held.operations(), [1, 2, 3, 4, 5, 7].into());
        assert_eq!(held.with(5).twice, [5]);
    }

    /// 1 to 3 acknowledged, 4 on sand, 5 in doubt.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for told in [Told::Done, Told::Done, Told::Done, Told::DoneOnSand, Told::Unavailable] {
            let operation = ledger.begin();
            ledger.told(operation, told);
        }
        ledger
    }

    #[test]
    fn each_way_to_go_wrong_is_found() {
        let compare =
            |count, operations: &[u32]| ledger().compare(&Holding { count, applied: applied(operations) });
        let kept = |kept, lost_by_redis, applied_in_doubt| {
            Ok(Kept { acknowledged: 4, kept, lost_by_redis, applied_in_doubt })
        };
        assert_eq!(compare(4, &[1, 2, 3, 4]), kept(4, 0, 0));
        assert_eq!(compare(5, &[1, 2, 3, 4, 5]), kept(4, 0, 1));
        assert_eq!(compare(3, &[1, 2, 3]), kept(3, 1, 0));
        // what, count, operations, complaint
        let cases = [
            ("lost", 3, &[1, 2, 4][..], "not there: [3]"),
            ("twice", 5, &[1, 2, 3, 4, 4], "twice: [4]"),
            ("invented", 5, &[1, 2, 3, 4, 6], "never asked for: [6]"),
            ("counted twice", 5, &[1, 2, 3, 4], "counter says 5, and 4"),
            ("not counted", 3, &[1, 2, 3, 4], "counter says 3, and 4"),
        ];
        for (what, count, operations, complaint) in cases {
            let found = compare(count, operations).unwrap_err();
            assert!(found.contains(complaint), "{what}: {found}");
        }
    }
}
