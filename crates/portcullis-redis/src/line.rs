//! [`Line`]: a connection that was made, and how it does.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisResult, Value};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::liveness::Liveness;
use crate::provider::Provider;
use crate::server::{Place, Server};

/// A connection that was made.
pub(crate) struct Line {
    connection: Connection,
    /// Where it leads, if we have made it.
    pub(crate) place: Option<Place>,
    pub(crate) liveness: Liveness,
    since: Instant,
}

enum Connection {
    Own { multiplexed: MultiplexedConnection, _driver: Driver },
    Provided(Arc<dyn Provider>),
}

/// How many commands may wait to be sent; who comes then waits until these are.
///
/// On a runtime of one thread, commands go out when all tasks that can run have run. Without a bound, everything that is
/// in flight would go out as one batch and come back as one, and client and server would take turns. With less in a
/// batch than there is in flight the one works while the other does.
const BATCH: usize = 24;

/// The task that reads and writes. It ends with the line: on a network that swallows everything it would wait for ever
/// for the answers that are due.
struct Driver(JoinHandle<()>);

impl Line {
    /// Connects, logs in and selects the database.
    pub(crate) async fn open(server: &Server) -> RedisResult<Self> {
        // Time is measured in one place, around the whole attempt and every command.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(BATCH);
        let stream = server.dial().await?;
        let (multiplexed, driver) =
            MultiplexedConnection::new_with_config(&server.login, stream, config).await?;
        let connection = Connection::Own { multiplexed, _driver: Driver(tokio::spawn(driver)) };
        Ok(Self::new(connection, Some(server.place.clone())))
    }

    pub(crate) fn provided(provider: Arc<dyn Provider>) -> Self {
        Self::new(Connection::Provided(provider), None)
    }

    fn new(connection: Connection, place: Option<Place>) -> Self {
        Self { connection, place, liveness: Liveness::new(), since: Instant::now() }
    }

    /// Sends a command. An error of the server is part of the reply.
    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match &self.connection {
            Connection::Own { multiplexed, .. } => multiplexed.clone().send_packed_command(command).await,
            Connection::Provided(provider) => provider.send(command).await,
        }
    }

    /// Sends several commands, one after the other on the same connection.
    pub(crate) async fn send_all(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        match &self.connection {
            Connection::Own { multiplexed, .. } => {
                multiplexed.clone().send_packed_commands(pipeline, 0, pipeline.len()).await
            }
            Connection::Provided(provider) => provider.send_all(pipeline).await,
        }
    }

    /// How long the connection has been there.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
