//! Whatever many tasks do at once to one user's sessions, on several connections and in two processes, nothing is lost
//! and nothing comes back: a checker that knows the whole history says so.
//!
//! * [`workload`]: tasks that share a few browsers' cookies and mix everything that can be done to a session;
//! * [`app`]: the real layers, asked by real requests;
//! * [`history`]: what was asked and answered, between which two moments;
//! * [`checker`]: what the history proves to have gone wrong.
//!
//! A binary of its own, because it keeps the machine busy for some seconds.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "tests: what goes wrong is a failed test"
)]

mod app;
mod browsers;
mod checker;
mod history;
mod processes;
mod workload;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use portcullis::session::{Lifetime, MemoryBackend};
use portcullis_testkit::redis::RedisServer;

use crate::app::{ANONYMOUS_LIFE, LIMIT, REMEMBERED_LIFE, USER_LIFE, app, members, redis};
use crate::browsers::Browsers;
use crate::checker::{Snapshot, Term, Terms, Violation, check, check_snapshot, summary};
use crate::history::{Call, Event, Outcome, Token, now};
use crate::processes::{Worker, snapshot};
use crate::workload::{Part, request, run};

/// For how long; again for longer on a machine that is so busy that little has happened.
const SECONDS: [u64; 3] = [5, 15, 30];
const NANOS: u64 = 1_000_000_000;

fn terms() -> Terms {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    let term = |life: Lifetime| Term { idle: nanos(life.idle), absolute: nanos(life.absolute) };
    Terms {
        user: term(USER_LIFE),
        remembered: term(REMEMBERED_LIFE),
        anonymous: term(ANONYMOUS_LIFE),
        limit: usize::try_from(LIMIT).unwrap(),
        slack: NANOS,
        tick: nanos(Duration::from_millis(5)),
    }
}

fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// Afterwards everything is revoked, and every cookie that was ever issued is presented once more.
async fn aftermath(app: &Router, history: &mut Vec<Event>) {
    let issued = |event: &Event| event.report().and_then(|report| report.issued.clone());
    let cookies: Vec<Token> = history.iter().filter_map(issued).collect();
    history.push(request(app, None, Call::RevokeUser).await);
    for cookie in cookies {
        history.push(request(app, Some(&cookie), Call::Read).await);
    }
}

/// How often happened what the test is about.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    logins: usize,
    inherited: usize,
    taken: usize,
    rotated: usize,
    renewed: usize,
    revocations: usize,
    not_found: usize,
}

impl Tally {
    fn of(history: &[Event]) -> Self {
        let mut tally = Self::default();
        for event in history {
            let Some(report) = event.report() else {
                tally.not_found += usize::from(event.outcome == Outcome::Refused { seen: None });
                continue;
            };
            tally.done += 1;
            tally.taken += usize::from(report.taken.is_some());
            match event.call {
                Call::Login { .. } => {
                    tally.logins += 1;
                    tally.inherited += usize::from(report.held.increments > Some(1));
                }
                Call::Rotate => tally.rotated += 1,
                Call::Logout | Call::RevokeOthers | Call::RevokeAll | Call::RevokeUser | Call::Bump => {
                    tally.revocations += 1;
                }
                // The handler asked for no cookie.
                _ if report.seen.is_some() => tally.renewed += usize::from(report.issued.is_some()),
                _ => {}
            }
        }
        tally
    }

    /// Renewals are left out: a busy machine may be too slow to see one.
    fn is_telling(&self) -> bool {
        let Self { done, logins, inherited, taken, rotated, revocations, not_found, renewed: _ } = *self;
        done > 200
            && [logins, inherited, taken, rotated, revocations, not_found].iter().all(|count| *count > 0)
    }
}

/// Fails if anything went wrong. Whether so much happened that this says something.
fn conclude(seed: u64, history: &[Event], mut violations: Vec<Violation>) -> bool {
    violations.extend(check(history, &terms()));
    let tally = Tally::of(history);
    println!("seed {seed}: {} requests, {tally:?}", history.len());
    assert!(violations.is_empty(), "seed {seed}, {} violations:{}", violations.len(), summary(&violations));
    tally.is_telling()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_comes_back_in_two_processes_on_redis() {
    for seconds in SECONDS {
        if on_redis(seconds * NANOS).await {
            return;
        }
    }
    panic!("so little happened that it proves nothing");
}

async fn on_redis(duration: u64) -> bool {
    let (server, directory, seed) = (RedisServer::start(), tempfile::tempdir().unwrap(), seed());
    let until = now() + duration;
    let workers: Vec<Worker> =
        (1..=2).map(|process| Worker::start(&server, directory.path(), seed, process, until)).collect();
    let mut eternal = BTreeSet::new();
    while now() < until {
        eternal.extend(snapshot(&server).eternal);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut history = Vec::new();
    for worker in workers {
        history.extend(worker.history().await);
    }
    let mut left = snapshot(&server);
    left.eternal.extend(eternal);
    aftermath(&app(redis(&server.url()), true), &mut history).await;
    conclude(seed, &history, check_snapshot(&left))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_comes_back_in_memory() {
    for seconds in SECONDS {
        if in_memory(seconds / 2 * NANOS).await {
            return;
        }
    }
    panic!("so little happened that it proves nothing");
}

async fn in_memory(duration: u64) -> bool {
    let (directory, seed, backend) = (tempfile::tempdir().unwrap(), seed(), MemoryBackend::new());
    let apps = [app(backend.clone(), false), app(backend.clone(), false)];
    let browsers = Browsers::in_directory(directory.path());
    let part = Part { browsers, seed, process: 1, tasks: 12, until: now() + duration };
    let mut history = run(&apps, &part).await;
    let mut left = Snapshot { members: members(&backend).await, ..Snapshot::default() };
    left.signed_in = alive(&apps[0], &history).await;
    aftermath(&apps[0], &mut history).await;
    conclude(seed, &history, check_snapshot(&left))
}

/// The sessions that are signed in, found by the cookies that logins have issued.
async fn alive(app: &Router, history: &[Event]) -> BTreeSet<String> {
    let mut alive = BTreeSet::new();
    for login in history.iter().filter(|event| matches!(event.call, Call::Login { .. })) {
        let Some(token) = login.report().and_then(|report| report.issued.as_ref()) else { continue };
        let visit = request(app, Some(token), Call::Read).await;
        alive.extend(visit.seen().map(str::to_owned));
    }
    alive
}
