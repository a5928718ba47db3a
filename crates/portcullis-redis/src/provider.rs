//! [`Provider`]: connections of the application's own.

use std::fmt;
use std::future::Future;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerError, Value};

use crate::config::RedisConfig;

/// Sends on connections of the application's own. Errors of the server are part of the reply, as with our own.
pub(crate) trait Provider: Send + Sync {
    fn send<'a>(&'a self, command: &'a Cmd) -> Sending<'a, Value>;

    fn send_all<'a>(&'a self, pipeline: &'a Pipeline) -> Sending<'a, Vec<Value>>;
}

type Sending<'a, T> = Pin<Box<dyn Future<Output = RedisResult<T>> + Send + 'a>>;

/// Asks for a connection whenever something is to be sent.
struct FromClosure<F>(F);

impl RedisConfig {
    /// A connection of the application's own, cloned whenever something is to be sent, such as a
    /// [`MultiplexedConnection`](redis::aio::MultiplexedConnection) or `ConnectionManager`.
    ///
    /// It leads to one server, not to a cluster, for which there is [`RedisConfig::cluster`]. What is said of budgets,
    /// resending and failing fast holds for it too; making it anew is its own affair. Ends of sessions cannot be heard on
    /// it: whoever [watches](portcullis_store::SessionBackend::watch) looks now and then.
    pub fn from_connection<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        Self::from_provider(move || {
            let connection = Box::new(connection.clone());
            async move { Ok::<_, RedisError>(connection) }
        })
    }

    /// Connections of the application's own, from its pool: `provider` is called whenever something is to be sent. What
    /// it gives leads to a connection, as the guards of bb8 and deadpool-redis do, or a `Box`; when it is dropped, the
    /// connection is back in the pool.
    ///
    /// As with [`from_connection`](Self::from_connection) they lead to one server. A pool that has none to give within
    /// [`attempt_timeout`](Self::attempt_timeout) counts as a server that does not answer.
    ///
    /// ```
    /// use portcullis_redis::{RedisBackend, RedisConfig};
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = redis::Client::open("redis://127.0.0.1")?;
    /// let config = RedisConfig::from_provider(move || {
    ///     let client = client.clone();
    ///     async move { client.get_multiplexed_async_connection().await.map(Box::new) }
    /// });
    /// let backend = RedisBackend::connect(config)?; // contacts nobody
    /// # Ok(())
    /// # }
    /// # run().unwrap();
    /// ```
    pub fn from_provider<F, Fut, C, E>(provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<C, E>> + Send + 'static,
        C: DerefMut<Target: ConnectionLike + Send> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        Self::provided(Arc::new(FromClosure(provider)))
    }
}

impl<F, Fut, C, E> Provider for FromClosure<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<C, E>> + Send + 'static,
    C: DerefMut<Target: ConnectionLike + Send> + Send,
    E: fmt::Display + Send,
{
    fn send<'a>(&'a self, command: &'a Cmd) -> Sending<'a, Value> {
        Box::pin(async move {
            let mut connection = given((self.0)().await)?;
            connection.req_packed_command(command).await.or_else(error_as_reply)
        })
    }

    fn send_all<'a>(&'a self, pipeline: &'a Pipeline) -> Sending<'a, Vec<Value>> {
        Box::pin(async move {
            let mut connection = given((self.0)().await)?;
            connection.req_packed_commands(pipeline, 0, pipeline.len()).await
        })
    }
}

/// A provider's own error, in words: what type it is of, is its own affair.
fn given<C, E: fmt::Display>(connection: Result<C, E>) -> RedisResult<C> {
    connection.map_err(|error| {
        (ErrorKind::Io, "the application's provider gave no connection", error.to_string()).into()
    })
}

fn error_as_reply(error: RedisError) -> RedisResult<Value> {
    ServerError::try_from(error).map(Value::ServerError)
}
