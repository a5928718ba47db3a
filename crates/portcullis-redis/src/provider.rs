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

    /// Whether others send on the same connection at the same time.
    fn is_shared(&self) -> bool;
}

type Sending<'a, T> = Pin<Box<dyn Future<Output = RedisResult<T>> + Send + 'a>>;

/// Asks for a connection whenever something is to be sent.
struct FromClosure<F> {
    provide: F,
    is_shared: bool,
}

impl RedisConfig {
    /// A connection of the application's own, cloned whenever something is to be sent, such as a
    /// [`MultiplexedConnection`](redis::aio::MultiplexedConnection) or `ConnectionManager`.
    ///
    /// It leads to one server, not to a cluster, for which there is [`RedisConfig::cluster`]. What is said of budgets,
    /// resending and failing fast holds for it too; making it anew is its own affair. Ends of sessions cannot be heard on
    /// it: whoever [watches](portcullis_store::SessionBackend::watch) looks now and then. Nor is it kept waiting for
    /// replicas: [`destroy_durably`](portcullis_store::SessionBackend::destroy_durably) destroys, and answers 0.
    pub fn from_connection<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let provide = move || {
            let connection = Box::new(connection.clone());
            async move { Ok::<_, RedisError>(connection) }
        };
        Self::provided(Arc::new(FromClosure { provide, is_shared: true }))
    }

    /// Connections of the application's own, from its pool: `provider` is called whenever something is to be sent. What
    /// it gives leads to a connection, as the guards of bb8 and deadpool-redis do, or a `Box`; when it is dropped, the
    /// connection is back in the pool.
    ///
    /// As with [`from_connection`](Self::from_connection) they lead to one server. A pool that has none to give within
    /// [`attempt_timeout`](Self::attempt_timeout) counts as a server that does not answer. What it gives should be in
    /// nobody else's use, or a [`destroy_durably`](portcullis_store::SessionBackend::destroy_durably) holds that up.
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
        Self::provided(Arc::new(FromClosure { provide: provider, is_shared: false }))
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
            let mut connection = given((self.provide)().await)?;
            connection.req_packed_command(command).await.or_else(error_as_reply)
        })
    }

    fn send_all<'a>(&'a self, pipeline: &'a Pipeline) -> Sending<'a, Vec<Value>> {
        Box::pin(async move {
            let mut connection = given((self.provide)().await)?;
            connection.req_packed_commands(pipeline, 0, pipeline.len()).await
        })
    }

    fn is_shared(&self) -> bool {
        self.is_shared
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
