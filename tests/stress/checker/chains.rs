//! [`Chains`]: which sessions continue which.

use std::collections::HashMap;

use super::{Rule, Violation};
use crate::history::{Call, Event, Report};

/// The sessions of a history, by chain.
pub(super) struct Chains<'a> {
    history: &'a [Event],
    /// The session before each one that inherited.
    parents: HashMap<&'a str, &'a str>,
    heirs: HashMap<&'a str, Vec<&'a str>>,
}

/// The events on one chain's sessions, in the order in which they were sent.
pub(super) struct Chain<'a> {
    pub(super) events: Vec<&'a Event>,
}

impl<'a> Chains<'a> {
    pub(super) fn of(history: &'a [Event]) -> Self {
        let (mut parents, mut heirs) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for event in history {
            if let Some((before, after)) = inheritance(event) {
                parents.insert(after, before);
                heirs.entry(before).or_default().push(after);
            }
        }
        Self { history, parents, heirs }
    }

    pub(super) fn two_heirs(&self) -> Vec<Violation> {
        let several = self.heirs.iter().filter(|(_, heirs)| heirs.len() > 1);
        several
            .map(|(before, heirs)| Rule::TwoHeirs.broken(format!("{heirs:?} inherit from {before}")))
            .collect()
    }

    /// The first session of this one's chain.
    fn root(&self, session: &'a str) -> &'a str {
        let mut root = session;
        while let Some(before) = self.parents.get(root) {
            root = before;
        }
        root
    }

    pub(super) fn each(&self) -> Vec<Chain<'a>> {
        let mut chains: HashMap<&str, Vec<&'a Event>> = HashMap::new();
        for event in self.history {
            if let Some(session) = concerned(event) {
                chains.entry(self.root(session)).or_default().push(event);
            }
        }
        let mut chains: Vec<_> = chains.into_values().map(|events| Chain { events }).collect();
        for chain in &mut chains {
            chain.events.sort_by_key(|event| event.start);
        }
        chains.sort_by_key(|chain| chain.events.first().map(|event| event.start));
        chains
    }

    pub(super) fn inherited(&self, session: &str) -> bool {
        self.parents.contains_key(session)
    }
}

/// From which session to which a login has handed values on. It records one increment itself, so more than one means
/// that it found some.
fn inheritance(event: &Event) -> Option<(&str, &str)> {
    let Report { seen, now, held, .. } = event.report()?;
    let inherits = matches!(event.call, Call::Login { .. }) && held.increments.is_some_and(|count| count > 1);
    if inherits { Some((seen.as_deref()?, now.as_deref()?)) } else { None }
}

/// The session whose values the event is about.
fn concerned(event: &Event) -> Option<&str> {
    match event.report() {
        Some(report) => report.now.as_deref().or(report.seen.as_deref()),
        None => event.session(),
    }
}
