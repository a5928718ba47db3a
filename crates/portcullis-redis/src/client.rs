//! [`Client`]: sends commands along the [`Route`], within a budget, again if need be. Every command of ours may be sent
//! twice, at any distance in time, with the effect of once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use portcullis_store::StoreError;
use redis::{ServerError, Value};
use tokio::time::{Instant, sleep};

use crate::cluster::{Redirect, slot_of, slot_of_key};
use crate::command::{Command, Commands, words};
use crate::counters;
use crate::link::{Dropped, Line, Link, backoff};
use crate::route::Route;
use crate::verdict::{Failure, Verdict};
use crate::wire::Unanswered;

/// Sends commands. Clones share the connections. Nothing is sent before the first command.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    route: Route,
    budget: Duration,
    attempt_timeout: Duration,
}

/// One call of the backend: a few commands at most, under one budget.
pub(crate) struct Call<'a> {
    client: &'a Client,
    deadline: Instant,
    /// The moment that it is, while nothing has been waited for.
    now: Option<Instant>,
    in_doubt: bool,
}

/// A command or a pipeline. Errors of the server are part of the reply.
pub(crate) trait Request: Sync {
    type Reply: Send;

    /// The slot that it belongs to, in a cluster.
    fn slot(&self) -> u16;

    fn send(
        &self,
        line: &Line,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Reply, Unanswered>> + Send;

    /// Sends it to a node that is only just getting its slot.
    fn send_asking(
        &self,
        line: &Line,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Reply, Unanswered>> + Send;

    /// The server's errors in a reply.
    fn errors(reply: &Self::Reply) -> impl Iterator<Item = &ServerError>;
}

/// A command that any node of a cluster can do, for the one that has a key.
pub(crate) struct Near<'a> {
    pub(crate) key: &'a str,
    pub(crate) command: Command,
}

/// How one send ended, if not with an answer to keep.
enum Miss {
    /// The server may or may not have seen the command.
    Unanswered(Failure),
    /// It saw it, and is not ready for it.
    NotReady(Failure),
    /// It saw it, and another one has to do it.
    Elsewhere(Redirect),
}

/// Where a command goes.
struct Leg {
    link: Arc<Link>,
    line: Arc<Line>,
    asking: bool,
}

impl Client {
    pub(crate) fn new(route: Route, budget: Duration, attempt_timeout: Duration) -> Self {
        Self { route, budget, attempt_timeout }
    }

    pub(crate) const fn route(&self) -> &Route {
        &self.route
    }

    pub(crate) const fn budget(&self) -> Duration {
        self.budget
    }

    /// Begins a call; its budget runs from now.
    pub(crate) fn call(&self) -> Call<'_> {
        let now = Instant::now();
        Call { now: Some(now), ..self.call_until(now + self.budget) }
    }

    /// When a call that begins now has to end.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.budget
    }

    /// Begins a call that is a part of another.
    pub(crate) fn call_until(&self, deadline: Instant) -> Call<'_> {
        Call { client: self, deadline, now: None, in_doubt: false }
    }

    /// Sends several commands, whose order does not matter, within one budget.
    pub(crate) async fn send_each(&self, commands: Vec<Command>) -> Result<Vec<Value>, StoreError> {
        if !self.route.spreads() {
            return self.call().send(&commands.into_iter().collect::<Commands>()).await;
        }
        let deadline = Instant::now() + self.budget;
        let sending = commands.iter().map(async |command| self.call_until(deadline).send(command).await);
        try_join_all(sending).await
    }

    /// Asks every server whether it is there.
    pub(crate) async fn ping(&self) -> Result<Vec<Value>, StoreError> {
        let deadline = Instant::now() + self.budget;
        let links = self.route.links(deadline).await?;
        Ok(try_join_all(links.into_iter().map(|link| self.ping_on(link, deadline))).await?)
    }

    /// A connection that has broken says nothing about the server: then another one is asked.
    async fn ping_on(&self, link: Arc<Link>, deadline: Instant) -> Result<Value, Failure> {
        let mut failure = Failure::unavailable();
        for _ in 0..2 {
            let leg = Leg { line: link.up(deadline).await?, link: Arc::clone(&link), asking: false };
            match self.attempt(&leg, &words("PING", &[]), Instant::now(), deadline).await {
                Ok(reply) => return Ok(reply),
                Err(Miss::Unanswered(why) | Miss::NotReady(why)) => failure = why,
                Err(Miss::Elsewhere(_)) => {}
            }
        }
        Err(failure)
    }

    async fn attempt<R: Request>(
        &self,
        leg: &Leg,
        request: &R,
        now: Instant,
        deadline: Instant,
    ) -> Result<R::Reply, Miss> {
        let (sent, patience) = (Sent::on(self, leg, now), now + self.attempt_timeout);
        let until = patience.min(deadline);
        let answered = match leg.asking {
            false => request.send(&leg.line, until).await,
            true => Box::pin(request.send_asking(&leg.line, until)).await,
        };
        match answered {
            Ok(reply) => sent.answered::<R>(reply),
            // It had less than its time, which says little about the connection: as if the caller had left.
            Err(Unanswered::Timeout) if deadline < patience => Err(Miss::Unanswered(Failure::timeout())),
            Err(Unanswered::Timeout) => Err(sent.timed_out()),
            Err(Unanswered::Broken(error)) => Err(sent.broken(Failure::broken(error))),
        }
    }
}

/// So many nodes may send a command on to the next one before that counts as being in motion.
const STRAIGHT_ON: u32 = 4;

impl Call<'_> {
    /// Sends a request until it is answered, for as long as that makes sense.
    ///
    /// A passing error of the server counts as no answer; any other is part of the reply.
    pub(crate) async fn send<R: Request>(&mut self, request: &R) -> Result<R::Reply, StoreError> {
        let answered = self.send_until_answered(request).await;
        answered.map_err(|failure| {
            counters::failed(failure.kind());
            failure.into()
        })
    }

    async fn send_until_answered<R: Request>(&mut self, request: &R) -> Result<R::Reply, Failure> {
        match self.send_once(request, None).await? {
            Ok(reply) => Ok(reply),
            // What all calls wait in has no room for what few of them do.
            Err(miss) => Box::pin(self.send_again(request, miss)).await,
        }
    }

    async fn send_again<R: Request>(&mut self, request: &R, mut miss: Miss) -> Result<R::Reply, Failure> {
        for sends in 0.. {
            let (failure, pause, redirect) = self.after(miss, sends);
            // In less than this an answer is not to be expected, and the failure so far says more.
            let enough = self.client.attempt_timeout / 10;
            if Instant::now() + pause + enough >= self.deadline {
                return Err(failure);
            }
            counters::resent();
            sleep(pause).await;
            miss = match self.send_once(request, redirect).await? {
                Ok(reply) => return Ok(reply),
                Err(miss) => miss,
            };
        }
        Err(Failure::timeout())
    }

    /// A miss is what more sends may mend, a failure is not.
    async fn send_once<R: Request>(
        &mut self,
        request: &R,
        redirect: Option<Redirect>,
    ) -> Result<Result<R::Reply, Miss>, Failure> {
        let leg = self.leg(request, redirect).await?;
        let now = self.now.take().unwrap_or_else(Instant::now);
        Ok(self.client.attempt(&leg, request, now, self.deadline).await)
    }

    /// What a miss after so many others says of the call, and how and when to go on.
    fn after(&mut self, miss: Miss, sends: u32) -> (Failure, Duration, Option<Redirect>) {
        match miss {
            Miss::Unanswered(failure) => {
                self.in_doubt = true;
                self.client.route.doubt();
                // The first time another connection, or another reply, is probably at hand.
                let pause = if sends == 0 { Duration::ZERO } else { backoff::before_resend(sends) };
                (failure, pause, None)
            }
            Miss::NotReady(failure) => {
                self.client.route.doubt();
                (failure, backoff::before_resend(sends + 1), None)
            }
            Miss::Elsewhere(to) => {
                counters::redirected(to.to_stay);
                let pause = if sends < STRAIGHT_ON { Duration::ZERO } else { backoff::before_resend(sends) };
                (Failure::unavailable(), pause, Some(to))
            }
        }
    }

    /// The connection to send on: where the last answer has pointed, or where the request belongs.
    async fn leg<R: Request>(&mut self, request: &R, redirect: Option<Redirect>) -> Result<Leg, Failure> {
        let route = &self.client.route;
        let asking = redirect.as_ref().is_some_and(|redirect| !redirect.to_stay);
        let link = redirect.and_then(|redirect| route.follow(&redirect));
        let link = link.or_else(|| route.known_link(|| request.slot()));
        let line = link.as_ref().and_then(|link| link.is_up());
        match (link, line) {
            (Some(link), Some(line)) => Ok(Leg { link, line, asking }),
            (link, _) => {
                self.now = None;
                Box::pin(self.leg_when_up(request, link, asking)).await
            }
        }
    }

    async fn leg_when_up<R: Request>(
        &self,
        request: &R,
        link: Option<Arc<Link>>,
        asking: bool,
    ) -> Result<Leg, Failure> {
        let route = &self.client.route;
        let link = match link {
            Some(link) => link,
            None => route.link(|| request.slot(), self.deadline).await?,
        };
        let line = link.up(self.deadline).await.inspect_err(|_| route.doubt())?;
        Ok(Leg { link, line, asking })
    }

    /// Whether anything that this call sent went unanswered, and may have been done all the same.
    pub(crate) const fn in_doubt(&self) -> bool {
        self.in_doubt
    }
}

/// A request under way. Dropped without an end it means that the caller was cancelled.
struct Sent<'a> {
    client: &'a Client,
    leg: &'a Leg,
    settled: bool,
}

impl<'a> Sent<'a> {
    fn on(client: &'a Client, leg: &'a Leg, now: Instant) -> Self {
        leg.line.liveness.sent(leg.line.age(now));
        Self { client, leg, settled: false }
    }

    fn answered<R: Request>(mut self, reply: R::Reply) -> Result<R::Reply, Miss> {
        self.settled = true;
        self.leg.line.liveness.answered();
        if let Some(redirect) =
            R::errors(&reply).find_map(|error| self.client.route.redirect(&self.leg.line, error))
        {
            return Err(Miss::Elsewhere(redirect));
        }
        let Some((error, verdict)) = R::errors(&reply).find_map(noteworthy) else { return Ok(reply) };
        // Not more often than this, or a server that stays a replica would be connected to without end.
        if verdict.reconnect && self.leg.line.age(Instant::now()) >= self.client.attempt_timeout {
            self.give_up(Dropped::Refused(error.code()));
        }
        if verdict.resend { Err(Miss::NotReady(Failure::refused(error))) } else { Ok(reply) }
    }

    fn timed_out(mut self) -> Miss {
        self.settled = true;
        if self.leg.line.liveness.timed_out() {
            self.give_up(Dropped::NoAnswers);
        }
        Miss::Unanswered(Failure::timeout())
    }

    fn broken(mut self, failure: Failure) -> Miss {
        self.settled = true;
        self.give_up(Dropped::Broken(&failure.cause()));
        Miss::Unanswered(failure)
    }

    fn give_up(&self, why: Dropped<'_>) {
        self.leg.link.give_up(&self.leg.line, why);
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let line = &self.leg.line;
        if !self.settled && line.liveness.abandoned(line.age(Instant::now()), self.client.attempt_timeout) {
            self.give_up(Dropped::NoAnswers);
        }
    }
}

/// An error that concerns more than its command.
fn noteworthy(error: &ServerError) -> Option<(&ServerError, Verdict)> {
    let verdict = Verdict::of(error);
    (verdict.resend || verdict.reconnect).then_some((error, verdict))
}

impl Request for Command {
    type Reply = Value;

    fn slot(&self) -> u16 {
        slot_of(self.words())
    }

    async fn send(&self, line: &Line, deadline: Instant) -> Result<Value, Unanswered> {
        line.send(self, deadline).await
    }

    async fn send_asking(&self, line: &Line, deadline: Instant) -> Result<Value, Unanswered> {
        let mut both = Commands::default();
        both.add(&words("ASKING", &[]));
        both.add(self);
        let mut replies = line.send_all(&both, deadline).await?;
        Ok(replies.pop().unwrap_or(Value::Nil))
    }

    fn errors(reply: &Value) -> impl Iterator<Item = &ServerError> {
        error_in(reply).into_iter()
    }
}

impl Request for Near<'_> {
    type Reply = Value;

    fn slot(&self) -> u16 {
        slot_of_key(self.key.as_bytes())
    }

    async fn send(&self, line: &Line, deadline: Instant) -> Result<Value, Unanswered> {
        line.send(&self.command, deadline).await
    }

    async fn send_asking(&self, line: &Line, deadline: Instant) -> Result<Value, Unanswered> {
        line.send(&self.command, deadline).await
    }

    fn errors(reply: &Value) -> impl Iterator<Item = &ServerError> {
        error_in(reply).into_iter()
    }
}

/// Where there is one server: [`Client::send_each`].
impl Request for Commands {
    type Reply = Vec<Value>;

    fn slot(&self) -> u16 {
        slot_of(self.first())
    }

    async fn send(&self, line: &Line, deadline: Instant) -> Result<Vec<Value>, Unanswered> {
        line.send_all(self, deadline).await
    }

    async fn send_asking(&self, line: &Line, deadline: Instant) -> Result<Vec<Value>, Unanswered> {
        line.send_all(self, deadline).await
    }

    fn errors(reply: &Vec<Value>) -> impl Iterator<Item = &ServerError> {
        reply.iter().filter_map(error_in)
    }
}

/// The server's error, if that is the reply.
pub(crate) fn error_in(reply: &Value) -> Option<&ServerError> {
    if let Value::ServerError(error) = reply { Some(error) } else { None }
}
