//! When a session may answer, and when it may not.

use std::collections::HashMap;

use super::chains::Chains;
use super::{Rule, Term, Terms, Violation};
use crate::history::{Call, Event, Token};

/// One session, from what made it on.
struct Life<'a> {
    locator: &'a str,
    /// The start or login that made it.
    birth: &'a Event,
    term: Term,
    /// The events that presented it, in the order in which they were sent.
    visits: Vec<&'a Event>,
}

pub(super) fn check(history: &[Event], chains: &Chains<'_>, terms: &Terms) -> Vec<Violation> {
    let lives = lives(history, terms);
    let enders: Vec<&Event> = history.iter().filter(|event| may_end(event)).collect();
    let mut found = over_the_limit(&lives, terms);
    for life in &lives {
        found.extend(life.after_its_end(&enders));
        found.extend(life.overdue(terms));
        found.extend(life.dead_of_nothing(&enders));
    }
    found.extend(old_secrets(history));
    found.extend(disinherited(history, chains, &lives, &enders));
    found
}

fn lives<'a>(history: &'a [Event], terms: &Terms) -> Vec<Life<'a>> {
    let mut visits: HashMap<&str, Vec<&Event>> = HashMap::new();
    for event in history {
        if let Some(session) = event.session() {
            visits.entry(session).or_default().push(event);
        }
    }
    let mut lives: HashMap<&str, Life<'a>> = HashMap::new();
    for event in history {
        let term = match event.call {
            Call::Start { .. } => terms.anonymous,
            Call::Login { remember: true } => terms.remembered,
            Call::Login { remember: false } => terms.user,
            _ => continue,
        };
        let Some(report) = event.report() else { continue };
        let Some(locator) = report.now.as_deref().filter(|now| report.seen.as_deref() != Some(now)) else {
            continue;
        };
        let mut visits = visits.remove(locator).unwrap_or_default();
        visits.sort_by_key(|visit| visit.start);
        lives.insert(locator, Life { locator, birth: event, term, visits });
    }
    let mut lives: Vec<_> = lives.into_values().collect();
    lives.sort_by_key(|life| life.birth.start);
    lives
}

/// Whether it may end sessions, done or not.
fn may_end(event: &Event) -> bool {
    matches!(
        event.call,
        Call::Logout
            | Call::Login { .. }
            | Call::RevokeOthers
            | Call::RevokeAll
            | Call::RevokeUser
            | Call::Bump
    )
}

impl Life<'_> {
    fn is_signed_in(&self) -> bool {
        matches!(self.birth.call, Call::Login { .. })
    }

    /// Whether `event`, which was done, has ended this session for certain.
    fn ended_by(&self, event: &Event) -> bool {
        let Some(report) = event.report() else { return false };
        let its_own = report.seen.as_deref() == Some(self.locator);
        let was_there = self.is_signed_in() && self.birth.end < event.start;
        match event.call {
            Call::Logout | Call::Login { .. } => its_own,
            Call::RevokeAll => its_own || was_there,
            Call::RevokeOthers => !its_own && was_there,
            Call::RevokeUser => was_there,
            // A login that read the version before it was changed is refused, or its session is ended.
            Call::Bump => {
                let checked = self.birth.report().and_then(|report| report.checked);
                was_there || (self.is_signed_in() && checked.is_some_and(|checked| checked < event.start))
            }
            _ => false,
        }
    }

    fn after_its_end(&self, enders: &[&Event]) -> Option<Violation> {
        let end = enders.iter().filter(|event| self.ended_by(event)).min_by_key(|event| event.end)?;
        let late = self.visits.iter().find(|visit| visit.start > end.end && self.answers(visit))?;
        Some(Rule::AliveAfterItsEnd.broken(format!("{end:?}, and {late:?}")))
    }

    fn answers(&self, visit: &Event) -> bool {
        visit.seen() == Some(self.locator)
    }

    fn overdue(&self, terms: &Terms) -> Option<Violation> {
        let last = self.birth.end + self.term.absolute + terms.tick;
        let mut used = self.birth.end;
        for visit in &self.visits {
            let idle_until = used + self.term.idle + terms.slack;
            if self.answers(visit) && (visit.start > last || visit.start > idle_until) {
                return Some(Rule::Overdue.broken(format!("{:?}, and {visit:?}", self.birth)));
            }
            // A visit that was under way may have touched it.
            used = used.max(visit.end);
        }
        None
    }

    /// A visit that did not find it, though nothing can have ended it.
    fn dead_of_nothing(&self, enders: &[&Event]) -> Option<Violation> {
        let may_be_ended_by = |event: &Event| match event.call {
            Call::Logout => event.session() == Some(self.locator),
            // A login over it, or, at the limit, anybody's.
            Call::Login { .. } => self.is_signed_in() || event.session() == Some(self.locator),
            Call::RevokeAll | Call::RevokeOthers | Call::RevokeUser | Call::Bump => self.is_signed_in(),
            _ => false,
        };
        let cause = enders
            .iter()
            .filter(|event| {
                !std::ptr::eq(**event, self.birth) && event.end > self.birth.start && may_be_ended_by(event)
            })
            .map(|event| event.start)
            .min()
            .unwrap_or(u64::MAX);
        let rotated =
            self.visits.iter().filter(|visit| visit.call == Call::Rotate).map(|visit| visit.start).min();
        let until = cause.min(rotated.unwrap_or(u64::MAX)).min(self.certain_until());
        let gone = |visit: &&&Event| visit.outcome == not_found() && visit.end < until;
        let visit = self.visits.iter().find(gone)?;
        Some(Rule::DiedOfNothing.broken(format!("{:?}, and {visit:?}", self.birth)))
    }

    /// Until when it lives if nobody touches it: touches go on behind responses, and nobody knows when.
    fn certain_until(&self) -> u64 {
        self.birth.start + self.term.idle.min(self.term.absolute)
    }
}

fn not_found() -> crate::history::Outcome {
    crate::history::Outcome::Refused { seen: None }
}

/// A secret is bad once a rotation that was sent after it was issued has been answered.
fn old_secrets(history: &[Event]) -> Vec<Violation> {
    let mut issued: HashMap<&Token, &Event> = HashMap::new();
    let mut rotations: HashMap<&str, Vec<&Event>> = HashMap::new();
    for event in history {
        let Some(report) = event.report() else { continue };
        if let Some(token) = &report.issued {
            issued.insert(token, event);
        }
        if event.call == Call::Rotate
            && let Some(session) = report.seen.as_deref()
        {
            rotations.entry(session).or_default().push(event);
        }
    }
    let mut found = Vec::new();
    for event in history {
        let (Some(token), Some(seen)) = (&event.presented, event.seen()) else { continue };
        let Some(issue) = issued.get(token).filter(|_| seen == token.session) else { continue };
        let since = rotations.get(seen).into_iter().flatten();
        let mut since = since.filter(|rotation| issue.end < rotation.start && rotation.end < event.start);
        if let Some(rotation) = since.next() {
            found.push(Rule::OldSecret.broken(format!("{rotation:?}, and {event:?}")));
        }
    }
    found
}

/// A login that found a session and got nothing of it, though nobody else can have ended that one.
fn disinherited(
    history: &[Event],
    chains: &Chains<'_>,
    lives: &[Life<'_>],
    enders: &[&Event],
) -> Vec<Violation> {
    let lives: HashMap<&str, &Life<'_>> = lives.iter().map(|life| (life.locator, life)).collect();
    let mut found = Vec::new();
    for login in history.iter().filter(|event| matches!(event.call, Call::Login { .. })) {
        let Some(report) = login.report() else { continue };
        let (Some(seen), Some(now)) = (report.seen.as_deref(), report.now.as_deref()) else { continue };
        let Some(before) = lives.get(seen).filter(|_| !chains.inherited(now)) else { continue };
        let others = enders.iter().filter(|event| !std::ptr::eq(**event, login));
        let mut causes = others.filter(|event| {
            event.start < login.end
                && event.end > before.birth.start
                && (before.is_signed_in() || event.session() == Some(seen))
        });
        if causes.next().is_none() && login.end < before.certain_until() {
            found
                .push(Rule::Lost.broken(format!("nothing was inherited of {:?} by {login:?}", before.birth)));
        }
    }
    found
}

/// At the moment at which a session is made, it and every other that is seen alive before and after.
fn over_the_limit(lives: &[Life<'_>], terms: &Terms) -> Vec<Violation> {
    let spans: Vec<(u64, u64)> = lives
        .iter()
        .filter(|life| life.is_signed_in())
        .filter_map(|life| {
            let last = life.visits.iter().rev().find(|visit| life.answers(visit))?;
            (last.start > life.birth.end).then_some((life.birth.end, last.start))
        })
        .collect();
    let at_once = |at: u64| spans.iter().filter(|(from, until)| *from <= at && at < *until).count();
    let over = spans.iter().map(|(from, _)| (*from, at_once(*from))).find(|(_, count)| *count > terms.limit);
    over.map(|(at, count)| Rule::OverTheLimit.broken(format!("{count} sessions at {at}")))
        .into_iter()
        .collect()
}
