//! [`RedisBackend`] as a [`ReplayBackend`]: what a claim sends.

use std::time::Duration;

use portcullis_store::{Claimed, Locator, Realm, ReplayBackend, StoreError};

use super::RedisBackend;
use crate::reply::{Answer, answer, unexpected};
use crate::script::answer::{DONE, TAKEN};
use crate::script::{self, LAST_TIME};
use crate::unique::unique;

impl ReplayBackend for RedisBackend {
    async fn claim(&self, realm: &Realm, name: Locator, keep: Duration) -> Result<Claimed, StoreError> {
        let (name, tag) = (self.keys.proof(realm, name), unique());
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).clamp(1, LAST_TIME / 2).to_string();
        let reply =
            script::CLAIM.run(&mut self.client.call(), &[&name], &[tag.as_slice(), keep.as_bytes()]).await?;
        match answer(reply)? {
            Answer::Code(DONE) => Ok(Claimed::First),
            Answer::Code(TAKEN) => Ok(Claimed::Again),
            Answer::Code(_) | Answer::Bytes(_) => Err(unexpected()),
        }
    }
}
