//! [`Reader`]: reads what is revoked already, for who begins to watch.
//!
//! * The keys themselves are read (SCAN), since they are what is asked for otherwise: no second list could disagree with them.
//! * On a connection of its own, which leads to one server from the first page to the last; a cursor means nothing to another.
//! * A page is 250 names, a quarter of a millisecond of the server's. After each it rests for three times as long as that took,
//!   so that many processes that have lost their connection together do not take the whole of the server.

use std::time::Duration;

use portcullis_store::{Realm, Revocation, Revoked, StoreError};
use redis::Value;
use tokio::time::{Instant, sleep};

use crate::command::{Command, Commands, get, words};
use crate::keys::{Keys, Standing};
use crate::link::Line;
use crate::reply::{accepted, epoch, unexpected};
use crate::script::LAST_TIME;
use crate::verdict::Failure;

/// Reads what is revoked in a realm.
pub(super) struct Reader<'a> {
    pub(super) line: Line,
    pub(super) keys: &'a Keys,
    pub(super) realm: &'a Realm,
    /// How long an answer may take.
    pub(super) patience: Duration,
}

/// How many names the server looks at for one answer.
const PAGE: &str = "250";

/// How much longer than the work the rest is.
const REST: u32 = 3;

impl Reader<'_> {
    /// Tells all that is revoked, by pages.
    pub(super) async fn read(&self, mut tell: impl FnMut(&[Revocation])) -> Result<(), StoreError> {
        let pattern = self.keys.standing(self.realm);
        let mut cursor = "0".to_owned();
        loop {
            let began = Instant::now();
            let scan = words("SCAN", &[&cursor, "MATCH", &pattern, "COUNT", PAGE]);
            let (next, names) = page(accepted(self.send(&scan).await?)?).ok_or_else(unexpected)?;
            tell(&self.look_at(names).await?);
            if next == "0" {
                break;
            }
            cursor = next;
            sleep(began.elapsed() * REST).await;
        }
        self.everyone().await.map(|everyone| tell(&everyone))
    }

    /// Publishes on the same connection: who hears it hears this very server.
    pub(super) async fn publish(&self, channel: &str, message: &str) -> Result<(), StoreError> {
        accepted(self.send(&words("PUBLISH", &[channel, message])).await?).map(drop)
    }

    async fn look_at(&self, names: Vec<String>) -> Result<Vec<Revocation>, StoreError> {
        let about = names.into_iter().filter_map(|name| {
            let standing = self.keys.stands_for(self.realm, &name)?;
            Some((name, standing))
        });
        let about: Vec<(String, Standing)> = about.collect();
        let mut replies = self.ask(about.iter().map(|(name, _)| name)).await?.into_iter();
        let mut found = Vec::with_capacity(about.len());
        for (_, standing) in about {
            let Some((keep, value)) = one(&mut replies)? else { continue };
            let what = match standing {
                Standing::Token { user, token } => Revoked::Token { user, token },
                Standing::Family { user, family } => Revoked::Family { user, family },
                Standing::User { user } => Revoked::User { user, epoch: epoch(value)? },
            };
            found.push(Revocation { what, keep });
        }
        Ok(found)
    }

    async fn everyone(&self) -> Result<Vec<Revocation>, StoreError> {
        let name = self.keys.everyone(self.realm);
        let mut replies = self.ask(std::iter::once(&name)).await?.into_iter();
        let Some((keep, value)) = one(&mut replies)? else { return Ok(Vec::new()) };
        Ok(vec![Revocation { what: Revoked::Everyone { epoch: epoch(value)? }, keep }])
    }

    /// How long each of these lives, and what it holds.
    async fn ask(&self, names: impl Iterator<Item = &String>) -> Result<Vec<Value>, StoreError> {
        let commands: Commands = names.flat_map(|name| [words("PTTL", &[name]), get(name)]).collect();
        if commands.len() == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + self.patience;
        Ok(self.line.send_all(&commands, deadline).await.map_err(Failure::unanswered)?)
    }

    async fn send(&self, command: &Command) -> Result<Value, StoreError> {
        Ok(self.line.send(command, Instant::now() + self.patience).await.map_err(Failure::unanswered)?)
    }
}

/// A cursor, and names. Names that are no text are none of ours.
fn page(reply: Value) -> Option<(String, Vec<String>)> {
    let Value::Array(parts) = reply else { return None };
    let [Value::BulkString(cursor), Value::Array(names)] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    let texts = names.into_iter().filter_map(|name| {
        if let Value::BulkString(name) = name { String::from_utf8(name).ok() } else { None }
    });
    Some((String::from_utf8(cursor).ok()?, texts.collect()))
}

/// How long a key lives yet, and its value; `None` if it has gone meanwhile.
fn one(replies: &mut impl Iterator<Item = Value>) -> Result<Option<(Duration, Value)>, StoreError> {
    let mut next = || accepted(replies.next().ok_or_else(unexpected)?);
    let (left, value) = (next()?, next()?);
    let Value::Int(left) = left else { return Err(unexpected()) };
    // One that does not expire is nothing of ours, and counts for as long as it is there.
    let keep = Duration::from_millis(if left == -1 { LAST_TIME } else { left.max(0).unsigned_abs() });
    Ok((value != Value::Nil && !keep.is_zero()).then_some((keep, value)))
}
