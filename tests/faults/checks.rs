//! [`Left`]: what is stored when all is over, compared with what was acknowledged.

use portcullis_redis::RedisConfig;

use crate::app::{Answer, NOBODY, Service};
use crate::ledger::Kept;
use crate::load::Load;

/// What is left of a load.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) kept: Kept,
    /// How many sessions have ended, by an end that was acknowledged.
    pub(crate) ended: usize,
    /// Of these, how many while Redis might lose it, confirmed by a replica.
    pub(crate) confirmed: usize,
    /// Ended by an acknowledgement that no replica has confirmed, and that Redis has lost.
    pub(crate) came_back: usize,
    /// Acknowledged and not there, there twice, or alive after its end.
    pub(crate) wrong: Vec<String>,
}

impl Left {
    /// Looks, by a process that has not been there.
    pub(crate) async fn of(load: &Load, direct: &RedisConfig) -> Self {
        let witness = Service::patient(direct);
        let evicted = load.evicted();
        let mut left = Self { confirmed: evicted.confirmed, ..Self::default() };
        for person in load.people() {
            let holding = witness.holding(&person.cookie).await;
            let compared = person.ledger.lock().unwrap().compare(&holding);
            match compared {
                Ok(kept) => left.kept += kept,
                Err(wrong) => left.wrong.push(format!("{}: {wrong}", person.name)),
            }
        }
        for cookie in load.ended() {
            left.ended += 1;
            let answer = witness.ask(Some(&cookie), "/me").await;
            if answer != Answer::Ok(NOBODY.to_owned()) {
                left.wrong.push(format!("the session {} had ended: {answer:?}", cookie.locator()));
            }
        }
        for cookie in evicted.unconfirmed {
            let answer = witness.ask(Some(&cookie), "/me").await;
            left.came_back += usize::from(answer != Answer::Ok(NOBODY.to_owned()));
        }
        left
    }
}
