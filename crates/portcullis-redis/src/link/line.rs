//! [`Line`]: a connection that was made, and how it does.

use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Value};
use tokio::time::{Instant, timeout_at};

use super::liveness::Liveness;
use crate::command::{Command, Commands};
use crate::provider::Provider;
use crate::server::{Place, Server};
use crate::wire::{Unanswered, Wire, log_in};

/// A connection that was made.
pub(crate) struct Line {
    connection: Connection,
    /// Where it leads, if we have made it.
    pub(crate) place: Option<Place>,
    pub(crate) liveness: Liveness,
    since: Instant,
}

enum Connection {
    Own(Wire),
    Provided(Arc<dyn Provider>),
}

impl Line {
    /// Connects, logs in and selects the database. Whoever calls it measures the time.
    pub(crate) async fn open(server: &Server) -> RedisResult<Self> {
        let wire = Wire::new(server.dial().await?);
        log_in(&wire, &server.login).await?;
        Ok(Self::new(Connection::Own(wire), Some(server.place.clone())))
    }

    pub(crate) fn provided(provider: Arc<dyn Provider>) -> Self {
        Self::new(Connection::Provided(provider), None)
    }

    fn new(connection: Connection, place: Option<Place>) -> Self {
        Self { connection, place, liveness: Liveness::new(), since: Instant::now() }
    }

    /// Sends a command, and waits for the reply until `deadline`. An error of the server is a reply.
    pub(crate) async fn send(&self, command: &Command, deadline: Instant) -> Result<Value, Unanswered> {
        match &self.connection {
            Connection::Own(wire) => wire.send(command.packed(), deadline).await,
            Connection::Provided(provider) => {
                Box::pin(in_time(provider.send(&command.cmd()), deadline)).await
            }
        }
    }

    /// Sends several commands, one after the other on the same connection.
    pub(crate) async fn send_all(
        &self,
        commands: &Commands,
        deadline: Instant,
    ) -> Result<Vec<Value>, Unanswered> {
        match &self.connection {
            Connection::Own(wire) => wire.send_all(commands.packed(), commands.len(), deadline).await,
            Connection::Provided(provider) => {
                Box::pin(in_time(provider.send_all(&commands.pipeline()), deadline)).await
            }
        }
    }

    /// How long the connection has been there, at this moment.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

async fn in_time<T>(
    answering: impl Future<Output = RedisResult<T>>,
    deadline: Instant,
) -> Result<T, Unanswered> {
    let answered = timeout_at(deadline, answering).await.map_err(|_| Unanswered::Timeout)?;
    answered.map_err(Unanswered::Broken)
}
