//! [`RedisBackend`] as a [`SessionBackend`]: what each operation sends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use portcullis_store::{
    AtOnce, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved,
    SessionBackend, StoreError, StoreErrorKind, Tag, Timestamp, Touched, UserKey, Watcher, Watching,
};
use redis::Value;
use tokio::time::Instant;

use super::RedisBackend;
use super::entry::Entry;
use super::expiry::expiry;
use crate::client::{Call, Near};
use crate::command::{Argument, Commands, NONE, Word, command, get};
use crate::reply::{
    Answer, accepted, answer, decode, enrolled, locators, number, record, unexpected, unreadable,
};
use crate::script::answer::{APART, DONE, GONE, UNREADABLE};
use crate::script::{self, LAST_TIME};

impl RedisBackend {
    fn fitting<'r>(&self, record: &'r Record) -> Result<&'r Record, StoreError> {
        let fits = record.encoded_len() <= self.max_record_len;
        if fits { Ok(record) } else { Err(StoreErrorKind::TooLarge.into()) }
    }

    /// The user's credentials, if a version of them is to be compared.
    fn compared(&self, enrolment: &Enrolment<'_>) -> Option<String> {
        enrolment.credential_version.map(|_| self.keys.credentials(enrolment.user))
    }

    /// Deletes these sessions, and then tells those who watch: one message of those of one realm that stand together.
    fn ending(&self, keys: &[Key<'_>]) -> Commands {
        let mut commands = Commands::with_room(ENDING_LEN);
        commands.push("UNLINK", keys.iter().map(|key| self.keys.session_name(key)));
        for together in keys.chunk_by(|one, next| one.realm == next.realm) {
            let Some(key) = together.first() else { continue };
            let words: [&dyn Word; 2] = [&self.keys.ended_name(key.realm), &Locators(together)];
            commands.push("PUBLISH", words.into_iter());
        }
        commands
    }

    /// One by one, because the keys are on several servers: those of a server that is away keep no others alive.
    async fn destroy_each(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        let deadline = self.client.deadline();
        let destroyed = join_all(keys.iter().map(|key| self.destroy_one(*key, deadline))).await;
        destroyed.into_iter().collect()
    }

    /// Deletes and tells of it, in this order. Any node tells all others: so the one that has just deleted does, because
    /// the one that has the channel's slot may be away.
    async fn destroy_one(&self, key: Key<'_>, deadline: Instant) -> Result<(), StoreError> {
        let name = self.keys.session(key);
        let mut call = self.client.call_until(deadline);
        accepted(call.send(&command("UNLINK", std::iter::once(name.as_bytes()))).await?)?;
        let channel = self.keys.ended(key.realm);
        let words = [channel.as_bytes(), key.locator.as_bytes()];
        match call.send(&Near { key: &name, command: command("PUBLISH", words.into_iter()) }).await {
            Ok(reply) => note_unpublished(reply),
            Err(error) => unpublished(error.kind().label()),
        }
        Ok(())
    }

    async fn create_within(
        &self,
        call: &mut Call<'_>,
        key: Key<'_>,
        record: &Record,
    ) -> Result<Created, StoreError> {
        let name = self.keys.session(key);
        let (unit, time) = expiry(&record.header);
        let time = time.to_string();
        let arguments: [Argument<'_>; 5] =
            [(&*name).into(), self.fitting(record)?.into(), "NX".into(), unit.into(), (&*time).into()];
        let set = command("SET", arguments.into_iter());
        if accepted(call.send(&set).await?)? == Value::Okay {
            return Ok(Created::Done);
        }
        // There is one already: ours, if this is a resend.
        Ok(whose(accepted(call.send(&get(&name)).await?)?, record.header.tag()))
    }

    async fn enrol_within(
        &self,
        call: &mut Call<'_>,
        locator: Locator,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        let (index, credentials) = (self.keys.index(enrolment.user), self.compared(&enrolment));
        let entry = Entry::of(&enrolment);
        let mut arguments: Vec<Argument<'_>> = vec![locator.as_bytes().into()];
        entry.push_onto(&mut arguments);
        let keys: Vec<&str> = [index.as_str()].into_iter().chain(credentials.as_deref()).collect();
        enrolled(script::ENROL.run(call, &keys, &arguments).await?)
    }
}

impl SessionBackend for RedisBackend {
    async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let get = command("GET", std::iter::once(&self.keys.session_name(&key)));
        record(self.client.call().send(&get).await?)
    }

    fn budget(&self) -> Option<Duration> {
        Some(self.client.budget())
    }

    fn max_record_len(&self) -> Option<usize> {
        Some(self.max_record_len)
    }

    async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let commands = keys.iter().map(|key| get(&self.keys.session(*key))).collect();
        self.client.send_each(commands).await?.into_iter().map(record).collect()
    }

    async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        self.create_within(&mut self.client.call(), key, record).await
    }

    /// One script, because a pipeline would have entered the session in the index before it is known that the record
    /// is another's, and taking it out again could orphan that one. In a cluster the two are on several servers.
    async fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        if self.client.route().spreads() {
            let mut call = self.client.call();
            return match self.create_within(&mut call, key, record).await? {
                Created::Done => self.enrol_within(&mut call, key.locator, enrolment).await,
                Created::Taken => Ok(Enrolled::Taken),
            };
        }
        let record = self.fitting(record)?;
        let (session, index) = (self.keys.session(key), self.keys.index(enrolment.user));
        let credentials = self.compared(&enrolment);
        let (unit, time) = expiry(&record.header);
        let (time, entry) = (time.to_string(), Entry::of(&enrolment));
        let mut arguments: Vec<Argument<'_>> = Vec::with_capacity(8);
        arguments.extend::<[Argument<'_>; 4]>([
            record.into(),
            unit.into(),
            (&*time).into(),
            key.locator.as_bytes().into(),
        ]);
        entry.push_onto(&mut arguments);
        let keys: Vec<&str> = [session.as_str(), &index].into_iter().chain(credentials.as_deref()).collect();
        enrolled(script::CREATE.run(&mut self.client.call(), &keys, &arguments).await?)
    }

    async fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        let arguments: [Argument<'_>; 2] = [(&expected.0).into(), self.fitting(record)?.into()];
        let mut call = self.client.call();
        let reply = script::SAVE.run(&mut call, &[self.keys.session_name(&key)], &arguments).await?;
        match answer(reply)? {
            Answer::Code(DONE) => Ok(Saved::Done),
            Answer::Code(GONE) => Ok(Saved::Gone),
            Answer::Code(UNREADABLE) => Err(unreadable()),
            Answer::Code(_) => Err(unexpected()),
            Answer::Bytes(current) => {
                Ok(Saved::Conflict { current: decode(&current)?, in_doubt: call.in_doubt() })
            }
        }
    }

    async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        let name = self.keys.session(key);
        match answer(script::TOUCH.run(&mut self.client.call(), &[&name], &NONE).await?)? {
            Answer::Code(GONE) => Ok(Touched::Gone),
            Answer::Code(UNREADABLE) => Err(unreadable()),
            Answer::Code(_) => Err(unexpected()),
            Answer::Bytes(deadline) => moment(&deadline).map(Touched::Alive).ok_or_else(unexpected),
        }
    }

    async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        if self.client.route().spreads() {
            return self.destroy_each(keys).await;
        }
        ended(self.client.call().send(&self.ending(keys)).await?)
    }

    /// First as ever, so that the sessions have ended, and all are told, however the rest goes.
    async fn destroy_durably(&self, keys: &[Key<'_>], replicas: u32) -> Result<u32, StoreError> {
        let deadline = self.client.deadline();
        self.destroy(keys).await?;
        if keys.is_empty() || replicas == 0 {
            return Ok(0);
        }
        let names: Vec<String> = keys.iter().map(|key| self.keys.session(*key)).collect();
        Ok(self.durable.confirmed(&names, replicas, deadline).await)
    }

    async fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        write: Tag,
    ) -> Result<Destroyed, StoreError> {
        let (session, receipt) = (self.keys.session(key), self.keys.receipt(key));
        let channel = self.keys.ended(key.realm);
        let (kept, locator) = (RECEIPT_KEPT_MS.as_bytes(), key.locator.as_bytes());
        let arguments: [&[u8]; 5] = [&expected.0, &write.0, kept, channel.as_bytes(), locator];
        let mut call = self.client.call();
        let reply = script::DESTROY_UNCHANGED.run(&mut call, &[&session, &receipt], &arguments).await?;
        match answer(reply)? {
            Answer::Code(DONE) => Ok(Destroyed::Done),
            Answer::Code(GONE) => Ok(Destroyed::Gone),
            Answer::Code(UNREADABLE) => Err(unreadable()),
            Answer::Code(_) => Err(unexpected()),
            Answer::Bytes(current) => Ok(Destroyed::Conflict { current: decode(&current)? }),
        }
    }

    /// No script, because nothing hangs on what one of the commands finds. In a cluster the session and the index are on
    /// several servers.
    async fn destroy_enrolled(&self, key: Key<'_>, user: UserKey<'_>) -> Result<AtOnce, StoreError> {
        if self.client.route().spreads() {
            return Ok(AtOnce::NotDone);
        }
        let keys = [key];
        let mut commands = self.ending(&keys);
        let words: [&dyn Word; 2] = [&self.keys.index_name(&user), &Locators(&keys)];
        commands.push("ZREM", words.into_iter());
        let mut replies = self.client.call().send(&commands).await?;
        let left = replies.pop().ok_or_else(unexpected)?;
        ended(replies)?;
        // An error would say that the session has not ended.
        Ok(if accepted(left).is_ok() { AtOnce::Done } else { AtOnce::NotDone })
    }

    async fn supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<AtOnce, StoreError> {
        // Taking out the evicted is a change, which must not be made if the rest is not. In a cluster all of this is on
        // several servers.
        if !enrolment.evicted.is_empty() || self.client.route().spreads() {
            return Ok(AtOnce::NotDone);
        }
        let record = self.fitting(record)?;
        let [old, new] = [before, key].map(|key| self.keys.session(key));
        let (index, credentials) = (self.keys.index(enrolment.user), self.compared(&enrolment));
        let channel = self.keys.ended(before.realm);
        let (unit, time) = expiry(&record.header);
        let (time, entry) = (time.to_string(), Entry::of(&enrolment));
        let mut arguments: Vec<Argument<'_>> = Vec::with_capacity(11);
        arguments.extend::<[Argument<'_>; 4]>([
            record.into(),
            unit.into(),
            (&*time).into(),
            key.locator.as_bytes().into(),
        ]);
        arguments.extend::<[Argument<'_>; 3]>([
            (&expected.0).into(),
            (&*channel).into(),
            before.locator.as_bytes().into(),
        ]);
        entry.push_onto(&mut arguments);
        let all = [&*old, &new, &index, credentials.as_deref().unwrap_or_default()];
        let keys = all.get(..3 + usize::from(credentials.is_some())).unwrap_or(&all);
        at_once(script::SUPERSEDE.run(&mut self.client.call(), keys, &arguments).await?)
    }

    async fn enrol(&self, locator: Locator, enrolment: Enrolment<'_>) -> Result<Enrolled, StoreError> {
        self.enrol_within(&mut self.client.call(), locator, enrolment).await
    }

    async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        if locators.is_empty() {
            return Ok(());
        }
        let index = self.keys.index(user);
        let members = locators.iter().map(|locator| locator.as_bytes().as_slice());
        let remove = command("ZREM", std::iter::once(index.as_bytes()).chain(members));
        accepted(self.client.call().send(&remove).await?).map(drop)
    }

    async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        let name = self.keys.index(user);
        locators(script::MEMBERS.run(&mut self.client.call(), &[&name], &NONE).await?)
    }

    async fn credential_version(&self, user: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
        let reply = accepted(self.client.call().send(&get(&self.keys.credentials(user))).await?)?;
        if reply == Value::Nil {
            return Ok(CredentialVersion::default());
        }
        number(reply).map(CredentialVersion)
    }

    async fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        let name = self.keys.credentials(user);
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).clamp(1, LAST_TIME / 2).to_string();
        let reply = script::BUMP.run(&mut self.client.call(), &[&name], &[keep.as_bytes()]).await?;
        number(accepted(reply)?).map(CredentialVersion)
    }

    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        self.subscriber.watch(realm, watcher)
    }
}

fn at_once(reply: Value) -> Result<AtOnce, StoreError> {
    match answer(reply)? {
        Answer::Code(DONE) => Ok(AtOnce::Done),
        Answer::Code(APART) => Ok(AtOnce::NotDone),
        Answer::Code(_) | Answer::Bytes(_) => Err(unexpected()),
    }
}

/// What [`RedisBackend::ending`] was answered.
fn ended(replies: Vec<Value>) -> Result<(), StoreError> {
    let mut replies = replies.into_iter();
    accepted(replies.next().ok_or_else(unexpected)?)?;
    replies.for_each(note_unpublished);
    Ok(())
}

/// The sessions have ended all the same; who watches finds out more slowly.
fn note_unpublished(reply: Value) {
    if let Value::ServerError(error) = reply {
        unpublished(error.code());
    }
}

fn unpublished(code: &str) {
    tracing::warn!(target: "portcullis_redis", code, "cannot publish that a session has ended");
}

/// The names of sessions, one after the other.
struct Locators<'a>(&'a [Key<'a>]);

impl Word for Locators<'_> {
    fn len(&self) -> usize {
        self.0.len() * Locator::LEN
    }

    fn put(&self, packed: &mut Vec<u8>) {
        self.0.iter().for_each(|key| packed.extend_from_slice(key.locator.as_bytes()));
    }
}

/// As much as the end of one session takes.
const ENDING_LEN: usize = 256;

/// How long a deletion can be told from another's. A resend comes within the budget of its call, or nobody waits for
/// its answer.
const RECEIPT_KEPT_MS: &str = "60000";

/// The end of time comes back as one more: Lua counts in doubles.
fn moment(decimal: &[u8]) -> Option<Timestamp> {
    let millis: u128 = std::str::from_utf8(decimal).ok()?.parse().ok()?;
    Some(Timestamp::from_millis(millis.try_into().unwrap_or(u64::MAX)))
}

/// Whether what is there was made by the write named `tag`. If it has gone meanwhile, it was another's: a caller then
/// takes a new locator, which is right in every case.
fn whose(reply: Value, tag: Tag) -> Created {
    match record(reply) {
        Ok(Some(record)) if record.header.tags.contains(&tag) => Created::Done,
        _ => Created::Taken,
    }
}
