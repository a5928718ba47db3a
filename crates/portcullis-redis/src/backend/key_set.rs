//! [`RedisBackend`] as a [`KeySetBackend`]: what each operation sends, and how a set is written.
//!
//! When the issuer was asked, by the server's clock, and for how long its answer holds, each in milliseconds as 16 digits;
//! the tag; the document.

use std::time::Duration;

use portcullis_store::{
    KeySetBackend, LONGEST_KEY_SET, Locator, SharedKeySet, StoreError, StoreErrorKind, Timestamp,
};
use redis::Value;

use super::RedisBackend;
use crate::reply::{Answer, accepted, answer, number, unexpected, unreadable};
use crate::script::answer::{DONE, GONE, TAKEN};
use crate::script::{self, LAST_TIME, Script};

const DIGITS: usize = 16;

/// What stands before the document.
const HEAD: usize = 2 * DIGITS + Locator::LEN;

impl RedisBackend {
    async fn run_for_keys(&self, script: &Script, name: &str, args: &[&[u8]]) -> Result<Value, StoreError> {
        script.run(&mut self.client.call(), &[name], args).await
    }

    async fn run_for_code(&self, script: &Script, name: &str, args: &[&[u8]]) -> Result<i64, StoreError> {
        match answer(self.run_for_keys(script, name, args).await?)? {
            Answer::Code(code) => Ok(code),
            Answer::Bytes(_) => Err(unexpected()),
        }
    }
}

impl KeySetBackend for RedisBackend {
    async fn load(&self, issuer: Locator) -> Result<Option<SharedKeySet>, StoreError> {
        let longest = (HEAD + LONGEST_KEY_SET).to_string();
        let name = self.keys.key_set(issuer);
        let reply = self.run_for_keys(&script::LOAD_KEY_SET, &name, &[longest.as_bytes()]).await?;
        let reply = accepted(reply)?;
        if let Value::Int(code) = reply {
            return if code == GONE { Ok(None) } else { Err(unreadable()) };
        }
        let Value::Array(parts) = reply else { return Err(unexpected()) };
        let Ok([now, Value::BulkString(set)]) = <[Value; 2]>::try_from(parts) else {
            return Err(unexpected());
        };
        parse(Timestamp::from_millis(number(now)?), &set).map(Some).ok_or_else(unreadable)
    }

    async fn save(&self, issuer: Locator, set: SharedKeySet, keep: Duration) -> Result<(), StoreError> {
        if set.document.len() > LONGEST_KEY_SET {
            return Err(StoreErrorKind::TooLarge.into());
        }
        let [age, ttl, keep] = [set.age, set.ttl, keep.max(Duration::from_millis(1))].map(millis);
        let args =
            [age.as_bytes(), ttl.as_bytes(), set.tag.as_str().as_bytes(), &set.document, keep.as_bytes()];
        self.run_for_code(&script::SAVE_KEY_SET, &self.keys.key_set(issuer), &args).await.map(drop)
    }

    async fn lease(&self, issuer: Locator, holder: Locator, lease: Duration) -> Result<bool, StoreError> {
        let (name, lease) = (self.keys.key_set_lease(issuer), millis(lease.max(Duration::from_millis(1))));
        let args = [holder.as_str().as_bytes(), lease.as_bytes()];
        match self.run_for_code(&script::LEASE, &name, &args).await? {
            DONE => Ok(true),
            TAKEN => Ok(false),
            _ => Err(unexpected()),
        }
    }

    async fn release(&self, issuer: Locator, holder: Locator) -> Result<(), StoreError> {
        let name = self.keys.key_set_lease(issuer);
        self.run_for_code(&script::RELEASE, &name, &[holder.as_str().as_bytes()]).await.map(drop)
    }
}

fn millis(duration: Duration) -> String {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(LAST_TIME / 2).to_string()
}

/// `None` for what nobody has written, or will only have.
fn parse(now: Timestamp, set: &[u8]) -> Option<SharedKeySet> {
    let (head, document) = set.split_at_checked(HEAD)?;
    let head = std::str::from_utf8(head).ok()?;
    let (asked, rest) = head.split_at_checked(DIGITS)?;
    let (ttl, tag) = rest.split_at_checked(DIGITS)?;
    let (asked, ttl) = (decimal(asked)?, decimal(ttl)?);
    Some(SharedKeySet {
        tag: Locator::parse(tag)?,
        age: Duration::from_millis(now.as_millis().checked_sub(asked)?),
        ttl: Duration::from_millis(ttl),
        document: document.to_vec(),
    })
}

fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_whole_or_not_at_all() {
        let tag = Locator::from_bytes([7; 16]);
        let written = |asked: &str, ttl: &str| format!("{asked}{ttl}{}{{}}", tag.as_str());
        let now = Timestamp::from_millis(5_000);
        let good = parse(now, written("0000000000002000", "0000000000060000").as_bytes()).unwrap();
        assert_eq!((good.age.as_secs(), good.ttl.as_secs(), good.tag), (3, 60, tag));
        assert_eq!(good.document, b"{}");
        for (name, text) in [
            ("of the future", written("0000000000005001", "0000000000060000")),
            ("a sign", written("+000000000002000", "0000000000060000")),
            ("no number", written("000000000000200x", "0000000000060000")),
            ("short", "0000000000002000".to_owned()),
            ("no tag", format!("{}{}", "0".repeat(32), "!".repeat(22))),
            ("empty", String::new()),
        ] {
            assert_eq!(parse(now, text.as_bytes()), None, "{name}");
        }
    }
}
