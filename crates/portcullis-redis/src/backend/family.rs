//! [`RedisBackend`] as a [`FamilyBackend`]: what each operation sends.
//!
//! A family stands in its user's slot, beside the mark of its name and the user's epoch, so that one script sees all that
//! could end it, and ends its access tokens with it.

use std::time::Duration;

use futures_util::future::try_join;
use portcullis_store::{
    Begun, Family, FamilyBackend, FamilyKey, FamilySecret, NewFamily, StoreError, Timestamp, TokenEpoch,
    TokenStatus, Turn, Turned,
};
use redis::Value;

use super::RedisBackend;
use crate::announcement;
use crate::reply::{Answer, accepted, answer, epoch, number, octets, unexpected, unreadable};
use crate::script::answer::{DONE, GONE, STALE, TAKEN, UNREADABLE};
use crate::script::{self, FAMILY_FORMAT, FAMILY_SECRETS, LAST_TIME};

impl RedisBackend {
    /// The family, its mark and the epoch of its user.
    fn family_keys(&self, key: FamilyKey<'_>) -> [String; 3] {
        let FamilyKey { user, family } = key;
        [self.keys.refresh(user, family), self.keys.family(user, family), self.keys.epoch(user)]
    }
}

impl FamilyBackend for RedisBackend {
    async fn begin_family(&self, key: FamilyKey<'_>, family: NewFamily<'_>) -> Result<Begun, StoreError> {
        let names = self.family_keys(key);
        let (absolute, idle) = (millis(family.absolute), millis(family.idle));
        let expected = family.epoch.map(|epoch| epoch.as_version().to_string()).unwrap_or_default();
        let arguments =
            [&family.secret.0, absolute.as_bytes(), idle.as_bytes(), family.payload, expected.as_bytes()];
        let keys = names.each_ref().map(String::as_str);
        let reply = script::BEGIN_FAMILY.run(&mut self.client.call(), &keys, &arguments).await?;
        match answer(reply)? {
            Answer::Bytes(bytes) => epoch(Value::BulkString(bytes)).map(Begun::Done),
            Answer::Code(TAKEN) => Ok(Begun::Taken),
            Answer::Code(STALE) => Ok(Begun::Revoked),
            Answer::Code(UNREADABLE) => Err(unreadable()),
            Answer::Code(_) => Err(unexpected()),
        }
    }

    async fn rotate_family(&self, key: FamilyKey<'_>, turn: Turn) -> Result<Turned, StoreError> {
        let realm = key.user.realm;
        let names = self.family_keys(key);
        let everyone = self.keys.everyone(realm);
        // On one server the script sees it; in a cluster it is in another slot, and known from a moment ago.
        let told =
            if self.client.route().spreads() { Some(self.everyone_lately(realm).await?) } else { None };
        let mut keys: Vec<&str> = names.iter().map(String::as_str).collect();
        keys.extend(told.is_none().then_some(everyone.as_str()));
        let (generation, grace, keep) = (turn.generation.to_string(), millis(turn.grace), millis(turn.keep));
        let told = told.map(|told| told.as_version().to_string());
        let mut arguments: Vec<&[u8]> =
            vec![generation.as_bytes(), &turn.secret.0, &turn.successor.0, grace.as_bytes(), keep.as_bytes()];
        let (channel, head) = (self.keys.revoked(realm), announcement::of_family(key.user.user, key.family));
        match &told {
            Some(told) => arguments.push(told.as_bytes()),
            None => arguments.extend([channel.as_bytes(), head.as_bytes()]),
        }
        turned(script::ROTATE_FAMILY.run(&mut self.client.call(), &keys, &arguments).await?)
    }

    async fn find_family(&self, key: FamilyKey<'_>) -> Result<Option<Family>, StoreError> {
        let realm = key.user.realm;
        let mut names = self.family_keys(key).to_vec();
        if !self.client.route().spreads() {
            names.push(self.keys.everyone(realm));
            let [family, mark, user, everyone] = four(self.values(&names).await?)?;
            return found(family, mark, user, epoch(everyone)?);
        }
        let (values, everyone) = try_join(self.values(&names), self.everyone_lately(realm)).await?;
        let [family, mark, user, _] = four(values)?;
        found(family, mark, user, everyone)
    }
}

/// Three values, or four.
fn four(values: Vec<Value>) -> Result<[Value; 4], StoreError> {
    let mut values = values.into_iter();
    let mut next = || values.next().ok_or_else(unexpected);
    let [family, mark, user] = [next()?, next()?, next()?];
    Ok([family, mark, user, next().unwrap_or(Value::Nil)])
}

fn found(
    family: Value,
    mark: Value,
    user: Value,
    everyone: TokenEpoch,
) -> Result<Option<Family>, StoreError> {
    if family == Value::Nil {
        return Ok(None);
    }
    let family = decode(&octets(family)?).ok_or_else(unreadable)?;
    let status = TokenStatus {
        family_is_revoked: mark != Value::Nil,
        user: epoch(user)?,
        everyone,
        ..TokenStatus::default()
    };
    Ok(Some(family).filter(|family| family.stands(&status)))
}

fn decode(bytes: &[u8]) -> Option<Family> {
    let (&format, rest) = bytes.split_first()?;
    let (numbers, secrets) = rest.split_at_checked(FAMILY_SECRETS - 1)?;
    let (&current, rest) = secrets.split_first_chunk::<32>()?;
    let (&previous, payload) = rest.split_first_chunk::<32>()?;
    let (numbers, _) = numbers.as_chunks::<8>();
    let [generation, rotated, absolute, idle, epoch, begun] = numbers else { return None };
    let moment = |bytes: &[u8; 8]| Timestamp::from_millis(u64::from_be_bytes(*bytes));
    (format == FAMILY_FORMAT).then(|| Family {
        generation: u64::from_be_bytes(*generation),
        current: FamilySecret(current),
        previous: FamilySecret(previous),
        begun: moment(begun),
        rotated: moment(rotated),
        absolute: moment(absolute),
        idle: Duration::from_millis(u64::from_be_bytes(*idle)),
        epoch: TokenEpoch(moment(epoch)),
        payload: payload.to_vec(),
    })
}

fn turned(reply: Value) -> Result<Turned, StoreError> {
    let reply = accepted(reply)?;
    if let Value::Int(code) = reply {
        return match code {
            GONE => Ok(Turned::Gone),
            STALE => Ok(Turned::Revoked),
            UNREADABLE => Err(unreadable()),
            _ => Err(unexpected()),
        };
    }
    let Value::Array(parts) = reply else { return Err(unexpected()) };
    let mut parts = parts.into_iter();
    let mut next = || parts.next().ok_or_else(unexpected);
    let Value::Int(code) = next()? else { return Err(unexpected()) };
    match code {
        TAKEN => Ok(Turned::Reused { payload: octets(next()?)? }),
        DONE => Ok(Turned::Current {
            generation: number(next()?)?,
            is_new: next()? == Value::Int(1),
            epoch: epoch(next()?)?,
            left: Duration::from_millis(number(next()?)?),
            payload: octets(next()?)?,
        }),
        _ => Err(unexpected()),
    }
}

/// Whole milliseconds, in decimal; what a script can add to a time.
fn millis(duration: Duration) -> String {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, LAST_TIME / 2).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_family_is_unreadable() {
        let good = [&[FAMILY_FORMAT][..], &[0; FAMILY_SECRETS - 1], &[7; 64], b"payload"].concat();
        assert_eq!(decode(&good).map(|family| family.payload), Some(b"payload".to_vec()));
        for (name, bytes) in [
            ("nothing", &b""[..]),
            ("too short", good.get(..FAMILY_SECRETS + 63).unwrap_or_default()),
            ("another format", &[&[FAMILY_FORMAT + 1][..], good.get(1..).unwrap_or_default()].concat()),
        ] {
            assert_eq!(decode(bytes), None, "{name}");
        }
    }
}
