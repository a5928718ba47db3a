//! Hand-made histories: the good ones pass, and each bad one breaks its rule.

use std::collections::BTreeSet;

use super::{Rule, Snapshot, Term, Terms, check, check_snapshot};
use crate::history::{Call, Event, Held, Outcome, Report, Token};

const TERMS: Terms = Terms {
    user: Term { idle: 400, absolute: 2000 },
    remembered: Term { idle: 800, absolute: 4000 },
    anonymous: Term { idle: 400, absolute: 1000 },
    limit: 2,
    slack: 10,
    tick: 2,
};

/// A request between two moments, by the cookie of this session with its first secret.
fn at(start: u64, end: u64, session: &str, call: Call) -> Event {
    let report = Report { seen: Some(session.into()), now: Some(session.into()), ..Report::default() };
    Event { start, end, presented: Some(token(session, "1")), call, outcome: Outcome::Done(report) }
}

fn token(session: &str, secret: &str) -> Token {
    Token { session: session.into(), secret: secret.into() }
}

impl Event {
    fn with(mut self, change: impl FnOnce(&mut Report)) -> Self {
        if let Outcome::Done(report) = &mut self.outcome {
            change(report);
        }
        self
    }

    fn held(self, increments: u64, updates: u64, zero: u64) -> Self {
        let some = |number| Some(number).filter(|number| *number > 0);
        let slots = [some(zero), None, None];
        self.with(|report| report.held = Held { increments: some(increments), updates: some(updates), slots })
    }

    fn not_found(mut self) -> Self {
        self.outcome = Outcome::Refused { seen: None };
        self
    }

    fn unanswered(mut self) -> Self {
        self.outcome = Outcome::Unknown;
        self
    }

    fn by_secret(mut self, secret: &str) -> Self {
        self.presented.as_mut().unwrap().secret = secret.into();
        self
    }

    /// Leaves with the session `after`, of which it gives the cookie.
    fn makes(self, after: &str) -> Self {
        self.with(|report| (report.now, report.issued) = (Some(after.into()), Some(token(after, "1"))))
    }
}

/// An anonymous session: one increment, the value 7 in slot 0.
fn born(at: u64, session: &str) -> Event {
    let mut event = self::at(at, at + 1, session, Call::Start { value: 7 }).makes(session).held(1, 0, 7);
    event.presented = None;
    event.with(|report| report.seen = None)
}

/// A sign-in without a session before.
fn signed_in(at: u64, session: &str) -> Event {
    let mut event =
        self::at(at, at + 1, session, Call::Login { remember: false }).makes(session).held(1, 0, 0);
    event.presented = None;
    event.with(|report| (report.seen, report.checked) = (None, Some(at)))
}

fn login(start: u64, end: u64, before: &str, after: &str) -> Event {
    at(start, end, before, Call::Login { remember: false }).makes(after)
}

fn revocation(start: u64, end: u64, call: Call) -> Event {
    Event { start, end, presented: None, call, outcome: Outcome::Done(Report::default()) }
}

const SET: Call = Call::Set { slot: 0, value: 8 };
const TAKE: Call = Call::Take { slot: 0 };
const READ: Call = Call::Read;
const ADD: Call = Call::Increment;

#[test]
fn histories_that_can_be_break_no_rule() {
    let rows: [(&str, Vec<Event>); 13] = [
        (
            "increments in a row",
            vec![born(0, "a"), at(2, 3, "a", ADD).held(2, 0, 7), at(4, 5, "a", READ).held(2, 0, 7)],
        ),
        (
            "increments at once, in either order",
            vec![born(0, "a"), at(2, 9, "a", ADD).held(3, 0, 7), at(3, 8, "a", ADD).held(2, 0, 7)],
        ),
        (
            "a read beside a write sees it",
            vec![born(0, "a"), at(2, 9, "a", SET).held(1, 0, 8), at(3, 4, "a", READ).held(1, 0, 8)],
        ),
        (
            "or not yet",
            vec![born(0, "a"), at(2, 9, "a", SET).held(1, 0, 8), at(3, 4, "a", READ).held(1, 0, 7)],
        ),
        (
            "of two at once either may be the last",
            vec![
                born(0, "a"),
                at(2, 9, "a", SET).held(1, 0, 8),
                at(3, 8, "a", TAKE).with(|it| it.taken = Some(7)).held(1, 0, 0),
                at(10, 11, "a", READ).held(1, 0, 8),
            ],
        ),
        (
            "what was not answered was done",
            vec![born(0, "a"), at(2, 3, "a", ADD).unanswered(), at(9, 10, "a", READ).held(2, 0, 7)],
        ),
        (
            "or was not",
            vec![born(0, "a"), at(2, 3, "a", ADD).unanswered(), at(9, 10, "a", READ).held(1, 0, 7)],
        ),
        (
            "a login inherits, its own increment included",
            vec![
                born(0, "a"),
                at(2, 3, "a", ADD).held(2, 0, 7),
                login(4, 6, "a", "b").held(3, 0, 7),
                at(7, 8, "b", READ).held(3, 0, 7),
            ],
        ),
        (
            "of two logins one inherits",
            vec![born(0, "a"), login(2, 9, "a", "b").held(2, 0, 7), login(3, 8, "a", "c").held(1, 0, 0)],
        ),
        (
            "a logout ends it",
            vec![
                signed_in(0, "a"),
                at(2, 3, "a", Call::Logout).with(|it| it.now = None),
                at(4, 5, "a", READ).not_found(),
            ],
        ),
        (
            "a read beside a logout sees it",
            vec![
                signed_in(0, "a"),
                at(2, 9, "a", Call::Logout).with(|it| it.now = None),
                at(3, 4, "a", READ).held(1, 0, 0),
            ],
        ),
        (
            "a login beside a revocation may come after",
            vec![revocation(0, 9, Call::RevokeUser), signed_in(2, "a"), at(10, 11, "a", READ).held(1, 0, 0)],
        ),
        (
            "the new secret of a rotation",
            vec![
                born(0, "a"),
                at(2, 3, "a", Call::Rotate).held(1, 0, 7).with(|it| it.issued = Some(token("a", "2"))),
                at(4, 5, "a", READ).by_secret("2").held(1, 0, 7),
            ],
        ),
    ];
    for (name, history) in rows {
        assert_eq!(check(&history, &TERMS), [], "{name}");
    }
}

#[test]
fn each_bad_history_breaks_its_rule() {
    let rows: [(&str, Rule, Vec<Event>); 24] = [
        (
            "a lost increment",
            Rule::Lost,
            vec![born(0, "a"), at(2, 3, "a", ADD).held(2, 0, 7), at(4, 5, "a", READ).held(1, 0, 7)],
        ),
        (
            "two increments to one number",
            Rule::Lost,
            vec![born(0, "a"), at(2, 9, "a", ADD).held(2, 0, 7), at(3, 8, "a", ADD).held(2, 0, 7)],
        ),
        (
            "a lost update",
            Rule::Lost,
            vec![born(0, "a"), at(2, 3, "a", Call::Update).held(1, 1, 7), at(4, 5, "a", READ).held(1, 0, 7)],
        ),
        (
            "an increment that was applied twice",
            Rule::Invented,
            vec![born(0, "a"), at(2, 3, "a", ADD).held(3, 0, 7)],
        ),
        (
            "a lost set",
            Rule::CameBack,
            vec![born(0, "a"), at(2, 3, "a", SET).held(1, 0, 8), at(4, 5, "a", READ).held(1, 0, 7)],
        ),
        ("a value that is gone", Rule::Lost, vec![born(0, "a"), at(4, 5, "a", READ).held(1, 0, 0)]),
        (
            "a value that came back",
            Rule::CameBack,
            vec![
                born(0, "a"),
                at(2, 3, "a", TAKE).with(|it| it.taken = Some(7)).held(1, 0, 0),
                at(4, 5, "a", READ).held(1, 0, 7),
            ],
        ),
        (
            "a value that was taken twice",
            Rule::CameBack,
            vec![
                born(0, "a"),
                at(2, 9, "a", TAKE).with(|it| it.taken = Some(7)).held(1, 0, 0),
                at(3, 8, "a", TAKE).with(|it| it.taken = Some(7)).held(1, 0, 0),
            ],
        ),
        ("a value that nobody wrote", Rule::Invented, vec![born(0, "a"), at(2, 3, "a", READ).held(1, 0, 9)]),
        (
            "another session's value",
            Rule::Invented,
            vec![
                born(0, "a"),
                born(0, "b"),
                at(2, 3, "b", SET).held(1, 0, 8),
                at(4, 5, "a", READ).held(1, 0, 8),
            ],
        ),
        (
            "an increment lost between a login's load and its end",
            Rule::Lost,
            vec![
                born(0, "a"),
                login(2, 9, "a", "b").held(2, 0, 7),
                at(3, 4, "a", ADD).held(2, 0, 7),
                at(10, 11, "b", READ).held(2, 0, 7),
            ],
        ),
        (
            "a value that came back with a login",
            Rule::CameBack,
            vec![
                born(0, "a"),
                login(2, 9, "a", "b").held(2, 0, 7),
                at(3, 4, "a", TAKE).with(|it| it.taken = Some(7)).held(1, 0, 0),
                at(10, 11, "b", READ).held(2, 0, 7),
            ],
        ),
        (
            "two heirs",
            Rule::TwoHeirs,
            vec![born(0, "a"), login(2, 9, "a", "b").held(2, 0, 7), login(3, 8, "a", "c").held(2, 0, 7)],
        ),
        (
            "a login that inherits nothing, for no reason",
            Rule::Lost,
            vec![born(0, "a"), login(2, 3, "a", "b").held(1, 0, 0)],
        ),
        (
            "alive after its logout",
            Rule::AliveAfterItsEnd,
            vec![
                signed_in(0, "a"),
                at(2, 3, "a", Call::Logout).with(|it| it.now = None),
                at(4, 5, "a", READ).held(1, 0, 0),
            ],
        ),
        (
            "alive after a login over it",
            Rule::AliveAfterItsEnd,
            vec![born(0, "a"), login(2, 3, "a", "b").held(2, 0, 7), at(4, 5, "a", READ).held(1, 0, 7)],
        ),
        (
            "alive after a revocation",
            Rule::AliveAfterItsEnd,
            vec![signed_in(0, "a"), revocation(2, 3, Call::RevokeUser), at(4, 5, "a", READ).held(1, 0, 0)],
        ),
        (
            "alive after another's revocation of the others",
            Rule::AliveAfterItsEnd,
            vec![
                signed_in(0, "a"),
                signed_in(0, "b"),
                at(2, 3, "b", Call::RevokeOthers).held(1, 0, 0),
                at(4, 5, "a", READ).held(1, 0, 0),
            ],
        ),
        (
            "a login that read the version before it was changed",
            Rule::AliveAfterItsEnd,
            vec![
                Event { end: 9, ..signed_in(0, "a") },
                revocation(2, 8, Call::Bump),
                at(10, 11, "a", READ).held(1, 0, 0),
            ],
        ),
        (
            "an old secret",
            Rule::OldSecret,
            vec![
                born(0, "a"),
                at(2, 3, "a", Call::Rotate).held(1, 0, 7).with(|it| it.issued = Some(token("a", "2"))),
                at(4, 5, "a", READ).held(1, 0, 7),
            ],
        ),
        ("past its idle time", Rule::Overdue, vec![born(0, "a"), at(500, 501, "a", READ).held(1, 0, 7)]),
        (
            "past its absolute deadline",
            Rule::Overdue,
            std::iter::once(born(0, "a"))
                .chain((1..6).map(|n| at(n * 250, n * 250 + 1, "a", READ).held(1, 0, 7)))
                .collect(),
        ),
        ("gone for no reason", Rule::DiedOfNothing, vec![born(0, "a"), at(2, 3, "a", READ).not_found()]),
        (
            "over the limit",
            Rule::OverTheLimit,
            ["a", "b", "c"]
                .map(|name| signed_in(0, name))
                .into_iter()
                .chain(["a", "b", "c"].map(|name| at(5, 6, name, READ).held(1, 0, 0)))
                .collect(),
        ),
    ];
    for (name, rule, history) in rows {
        let broken: Vec<Rule> = check(&history, &TERMS).iter().map(|violation| violation.rule).collect();
        assert!(broken.contains(&rule), "{name}: {broken:?}");
    }
}

#[test]
fn what_a_store_must_not_hold_is_found() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let rows = [
        ("an entry without a session", set(&["a"]), set(&["a", "b"]), set(&[]), vec![]),
        ("a session outside the index", set(&["a", "b"]), set(&["a"]), set(&[]), vec![Rule::OutsideTheIndex]),
        ("a key for ever", set(&[]), set(&[]), set(&["p:default:s:a"]), vec![Rule::Eternal]),
    ];
    for (name, signed_in, members, eternal, expected) in rows {
        let found = check_snapshot(&Snapshot { signed_in, members, eternal });
        assert_eq!(found.iter().map(|violation| violation.rule).collect::<Vec<_>>(), expected, "{name}");
    }
}
