//! [`check`]: what a history proves to have gone wrong. Pure: it knows nothing but events.
//!
//! * Two events are in order only if one had been answered before the other was sent; else each may have come first.
//! * Sessions form *chains*: a login over a session that hands its values on continues that session's chain. A chain's
//!   values are one set of registers, whatever the sessions are called.
//! * What was refused was not done, but for the increment that a login records; what was not answered may have been done, at any time after it was sent.

mod chains;
mod lives;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::history::Event;

use self::chains::Chains;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// An acknowledged write is not there.
    Lost,
    /// Something was applied twice, or never asked for.
    Invented,
    /// A value is there that was overwritten, removed or taken, or it was taken twice.
    CameBack,
    /// Two sessions inherit from one.
    TwoHeirs,
    /// A session answers after it was ended.
    AliveAfterItsEnd,
    /// A secret is good after it was rotated away.
    OldSecret,
    /// A session answers after its deadline.
    Overdue,
    /// A session is gone although nobody has ended it.
    DiedOfNothing,
    /// More sessions of the user live at once than the limit allows.
    OverTheLimit,
    /// A live session is not in its user's index.
    OutsideTheIndex,
    /// A key never expires.
    Eternal,
}

/// How long sessions live, in nanoseconds, and how many at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) user: Term,
    pub(crate) remembered: Term,
    pub(crate) anonymous: Term,
    pub(crate) limit: usize,
    /// By how much a touch may be late, which goes on behind its response.
    pub(crate) slack: u64,
    /// The same for an absolute deadline: it stands in the record, but clocks count in milliseconds.
    pub(crate) tick: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
}

/// What a store holds when nothing is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The locators of the sessions that are signed in.
    pub(crate) signed_in: BTreeSet<String>,
    /// The members of the user's index.
    pub(crate) members: BTreeSet<String>,
    /// The keys that never expire.
    pub(crate) eternal: BTreeSet<String>,
}

/// Everything that the history proves to have gone wrong.
pub(crate) fn check(history: &[Event], terms: &Terms) -> Vec<Violation> {
    let chains = Chains::of(history);
    let mut found = chains.two_heirs();
    for chain in chains.each() {
        found.extend(values::check(&chain));
    }
    found.extend(values::taken_once(history));
    found.extend(lives::check(history, &chains, terms));
    found
}

/// Everything that is wrong with what a store holds.
pub(crate) fn check_snapshot(snapshot: &Snapshot) -> Vec<Violation> {
    let outside = snapshot.signed_in.difference(&snapshot.members);
    let outside = outside.map(|locator| Rule::OutsideTheIndex.broken(format!("session {locator}")));
    let eternal = snapshot.eternal.iter().map(|key| Rule::Eternal.broken(format!("key {key}")));
    outside.chain(eternal).collect()
}

/// How often each rule was broken, and the first time in words.
pub(crate) fn summary(violations: &[Violation]) -> String {
    let mut rules: BTreeMap<Rule, (usize, &str)> = BTreeMap::new();
    for violation in violations {
        rules.entry(violation.rule).or_insert((0, &violation.what)).0 += 1;
    }
    rules.iter().map(|(rule, (count, first))| format!("\n  {count} x {rule:?}, first: {first}")).collect()
}

impl Rule {
    pub(crate) fn broken(self, what: impl fmt::Display) -> Violation {
        Violation { rule: self, what: what.to_string() }
    }
}

#[cfg(test)]
mod tests;
