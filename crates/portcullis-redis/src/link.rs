//! [`Link`]: the one connection, made when it is needed and given up when it no longer serves.

pub(crate) mod backoff;
mod line;
mod liveness;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::StoreErrorKind;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

pub(crate) use self::line::Line;
use crate::connector::Connector;
use crate::counters;
use crate::health::LinkHealth;
use crate::server::Place;
use crate::verdict::Failure;

/// The one connection. Callers wait while it is made, also another time or two after one that served has broken, because a
/// server that restarts is there again soon; and fail at once while it is not to be had.
pub(crate) struct Link {
    connector: Connector,
    attempt_timeout: Duration,
    state: watch::Sender<State>,
}

enum State {
    /// There is no connection; the next caller has one made. Perhaps there was one.
    Idle { has_served: bool },
    /// A task makes one; callers wait for it.
    Connecting,
    /// Callers use it.
    Up(Arc<Line>),
    /// The last attempts failed. Until then callers are told so, or wait; the first one after has another made.
    Down { until: Instant, misses: Misses, failure: Failure },
}

/// Why a connection was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dropped<'a> {
    /// Two commands in a row had none.
    NoAnswers,
    /// It broke; how, is for the log.
    Broken(&'a str),
    /// The server answered with an error of this code, which says that the connection does not serve.
    Refused(&'a str),
    /// The Sentinels name another master.
    AnotherMaster,
}

/// What has been tried in vain since there was a connection, or from the beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Misses {
    has_served: bool,
    failures: u32,
}

enum Step {
    Use(Arc<Line>),
    /// For a change, and no longer than until then.
    Wait(Option<Instant>),
    Fail(Failure),
}

/// So many attempts may fail, of a connection that has served, before callers are told so at once: for some 100 ms.
const PATIENT_FAILURES: u32 = 2;

impl Link {
    pub(crate) fn new(connector: Connector, attempt_timeout: Duration) -> Self {
        Self { connector, attempt_timeout, state: watch::Sender::new(State::Idle { has_served: false }) }
    }

    /// The connection, if there is one.
    pub(crate) fn is_up(&self) -> Option<Arc<Line>> {
        if let State::Up(line) = &*self.state.borrow() { Some(Arc::clone(line)) } else { None }
    }

    /// The connection, once there is one, or why there is none.
    pub(crate) async fn up(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Line>, Failure> {
        if let Some(line) = self.is_up() {
            return Ok(line);
        }
        let mut changes = self.state.subscribe();
        loop {
            match self.step() {
                Step::Use(line) => return Ok(line),
                Step::Fail(failure) => return Err(failure),
                Step::Wait(until) => {
                    let until = until.map_or(deadline, |until| until.min(deadline));
                    // The sender lives in `self`, so a change is awaited in vain only when time runs out.
                    if timeout_at(until, changes.changed()).await.is_err() && until == deadline {
                        return Err(Failure::timeout());
                    }
                }
            }
        }
    }

    /// Gives the connection up, if it still is the one; those who wait on it may go on waiting.
    pub(crate) fn give_up(&self, line: &Arc<Line>, why: Dropped<'_>) {
        self.give_up_if(|current| Arc::ptr_eq(current, line), why);
    }

    /// Gives the connection up if it leads elsewhere than to `place`.
    pub(crate) fn leave_unless_at(&self, place: &Place) {
        self.give_up_if(|current| current.place.as_ref() != Some(place), Dropped::AnotherMaster);
    }

    fn give_up_if(&self, condition: impl Fn(&Arc<Line>) -> bool, why: Dropped<'_>) {
        let given_up = self.state.send_if_modified(|state| {
            let is_to_go = matches!(state, State::Up(current) if condition(current));
            if is_to_go {
                *state = State::Idle { has_served: true };
            }
            is_to_go
        });
        if given_up {
            warn!(target: "portcullis_redis", reason = why.label(), cause = why.cause(), "connection dropped");
            counters::dropped(why.label());
        }
    }

    /// How it is at the moment.
    pub(crate) fn health(&self) -> LinkHealth {
        match &*self.state.borrow() {
            State::Idle { .. } | State::Connecting => LinkHealth::Unconnected,
            State::Up(_) => LinkHealth::Connected,
            State::Down { misses, failure, .. } => {
                LinkHealth::Failing { failures: misses.failures, kind: failure.kind() }
            }
        }
    }

    pub(crate) const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// What a caller does in the present state. Of all that find no connection, one starts the attempt.
    fn step(self: &Arc<Self>) -> Step {
        let mut step = Step::Wait(None);
        let mut attempt = None;
        self.state.send_if_modified(|state| {
            match state {
                State::Idle { has_served } => {
                    attempt = Some(Misses { has_served: *has_served, failures: 0 });
                }
                State::Down { until, misses, .. } if *until <= Instant::now() => attempt = Some(*misses),
                State::Down { until, misses, failure } if misses.may_pass(failure) => {
                    step = Step::Wait(Some(*until));
                }
                State::Down { failure, .. } => step = Step::Fail(failure.clone()),
                State::Connecting => {}
                State::Up(line) => step = Step::Use(Arc::clone(line)),
            }
            if attempt.is_some() {
                *state = State::Connecting;
            }
            attempt.is_some()
        });
        if let Some(misses) = attempt {
            self.start(misses);
        }
        step
    }

    /// Connects in a task of its own, because the caller may be cancelled while others wait.
    fn start(self: &Arc<Self>, misses: Misses) {
        let attempt = Attempt { link: Arc::clone(self), misses, outcome: None };
        tokio::spawn(attempt.run());
    }
}

/// An attempt to connect. However it ends, also by a panic or with its runtime, the link leaves `Connecting`.
struct Attempt {
    link: Arc<Link>,
    misses: Misses,
    outcome: Option<Result<Arc<Line>, Failure>>,
}

impl Attempt {
    async fn run(mut self) {
        let connecting = self.link.connector.connect();
        let connected = timeout(self.link.attempt_timeout, connecting).await;
        if matches!(connected, Ok(Ok(_))) {
            self.link.connector.watch_over(&self.link);
        }
        self.outcome = Some(connected.unwrap_or_else(|_| Err(Failure::timeout())).map(Arc::new));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Misses { has_served, failures } = self.misses;
        let state = match self.outcome.take().unwrap_or(Err(Failure::unavailable())) {
            Ok(line) => {
                debug!(target: "portcullis_redis", failures, "connected");
                counters::connected();
                State::Up(line)
            }
            Err(failure) => {
                let failures = failures.saturating_add(1);
                let (kind, cause) = (failure.kind().label(), failure.cause());
                warn!(target: "portcullis_redis", failures, kind, %cause, "cannot connect");
                counters::not_connected(failure.kind());
                let until = Instant::now() + backoff::before_reconnect(failures);
                State::Down { until, misses: Misses { has_served, failures }, failure }
            }
        };
        self.link.state.send_replace(state);
    }
}

impl Misses {
    /// Whether the next attempt may well succeed. What has not answered at all, or has refused to let us in, is not waited
    /// for.
    fn may_pass(self, failure: &Failure) -> bool {
        self.has_served && self.failures <= PATIENT_FAILURES && failure.kind() == StoreErrorKind::Unavailable
    }
}

impl<'a> Dropped<'a> {
    /// One of a closed set.
    const fn label(self) -> &'static str {
        match self {
            Self::NoAnswers => "no_answers",
            Self::Broken(_) => "broken",
            Self::Refused(_) => "refused",
            Self::AnotherMaster => "another_master",
        }
    }

    const fn cause(self) -> Option<&'a str> {
        match self {
            Self::Broken(cause) | Self::Refused(cause) => Some(cause),
            Self::NoAnswers | Self::AnotherMaster => None,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.borrow() {
            State::Idle { .. } => "idle",
            State::Connecting => "connecting",
            State::Up(_) => "up",
            State::Down { .. } => "down",
        };
        f.debug_struct("Link")
            .field("to", &format_args!("{}", self.connector))
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
