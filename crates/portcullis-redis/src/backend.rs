//! [`RedisBackend`]: how it is made, and how it is looked at.

mod entry;
mod expiry;
mod family;
mod key_set;
mod replay;
mod session;
mod token;

use std::fmt;

use portcullis_store::StoreError;

use self::token::Everyone;
use crate::check::{self, Report};
use crate::client::Client;
use crate::config::{ConfigError, RedisConfig};
use crate::durable::Durable;
use crate::health::Health;
use crate::keys::Keys;
use crate::reply::accepted;
use crate::route::Route;
use crate::subscriber::Subscriber;

/// Sessions, and which bearer tokens are revoked, in Redis or Valkey, over one shared connection.
///
/// Clones share the connection. Every call ends within the [budget](RedisConfig::budget); the crate's page says what
/// it does until then. It is to be called inside a tokio runtime with I/O and time enabled.
#[derive(Clone)]
pub struct RedisBackend {
    pub(crate) client: Client,
    pub(crate) durable: Durable,
    pub(crate) subscriber: Subscriber,
    pub(crate) keys: Keys,
    pub(crate) max_record_len: usize,
    pub(crate) everyone: Everyone,
}

impl RedisBackend {
    /// A backend with this configuration.
    ///
    /// Nothing is sent: the first call connects, so that a service boots while its Redis is down.
    ///
    /// # Errors
    /// [`ConfigError`], when the configuration cannot be used.
    pub fn connect(config: RedisConfig) -> Result<Self, ConfigError> {
        let route = Route::new(config.topology()?, config.attempt_timeout);
        let keys = Keys::new(&config.key_prefix, config.database_number());
        let client = Client::new(route.clone(), config.budget, config.attempt_timeout);
        Ok(Self {
            subscriber: Subscriber::new(client.clone(), keys.clone(), config.attempt_timeout),
            durable: Durable::new(route, config.attempt_timeout),
            client,
            keys,
            max_record_len: config.max_record_len,
            everyone: Everyone::default(),
        })
    }

    /// How the connections are, without asking anybody: see [`Health`].
    #[must_use]
    pub fn health(&self) -> Health {
        self.client.route().health()
    }

    /// Asks every server that holds sessions whether it is there, within one [budget](RedisConfig::budget): for a readiness
    /// probe.
    ///
    /// # Errors
    /// Of the first server that does not answer, or refuses to.
    pub async fn ping(&self) -> Result<(), StoreError> {
        for reply in self.client.ping().await? {
            accepted(reply)?;
        }
        Ok(())
    }

    /// Looks for what would go wrong later, at the start of a service for example, and says so in the [`Report`] and in a
    /// `tracing` event for each of its [warnings](Report::warnings): permissions that are missing, a replica, a version or
    /// a policy of eviction with which sessions are lost.
    ///
    /// Every command of this crate is sent once to every server that holds sessions, on a connection of its own, within
    /// one [budget](RedisConfig::budget), with a key `<prefix>::check:{..}`, which no session has; it is gone afterwards, at
    /// the latest after a minute. What needs permissions that are not needed otherwise (`+info`, `+config|get`, `+role`) is left out
    /// without them.
    ///
    /// ```no_run
    /// # use portcullis_redis::{RedisBackend, RedisConfig};
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let backend = RedisBackend::connect(RedisConfig::standalone("redis://10.0.0.5")?)?;
    /// let looking = backend.clone();
    /// // A service need not wait for it.
    /// tokio::spawn(async move {
    ///     if let Err(error) = looking.check().await {
    ///         eprintln!("Redis could not be looked at: {error}");
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a server could not be asked: as any call. A user who may not do something is no error, one who may not log in
    /// is.
    pub async fn check(&self) -> Result<Report, StoreError> {
        check::check(self.client.route(), &self.keys, self.client.deadline()).await
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend")
            .field("client", &self.client)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
