//! [`Link`]: the one connection, made when it is needed and given up when it no longer serves.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisResult};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use crate::backoff;
use crate::health::Health;
use crate::verdict::Failure;

/// What commands are sent on. Clones share the connection.
pub(crate) type Connection = MultiplexedConnection;

/// Makes connections. What kind of server they lead to is known here only.
pub(crate) struct Connector(Box<dyn Fn() -> Connecting + Send + Sync>);

type Connecting = Pin<Box<dyn Future<Output = RedisResult<Connection>> + Send>>;

/// The one connection. Callers wait while it is made, and fail at once while it is not to be had.
pub(crate) struct Link {
    connector: Connector,
    attempt_timeout: Duration,
    state: watch::Sender<State>,
}

#[derive(Debug)]
enum State {
    /// There is no connection; the next caller has one made.
    Idle,
    /// A task makes one; callers wait for it.
    Connecting,
    /// Callers use it.
    Up(Arc<Line>),
    /// The last `failures` attempts failed. Until then callers are told so; the first one after has another made.
    Down { until: Instant, failures: u32, failure: Failure },
}

/// A connection that was made.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) connection: Connection,
    pub(crate) health: Health,
    since: Instant,
}

/// How many commands may wait to be sent; who comes then waits until these are.
///
/// On a runtime of one thread, commands go out when all tasks that can run have run. Without a bound, everything that is
/// in flight would go out as one batch and come back as one, and client and server would take turns. With less in a
/// batch than there is in flight the one works while the other does.
const BATCH: usize = 24;

enum Step {
    Use(Arc<Line>),
    Wait,
    Fail(Failure),
}

impl Connector {
    pub(crate) fn standalone(server: ConnectionInfo) -> RedisResult<Self> {
        let client = Client::open(server)?;
        // Time is measured in one place, around the whole attempt and every command.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(BATCH);
        Ok(Self(Box::new(move || {
            let (client, config) = (client.clone(), config.clone());
            Box::pin(async move { client.get_multiplexed_async_connection_with_config(&config).await })
        })))
    }
}

impl Link {
    pub(crate) fn new(connector: Connector, attempt_timeout: Duration) -> Self {
        Self { connector, attempt_timeout, state: watch::Sender::new(State::Idle) }
    }

    /// The connection, once there is one, or why there is none.
    pub(crate) async fn up(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Line>, Failure> {
        if let State::Up(line) = &*self.state.borrow() {
            return Ok(Arc::clone(line));
        }
        let mut changes = self.state.subscribe();
        loop {
            match self.step() {
                Step::Use(line) => return Ok(line),
                Step::Fail(failure) => return Err(failure),
                Step::Wait => {
                    // The sender lives in `self`, so a change is awaited in vain only when time runs out.
                    if timeout_at(deadline, changes.changed()).await.is_err() {
                        return Err(Failure::timeout());
                    }
                }
            }
        }
    }

    /// Gives the connection up, if it still is the one; those who wait on it may go on waiting.
    pub(crate) fn give_up(&self, line: &Arc<Line>, reason: &str) {
        let given_up = self.state.send_if_modified(|state| {
            let current = matches!(state, State::Up(current) if Arc::ptr_eq(current, line));
            if current {
                *state = State::Idle;
            }
            current
        });
        if given_up {
            warn!(target: "portcullis_redis", reason, "connection dropped");
        }
    }

    /// What a caller does in the present state. Of all that find no connection, one starts the attempt.
    fn step(self: &Arc<Self>) -> Step {
        let mut step = Step::Wait;
        let mut attempt = None;
        self.state.send_if_modified(|state| {
            match state {
                State::Idle => attempt = Some(0),
                State::Down { until, failures, .. } if *until <= Instant::now() => attempt = Some(*failures),
                State::Down { failure, .. } => step = Step::Fail(failure.clone()),
                State::Connecting => {}
                State::Up(line) => step = Step::Use(Arc::clone(line)),
            }
            if attempt.is_some() {
                *state = State::Connecting;
            }
            attempt.is_some()
        });
        if let Some(failures) = attempt {
            self.start(failures);
        }
        step
    }

    /// Connects in a task of its own, because the caller may be cancelled while others wait.
    fn start(self: &Arc<Self>, failures: u32) {
        let attempt = Attempt { link: Arc::clone(self), failures, outcome: None };
        tokio::spawn(attempt.run());
    }
}

/// An attempt to connect. However it ends, also by a panic or with its runtime, the link leaves `Connecting`.
struct Attempt {
    link: Arc<Link>,
    failures: u32,
    outcome: Option<Result<Arc<Line>, Failure>>,
}

impl Attempt {
    async fn run(mut self) {
        let connecting = (self.link.connector.0)();
        let outcome = match timeout(self.link.attempt_timeout, connecting).await {
            Ok(Ok(connection)) => Ok(Arc::new(Line::new(connection))),
            Ok(Err(error)) => Err(Failure::of_connect(error)),
            Err(_) => Err(Failure::timeout()),
        };
        self.outcome = Some(outcome);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let state = match self.outcome.take().unwrap_or(Err(Failure::unavailable())) {
            Ok(line) => {
                debug!(target: "portcullis_redis", failures = self.failures, "connected");
                State::Up(line)
            }
            Err(failure) => {
                let failures = self.failures.saturating_add(1);
                let (kind, cause) = (failure.kind().label(), failure.cause());
                warn!(target: "portcullis_redis", failures, kind, %cause, "cannot connect");
                State::Down { until: Instant::now() + backoff::before_reconnect(failures), failures, failure }
            }
        };
        self.link.state.send_replace(state);
    }
}

impl Line {
    fn new(connection: Connection) -> Self {
        Self { connection, health: Health::new(), since: Instant::now() }
    }

    /// How long the connection has been there.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.borrow() {
            State::Idle => "idle",
            State::Connecting => "connecting",
            State::Up(_) => "up",
            State::Down { .. } => "down",
        };
        f.debug_struct("Link").field("state", &state).finish_non_exhaustive()
    }
}
