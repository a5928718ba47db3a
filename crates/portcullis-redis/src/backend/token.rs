//! [`RedisBackend`] as a [`TokenBackend`]: what each operation sends.
//!
//! All of a user's stands in one slot, so that a status is one MGET. What concerns everyone cannot: where there is one
//! server it is asked for along with the rest, and in a cluster it is kept here for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::try_join;
use portcullis_store::{
    EVERYONE_IS_SEEN_WITHIN, Locator, Realm, RevocationWatcher, StoreError, TokenBackend, TokenEpoch,
    TokenQuery, TokenStatus, UserKey, Watching,
};
use redis::{ServerError, Value};
use tokio::time::Instant;

use super::RedisBackend;
use crate::announcement;
use crate::client::Request;
use crate::command::{Command, command, get};
use crate::link::Line;
use crate::reply::{Answer, accepted, answer, epoch, unexpected, unreadable};
use crate::script::answer::UNREADABLE;
use crate::script::{self, LAST_TIME, Script};
use crate::wire::Unanswered;

/// Since when tokens of everyone are good, as it was known a moment ago. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Everyone(Arc<Mutex<HashMap<Realm, (TokenEpoch, Instant)>>>);

impl Everyone {
    fn known(&self) -> MutexGuard<'_, HashMap<Realm, (TokenEpoch, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, realm: &Realm) -> Option<TokenEpoch> {
        let (epoch, asked) = *self.known().get(realm)?;
        (asked.elapsed() < FRESH).then_some(epoch)
    }

    /// The server said so, when asked at that moment. Of two answers the one that was asked for later counts.
    fn learn(&self, realm: &Realm, epoch: TokenEpoch, asked: Instant) {
        let mut known = self.known();
        match known.get_mut(realm) {
            Some(held) if held.1 > asked => {}
            Some(held) => *held = (epoch, asked),
            None => _ = known.insert(realm.clone(), (epoch, asked)),
        }
    }
}

/// What those are told who watch the realm, but for the numbers, which the script knows.
struct Told<'a> {
    realm: &'a Realm,
    head: String,
}

/// Several keys in one command. That a node does not answer for them while their slot moves is an answer to it, for which
/// nothing is sent again.
struct Together(Command);

impl Request for Together {
    type Reply = Value;

    fn slot(&self) -> u16 {
        self.0.slot()
    }

    async fn send(&self, line: &Line, deadline: Instant) -> Result<Value, Unanswered> {
        self.0.send(line, deadline).await
    }

    async fn send_asking(&self, line: &Line, deadline: Instant) -> Result<Value, Unanswered> {
        self.0.send_asking(line, deadline).await
    }

    fn errors(reply: &Value) -> impl Iterator<Item = &ServerError> {
        Command::errors(reply).filter(|error| error.code() != TRY_AGAIN)
    }
}

/// What a node says of several keys while their slot moves.
const TRY_AGAIN: &str = "TRYAGAIN";

/// For how long it is good enough: an answer may take a call's budget to arrive, and is then as old as that.
const FRESH: Duration = EVERYONE_IS_SEEN_WITHIN.saturating_sub(Duration::from_millis(500));

impl RedisBackend {
    /// What is asked of a user's own slot, and the epoch for everyone if it stands there too.
    fn names(&self, query: &TokenQuery<'_>, with_everyone: bool) -> Vec<String> {
        let TokenQuery { user, token, family } = *query;
        let mut names = Vec::with_capacity(4);
        names.push(self.keys.epoch(user));
        names.extend(token.map(|token| self.keys.token(user, token)));
        names.extend(family.map(|family| self.keys.family(user, family)));
        names.extend(with_everyone.then(|| self.keys.everyone(user.realm)));
        names
    }

    /// What stands under these names, in one slot or on one server.
    pub(crate) async fn values(&self, names: &[String]) -> Result<Vec<Value>, StoreError> {
        let together = Together(command("MGET", names.iter().map(String::as_bytes)));
        let reply = self.client.call().send(&together).await?;
        // While a slot moves no node answers for several keys of which one is absent, and most are; for single keys the two
        // nodes do.
        if matches!(&reply, Value::ServerError(error) if error.code() == TRY_AGAIN) {
            let each = self.client.send_each(names.iter().map(|name| get(name)).collect()).await?;
            return each.into_iter().map(accepted).collect();
        }
        if let Value::Array(values) = accepted(reply)? { Ok(values) } else { Err(unexpected()) }
    }

    async fn ask_status(
        &self,
        query: &TokenQuery<'_>,
        with_everyone: bool,
    ) -> Result<TokenStatus, StoreError> {
        let names = self.names(query, with_everyone);
        let mut values = self.values(&names).await?.into_iter();
        let mut next =
            |is_asked: bool| if is_asked { values.next().ok_or_else(unexpected) } else { Ok(Value::Nil) };
        Ok(TokenStatus {
            user: epoch(next(true)?)?,
            token_is_revoked: next(query.token.is_some())? != Value::Nil,
            family_is_revoked: next(query.family.is_some())? != Value::Nil,
            everyone: epoch(next(with_everyone)?)?,
        })
    }

    /// The epoch for everyone as it was a moment ago.
    pub(crate) async fn everyone_lately(&self, realm: &Realm) -> Result<TokenEpoch, StoreError> {
        match self.everyone.fresh(realm) {
            Some(everyone) => Ok(everyone),
            None => self.ask_everyone(realm).await,
        }
    }

    async fn ask_everyone(&self, realm: &Realm) -> Result<TokenEpoch, StoreError> {
        let asked = Instant::now();
        let name = self.keys.everyone(realm);
        let found = epoch(accepted(self.client.call().send(&get(&name)).await?)?)?;
        self.everyone.learn(realm, found, asked);
        Ok(found)
    }

    async fn mark(&self, name: &str, keep: Duration, told: Told<'_>) -> Result<(), StoreError> {
        accepted(self.run(&script::MARK, name, keep, told).await?).map(drop)
    }

    async fn begin_epoch(
        &self,
        name: &str,
        keep: Duration,
        told: Told<'_>,
    ) -> Result<TokenEpoch, StoreError> {
        match answer(self.run(&script::EPOCH, name, keep, told).await?)? {
            Answer::Bytes(bytes) => epoch(Value::BulkString(bytes)),
            Answer::Code(UNREADABLE) => Err(unreadable()),
            Answer::Code(_) => Err(unexpected()),
        }
    }

    async fn run(
        &self,
        script: &Script,
        name: &str,
        keep: Duration,
        told: Told<'_>,
    ) -> Result<Value, StoreError> {
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).clamp(1, LAST_TIME / 2).to_string();
        // On a cluster nobody watches.
        let is_told = !self.client.route().spreads();
        let channel = if is_told { self.keys.revoked(told.realm) } else { String::new() };
        let arguments = [keep.as_bytes(), channel.as_bytes(), told.head.as_bytes()];
        script.run(&mut self.client.call(), &[name], &arguments).await
    }
}

impl TokenBackend for RedisBackend {
    async fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        if !self.client.route().spreads() {
            return self.ask_status(&query, true).await;
        }
        let realm = query.user.realm;
        if let Some(everyone) = self.everyone.fresh(realm) {
            return Ok(TokenStatus { everyone, ..self.ask_status(&query, false).await? });
        }
        // At the same time, so that it takes no longer.
        let both = try_join(self.ask_status(&query, false), self.ask_everyone(realm)).await;
        both.map(|(status, everyone)| TokenStatus { everyone, ..status })
    }

    async fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let told = Told { realm: user.realm, head: announcement::of_token(user.user, token) };
        self.mark(&self.keys.token(user, token), keep, told).await
    }

    async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let told = Told { realm: user.realm, head: announcement::of_family(user.user, family) };
        self.mark(&self.keys.family(user, family), keep, told).await
    }

    async fn revoke_user(&self, user: UserKey<'_>, keep: Duration) -> Result<TokenEpoch, StoreError> {
        let told = Told { realm: user.realm, head: announcement::of_user(user.user) };
        self.begin_epoch(&self.keys.epoch(user), keep, told).await
    }

    async fn revoke_everyone(&self, realm: &Realm, keep: Duration) -> Result<TokenEpoch, StoreError> {
        let told = Told { realm, head: announcement::of_everyone() };
        let begun = self.begin_epoch(&self.keys.everyone(realm), keep, told).await?;
        self.everyone.learn(realm, begun, Instant::now());
        Ok(begun)
    }

    /// Of a cluster's nodes each tells what it has done itself, and that the others are heard cannot be proved by one.
    fn watch_revocations(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        self.subscriber.watch_revocations(realm, watcher)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::Timestamp;

    use super::*;

    #[test]
    fn of_two_answers_the_one_that_was_asked_for_later_counts() {
        let (everyone, realm) = (Everyone::default(), Realm::default());
        let (sooner, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let epoch = |at| TokenEpoch(Timestamp::from_millis(at));
        for (name, answer, asked, counts) in [
            ("the first", epoch(7), later, epoch(7)),
            ("one that was asked for before and comes now", epoch(5), sooner, epoch(7)),
            ("a newer one", epoch(9), later, epoch(9)),
        ] {
            everyone.learn(&realm, answer, asked);
            assert_eq!(everyone.fresh(&realm), Some(counts), "{name}");
        }
        assert_eq!(everyone.fresh(&"staff".parse().unwrap()), None);
    }
}
