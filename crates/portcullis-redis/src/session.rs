//! [`RedisBackend`] as a [`SessionBackend`]: what each operation sends.

use std::fmt;
use std::time::Duration;

use portcullis_store::{
    Created, Key, Locator, Record, Saved, SessionBackend, StoreError, StoreErrorKind, Tag, Timestamp,
    Touched, UserKey,
};
use redis::{Cmd, ConnectionAddr, Pipeline, Value, cmd};

use crate::client::Client;
use crate::config::{ConfigError, RedisConfig};
use crate::keys::Keys;
use crate::link::Connector;
use crate::reply::{accepted, decode, locators, record, unexpected, unreadable};
use crate::script::{self, LAST_TIME, answer};

/// Sessions in Redis or Valkey, over one shared connection.
///
/// Clones share the connection. Every call ends within the [budget](RedisConfig::budget); the crate's page says what
/// it does until then. It is to be called inside a tokio runtime with I/O and time enabled.
#[derive(Clone)]
pub struct RedisBackend {
    client: Client,
    keys: Keys,
    max_record_len: usize,
    server: ConnectionAddr,
}

impl RedisBackend {
    /// A backend with this configuration.
    ///
    /// Nothing is sent: the first call connects, so that a service boots while its Redis is down.
    ///
    /// # Errors
    /// [`ConfigError`], when the configuration cannot be used.
    pub fn connect(config: RedisConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let connector = Connector::standalone(config.server.clone()).map_err(ConfigError::url)?;
        Ok(Self {
            client: Client::new(connector, config.budget, config.attempt_timeout),
            keys: Keys::new(&config.key_prefix),
            max_record_len: config.max_record_len,
            server: config.server.addr().clone(),
        })
    }

    fn encode(&self, record: &Record) -> Result<Vec<u8>, StoreError> {
        let bytes = record.encode();
        if bytes.len() > self.max_record_len { Err(StoreErrorKind::TooLarge.into()) } else { Ok(bytes) }
    }
}

impl SessionBackend for RedisBackend {
    async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        record(self.client.call().send(&get(&self.keys.session(key))).await?)
    }

    async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipeline.add_command(get(&self.keys.session(*key)));
        }
        self.client.call().send(&pipeline).await?.into_iter().map(record).collect()
    }

    async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        let bytes = self.encode(record)?;
        let name = self.keys.session(key);
        let mut call = self.client.call();
        let mut set = cmd("SET");
        set.arg(&name).arg(bytes).arg("NX").arg("PX").arg(millis_to_live(record));
        match accepted(call.send(&set).await?)? {
            Value::Okay => Ok(Created::Done),
            // There is one already: ours, if this is a resend.
            Value::Nil => Ok(whose(accepted(call.send(&get(&name)).await?)?, record.header.tag())),
            _ => Err(unexpected()),
        }
    }

    /// One script, because a pipeline would have entered the session in the index before it is known that the record
    /// is another's, and taking it out again could orphan that one.
    async fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        user: UserKey<'_>,
    ) -> Result<Created, StoreError> {
        let bytes = self.encode(record)?;
        let (session, index) = (self.keys.session(key), self.keys.index(user));
        let to_live = millis_to_live(record).to_string();
        let deadline = score(record.header.absolute_deadline);
        let arguments: [&[u8]; 4] = [&bytes, to_live.as_bytes(), key.locator.as_bytes(), deadline.as_bytes()];
        let reply = script::CREATE.run(&mut self.client.call(), &[&session, &index], &arguments).await?;
        match code(&accepted(reply)?) {
            Some(answer::DONE) => Ok(Created::Done),
            Some(answer::TAKEN) => Ok(Created::Taken),
            _ => Err(unexpected()),
        }
    }

    async fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        let bytes = self.encode(record)?;
        let name = self.keys.session(key);
        let mut call = self.client.call();
        let reply = script::SAVE.run(&mut call, &[&name], &[&expected.0, &bytes]).await?;
        let reply = accepted(reply)?;
        match (code(&reply), reply) {
            (Some(answer::DONE), _) => Ok(Saved::Done),
            (Some(answer::GONE), _) => Ok(Saved::Gone),
            (Some(answer::UNREADABLE), _) => Err(unreadable()),
            (_, Value::BulkString(current)) => {
                Ok(Saved::Conflict { current: decode(&current)?, in_doubt: call.in_doubt() })
            }
            _ => Err(unexpected()),
        }
    }

    async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        let name = self.keys.session(key);
        let reply = accepted(script::TOUCH.run(&mut self.client.call(), &[&name], &[]).await?)?;
        match (code(&reply), reply) {
            (Some(answer::GONE), _) => Ok(Touched::Gone),
            (Some(answer::UNREADABLE), _) => Err(unreadable()),
            (_, Value::BulkString(deadline)) => Ok(Touched::Alive(moment(&deadline).ok_or_else(unexpected)?)),
            _ => Err(unexpected()),
        }
    }

    async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut unlink = cmd("UNLINK");
        for key in keys {
            unlink.arg(self.keys.session(*key));
        }
        accepted(self.client.call().send(&unlink).await?).map(drop)
    }

    async fn enrol(
        &self,
        user: UserKey<'_>,
        locator: Locator,
        deadline: Timestamp,
    ) -> Result<(), StoreError> {
        let name = self.keys.index(user);
        let deadline = score(deadline);
        let arguments: [&[u8]; 2] = [locator.as_bytes(), deadline.as_bytes()];
        accepted(script::ENROL.run(&mut self.client.call(), &[&name], &arguments).await?).map(drop)
    }

    async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        if locators.is_empty() {
            return Ok(());
        }
        let mut remove = cmd("ZREM");
        remove.arg(self.keys.index(user));
        for locator in locators {
            remove.arg(locator.as_str());
        }
        accepted(self.client.call().send(&remove).await?).map(drop)
    }

    async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        let name = self.keys.index(user);
        locators(script::MEMBERS.run(&mut self.client.call(), &[&name], &[]).await?)
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend")
            .field("server", &format_args!("{}", self.server))
            .field("client", &self.client)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// How long a new record lives, in milliseconds.
///
/// Deadlines are by the application's clock, and the key expires by the server's. What lies between the deadline and
/// the record's creation is the same by either, however far they are apart. (A record is created together with a new
/// secret, though `created` may say when the session that it continues began.)
fn millis_to_live(record: &Record) -> u64 {
    let header = &record.header;
    let to_live = header.expires().since(header.created.max(header.secret_since));
    // The server takes no zero. A record that is dead on arrival is gone a moment later.
    millis(to_live).clamp(1, LAST_TIME / 2)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn score(deadline: Timestamp) -> String {
    deadline.as_millis().min(LAST_TIME).to_string()
}

fn moment(decimal: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(decimal).ok()?.parse().ok().map(Timestamp::from_millis)
}

fn get(name: &str) -> Cmd {
    let mut get = cmd("GET");
    get.arg(name);
    get
}

/// Whether what is there was made by the write named `tag`. If it has gone meanwhile, it was another's: a caller then
/// takes a new locator, which is right in every case.
fn whose(reply: Value, tag: Tag) -> Created {
    match record(reply) {
        Ok(Some(record)) if record.header.tags.contains(&tag) => Created::Done,
        _ => Created::Taken,
    }
}

fn code(reply: &Value) -> Option<u8> {
    if let Value::Int(code) = reply { u8::try_from(*code).ok() } else { None }
}
