//! What one chain's values must be: every event that was done says what the session held then.

use std::collections::HashMap;

use super::chains::Chain;
use super::{Rule, Violation};
use crate::history::{Call, Event, Held, Outcome, SLOTS};

pub(super) fn check(chain: &Chain<'_>) -> Vec<Violation> {
    let mut found = counter(chain, "increments", adds_increment, |held| held.increments);
    found.extend(counter(chain, "updates", |call| call == Call::Update, |held| held.updates));
    for slot in 0..SLOTS {
        found.extend(register(chain, slot));
    }
    found
}

fn adds_increment(call: Call) -> bool {
    matches!(call, Call::Start { .. } | Call::Increment | Call::Login { .. })
}

/// Each view of a counter lies between what must have been added by then and what can have been; and each addition
/// leaves another number.
fn counter(
    chain: &Chain<'_>,
    name: &str,
    adds: impl Fn(Call) -> bool,
    view: impl Fn(&Held) -> Option<u64>,
) -> Vec<Violation> {
    let additions: Vec<&Event> =
        chain.events.iter().copied().filter(|event| adds(event.call) && may_count(event)).collect();
    let mut found = Vec::new();
    let mut numbers: HashMap<u64, &Event> = HashMap::new();
    for event in &chain.events {
        let Some(seen) = view_of(event) else { continue };
        let seen = view(seen).unwrap_or(0);
        let itself = u64::from(adds(event.call) && may_count(event));
        let certain = |addition: &&&Event| addition.report().is_some() && addition.end < event.start;
        let possible = |addition: &&&Event| addition.start < event.end;
        let least = additions.iter().filter(certain).count() as u64 + itself;
        let most = additions.iter().filter(possible).count() as u64;
        if seen < least {
            found.push(Rule::Lost.broken(format!("{least} {name} were acknowledged, and {event:?}")));
        }
        if seen > most {
            found.push(Rule::Invented.broken(format!("{most} {name} were asked for, and {event:?}")));
        }
        if itself == 1
            && let Some(other) = numbers.insert(seen, event)
        {
            found.push(Rule::Lost.broken(format!("two {name} to {seen}: {other:?} and {event:?}")));
        }
    }
    found
}

/// A start that found a session adds nothing. What a login that is refused has recorded is saved with the response.
fn may_count(event: &Event) -> bool {
    match &event.outcome {
        Outcome::Done(report) => !matches!(event.call, Call::Start { .. }) || report.seen.is_none(),
        Outcome::Refused { .. } => matches!(event.call, Call::Login { .. }),
        Outcome::Unknown => true,
    }
}

/// What the event says that the chain's session held.
fn view_of(event: &Event) -> Option<&Held> {
    let report = event.report()?;
    report.now.as_ref().map(|_| &report.held)
}

/// A write to a slot: of a value, or of none.
struct Write<'a> {
    event: &'a Event,
    value: Option<u64>,
}

impl Write<'_> {
    fn acknowledged(&self) -> bool {
        self.event.report().is_some()
    }

    /// Whether it had been answered before `other` was sent, so that `other` came after it.
    fn before(&self, other: &Event) -> bool {
        self.acknowledged() && self.event.end < other.start
    }
}

fn writes<'a>(chain: &Chain<'a>, slot: usize) -> Vec<Write<'a>> {
    let write = |event: &&'a Event| {
        let value = match event.call {
            Call::Start { value } if slot == 0 => Some(value),
            Call::Set { slot: at, value } if at == slot => Some(value),
            Call::Take { slot: at } | Call::Remove { slot: at } if at == slot => None,
            _ => return None,
        };
        // A take that finds nothing writes nothing, and it does no harm to think that it did.
        may_count(event).then_some(Write { event, value })
    };
    chain.events.iter().filter_map(write).collect()
}

/// Each view of a slot is of a write that may have been the last one then.
fn register(chain: &Chain<'_>, slot: usize) -> Vec<Violation> {
    let writes = writes(chain, slot);
    let mut found = Vec::new();
    for event in &chain.events {
        if let Some(held) = view_of(event) {
            found.extend(impossible(&writes, held.slots[slot], event, slot));
        }
        let takes_here = matches!(event.call, Call::Take { slot: at } if at == slot);
        if let Some(taken) = event.report().filter(|_| takes_here).and_then(|report| report.taken) {
            found.extend(impossible(&writes, Some(taken), event, slot));
        }
    }
    found
}

/// Why `event` cannot have found `value`.
fn impossible(writes: &[Write<'_>], value: Option<u64>, event: &Event, slot: usize) -> Option<Violation> {
    let is_source = |write: &&Write<'_>| write.value == value && write.event.start < event.end;
    // What was certainly written over when this was sent.
    let stale = |source: &Write<'_>| {
        writes.iter().any(|over| over.value != value && source.before(over.event) && over.before(event))
    };
    let mut sources = writes.iter().filter(is_source).peekable();
    let written_at_all = sources.peek().is_some();
    if sources.any(|source| !stale(source)) {
        return None;
    }
    match value {
        Some(_) if !written_at_all => {
            Some(Rule::Invented.broken(format!("nobody wrote slot {slot}: {event:?}")))
        }
        Some(_) => Some(Rule::CameBack.broken(format!("slot {slot} was written since: {event:?}"))),
        // A chain begins without a value.
        None => {
            let lost = writes.iter().find(|write| write.value.is_some() && write.before(event));
            lost.map(|write| Rule::Lost.broken(format!("slot {slot}: {:?}, and {event:?}", write.event)))
        }
    }
}

/// Each value is taken once, in whatever session.
pub(super) fn taken_once(history: &[Event]) -> Vec<Violation> {
    let mut takers: HashMap<u64, &Event> = HashMap::new();
    let mut found = Vec::new();
    for event in history {
        if let Some(taken) = event.report().and_then(|report| report.taken)
            && let Some(other) = takers.insert(taken, event)
        {
            found.push(Rule::CameBack.broken(format!("taken twice: {other:?} and {event:?}")));
        }
    }
    found
}
