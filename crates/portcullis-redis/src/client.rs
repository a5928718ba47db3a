//! [`Client`]: sends commands over the [`Link`], within a budget, again if need be. Every command of ours may be sent
//! twice, at any distance in time, with the effect of once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::StoreError;
use redis::{Cmd, Pipeline, RedisResult, ServerError, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::backoff;
use crate::link::{Connection, Connector, Line, Link};
use crate::verdict::{Failure, Verdict};

/// Sends commands. Clones share the connection. Nothing is sent before the first command.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    link: Arc<Link>,
    budget: Duration,
    attempt_timeout: Duration,
}

/// One call of the backend: a few commands at most, under one budget.
pub(crate) struct Call<'a> {
    client: &'a Client,
    deadline: Instant,
    in_doubt: bool,
}

/// A command or a pipeline. Errors of the server are part of the reply.
pub(crate) trait Request: Sync {
    type Reply: Send;

    fn send(&self, connection: Connection) -> impl Future<Output = RedisResult<Self::Reply>> + Send;

    /// The server's errors in a reply.
    fn errors(reply: &Self::Reply) -> impl Iterator<Item = &ServerError>;
}

/// How one send ended, if not with an answer to keep.
enum Miss {
    /// The server may or may not have seen the command.
    Unanswered(Failure),
    /// It saw it, and is not ready for it.
    NotReady(Failure),
}

impl Client {
    pub(crate) fn new(connector: Connector, budget: Duration, attempt_timeout: Duration) -> Self {
        let link = Arc::new(Link::new(connector, attempt_timeout));
        Self { link, budget, attempt_timeout }
    }

    pub(crate) const fn budget(&self) -> Duration {
        self.budget
    }

    /// Begins a call; its budget runs from now.
    pub(crate) fn call(&self) -> Call<'_> {
        Call { client: self, deadline: Instant::now() + self.budget, in_doubt: false }
    }

    async fn attempt<R: Request>(
        &self,
        line: &Arc<Line>,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Reply, Miss> {
        let sent = Sent::on(self, line);
        let patience = Instant::now() + self.attempt_timeout;
        match timeout_at(patience.min(deadline), request.send(line.connection.clone())).await {
            // It had less than its time, which says little about the connection: as if the caller had left.
            Err(_) if deadline < patience => Err(Miss::Unanswered(Failure::timeout())),
            Err(_) => Err(sent.timed_out()),
            Ok(Err(error)) => Err(sent.broken(Failure::broken(error))),
            Ok(Ok(reply)) => sent.answered::<R>(reply),
        }
    }
}

impl Call<'_> {
    /// Sends a request until it is answered, for as long as that makes sense.
    ///
    /// A passing error of the server counts as no answer; any other is part of the reply.
    pub(crate) async fn send<R: Request>(&mut self, request: &R) -> Result<R::Reply, StoreError> {
        for sends in 0.. {
            let line = self.client.link.up(self.deadline).await?;
            let (failure, pause) = match self.client.attempt(&line, request, self.deadline).await {
                Ok(reply) => return Ok(reply),
                Err(Miss::Unanswered(failure)) => {
                    self.in_doubt = true;
                    // The first time another connection, or another reply, is probably at hand.
                    (failure, if sends == 0 { Duration::ZERO } else { backoff::before_resend(sends) })
                }
                Err(Miss::NotReady(failure)) => (failure, backoff::before_resend(sends + 1)),
            };
            // In less than this an answer is not to be expected, and the failure so far says more.
            let enough = self.client.attempt_timeout / 10;
            if Instant::now() + pause + enough >= self.deadline {
                return Err(failure.into());
            }
            sleep(pause).await;
        }
        Err(Failure::timeout().into())
    }

    /// Whether anything that this call sent went unanswered, and may have been done all the same.
    pub(crate) const fn in_doubt(&self) -> bool {
        self.in_doubt
    }
}

/// A request under way. Dropped without an end it means that the caller was cancelled.
struct Sent<'a> {
    client: &'a Client,
    line: &'a Arc<Line>,
    settled: bool,
}

impl<'a> Sent<'a> {
    fn on(client: &'a Client, line: &'a Arc<Line>) -> Self {
        line.health.sent(line.age());
        Self { client, line, settled: false }
    }

    fn answered<R: Request>(mut self, reply: R::Reply) -> Result<R::Reply, Miss> {
        self.settled = true;
        self.line.health.answered();
        let Some((error, verdict)) = R::errors(&reply).find_map(noteworthy) else { return Ok(reply) };
        // Not more often than this, or a server that stays a replica would be connected to without end.
        if verdict.reconnect && self.line.age() >= self.client.attempt_timeout {
            self.client.link.give_up(self.line, error.code());
        }
        if verdict.resend { Err(Miss::NotReady(Failure::refused(error))) } else { Ok(reply) }
    }

    fn timed_out(mut self) -> Miss {
        self.settled = true;
        if self.line.health.timed_out() {
            self.client.link.give_up(self.line, "no answers");
        }
        Miss::Unanswered(Failure::timeout())
    }

    fn broken(mut self, failure: Failure) -> Miss {
        self.settled = true;
        self.client.link.give_up(self.line, &failure.cause());
        Miss::Unanswered(failure)
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.settled && self.line.health.abandoned(self.line.age(), self.client.attempt_timeout) {
            self.client.link.give_up(self.line, "no answers");
        }
    }
}

/// An error that concerns more than its command.
fn noteworthy(error: &ServerError) -> Option<(&ServerError, Verdict)> {
    let verdict = Verdict::of(error);
    (verdict.resend || verdict.reconnect).then_some((error, verdict))
}

impl Request for Cmd {
    type Reply = Value;

    async fn send(&self, mut connection: Connection) -> RedisResult<Value> {
        connection.send_packed_command(self).await
    }

    fn errors(reply: &Value) -> impl Iterator<Item = &ServerError> {
        error_in(reply).into_iter()
    }
}

impl Request for Pipeline {
    type Reply = Vec<Value>;

    async fn send(&self, mut connection: Connection) -> RedisResult<Vec<Value>> {
        connection.send_packed_commands(self, 0, self.len()).await
    }

    fn errors(reply: &Vec<Value>) -> impl Iterator<Item = &ServerError> {
        reply.iter().filter_map(error_in)
    }
}

fn error_in(reply: &Value) -> Option<&ServerError> {
    if let Value::ServerError(error) = reply { Some(error) } else { None }
}
