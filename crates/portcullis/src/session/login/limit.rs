//! [`Limit`]: how many sessions one user may have, and who gives way. Who that is, is decided here.

use portcullis_store::{Locator, Timestamp};

/// How many sessions one user may have at once, on all devices.
///
/// It is exact, however many logins race in however many processes. A login over the session that it is to replace
/// counts once. Sessions that were signed in before the limit was set are not ended by it; they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// At least one.
    pub max: u32,
    /// What happens to one login more.
    pub policy: LimitPolicy,
}

/// What happens to a login when its user has as many sessions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// It is refused, as [`LimitReached`](crate::session::SessionErrorKind::LimitReached). Everything else stays as it is.
    ///
    /// So is whoever has lost their cookies, or the response of a login, until one of the sessions has expired or is ended:
    /// [`Sessions::revoke_all`](crate::session::Sessions::revoke_all), once they have proved who they are.
    Reject,
    /// The session that was created first is ended for it.
    EvictOldest,
}

/// What is to be done about a full index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// These have ended already, and are only to be taken out.
    Free { dead: Vec<Locator> },
    /// These are to be ended; the dead are to be taken out with them.
    Evict { victims: Vec<Locator>, dead: Vec<Locator> },
    /// There is none.
    Refuse,
}

impl Limit {
    /// At most `max`; one login more is refused.
    #[must_use]
    pub const fn reject(max: u32) -> Self {
        Self { max, policy: LimitPolicy::Reject }
    }

    /// At most `max`; one login more ends the oldest.
    #[must_use]
    pub const fn evict_oldest(max: u32) -> Self {
        Self { max, policy: LimitPolicy::EvictOldest }
    }

    /// How to make room for one more beside `members`, each with the time of its creation if it lives.
    pub(crate) fn room(self, members: &[(Locator, Option<Timestamp>)]) -> Room {
        let mut live: Vec<_> = members.iter().filter_map(|(it, created)| Some(((*created)?, *it))).collect();
        let dead = members.iter().filter(|(_, created)| created.is_none()).map(|(it, _)| *it).collect();
        let max = usize::try_from(self.max).unwrap_or(usize::MAX);
        let too_many = (live.len() + 1).saturating_sub(max);
        match self.policy {
            _ if too_many == 0 => Room::Free { dead },
            LimitPolicy::Reject => Room::Refuse,
            LimitPolicy::EvictOldest => {
                live.sort_unstable();
                let victims = live.into_iter().take(too_many).map(|(_, locator)| locator).collect();
                Room::Evict { victims, dead }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_give_way_first_then_the_oldest_if_any() {
        let locator = |n: u8| Locator::from_bytes([n; 16]);
        let at = |millis| Some(Timestamp::from_millis(millis));
        let [a, b, c] = [1, 2, 3].map(locator);
        let three = [(a, at(20)), (b, at(10)), (c, at(30))];
        let one_dead = [(a, at(20)), (b, None), (c, at(30))];
        let evict = |victims: &[Locator], dead: &[Locator]| Room::Evict {
            victims: victims.to_vec(),
            dead: dead.to_vec(),
        };
        let rows = [
            ("a dead one is enough", Limit::reject(3), &one_dead, Room::Free { dead: vec![b] }),
            ("or would be", Limit::evict_oldest(3), &one_dead, Room::Free { dead: vec![b] }),
            ("all live", Limit::reject(3), &three, Room::Refuse),
            ("the oldest", Limit::evict_oldest(3), &three, evict(&[b], &[])),
            ("the limit was lowered", Limit::evict_oldest(1), &three, evict(&[b, a, c], &[])),
            ("the dead go too", Limit::evict_oldest(2), &one_dead, evict(&[a], &[b])),
            ("lowered, and dead ones are not enough", Limit::reject(2), &one_dead, Room::Refuse),
        ];
        for (name, limit, members, expected) in rows {
            assert_eq!(limit.room(members), expected, "{name}");
        }
    }
}
