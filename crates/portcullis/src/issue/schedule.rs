//! [`KeyState`]: what a key of a ring is there for, which follows from the time. Pure.

use std::time::Duration;

use portcullis_store::Timestamp;

/// What a key of a [`KeyRing`](super::KeyRing) is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// It is published and signs nothing yet.
    Pending,
    /// It signs.
    Active,
    /// It signs no more, and is published until its last token is dead.
    Retired,
}

/// Which key signs, of keys in the order of the moments from which they do: the last whose moment has come.
pub(super) fn active(from: &[Timestamp], now: Timestamp) -> usize {
    from.iter().take_while(|&&from| from <= now).count().saturating_sub(1)
}

/// What each is there for; `None` when it is over. A key is kept for so long after the next one has begun.
pub(super) fn states(from: &[Timestamp], now: Timestamp, kept: Duration) -> Vec<Option<KeyState>> {
    let active = active(from, now);
    let state = |at: usize| match (at.cmp(&active), from.get(at + 1)) {
        (std::cmp::Ordering::Greater, _) => Some(KeyState::Pending),
        (std::cmp::Ordering::Equal, _) => Some(KeyState::Active),
        (std::cmp::Ordering::Less, Some(next)) if now >= next.saturating_add(kept) => None,
        (std::cmp::Ordering::Less, _) => Some(KeyState::Retired),
    };
    (0..from.len()).map(state).collect()
}

/// When that will be another; never, if nothing is to come.
pub(super) fn next_change(from: &[Timestamp], now: Timestamp, kept: Duration) -> Timestamp {
    let begins = from.iter().copied();
    let ends = from.iter().skip(1).map(|next| next.saturating_add(kept));
    begins.chain(ends).filter(|&moment| moment > now).min().unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_pending_then_active_then_retired_then_gone() {
        use KeyState::*;
        let at = Timestamp::from_secs;
        let from = [at(0), at(100), at(200), Timestamp::MAX];
        let kept = Duration::from_secs(50);
        let (p, a, r) = (Some(Pending), Some(Active), Some(Retired));
        for (name, now, expected, change) in [
            ("at the beginning", 0, [a, p, p, p], 100),
            ("just before the second", 99, [a, p, p, p], 100),
            ("the second begins", 100, [r, a, p, p], 150),
            ("the last of the first's tokens", 149, [r, a, p, p], 150),
            ("the first is over", 150, [None, a, p, p], 200),
            ("the third begins", 200, [None, r, a, p], 250),
            ("the second is over", 250, [None, None, a, p], u64::MAX),
        ] {
            assert_eq!(states(&from, at(now), kept), expected, "{name}");
            assert_eq!(next_change(&from, at(now), kept), at(change), "{name}");
        }
    }

    #[test]
    fn of_keys_that_begin_together_the_last_signs() {
        let from = [Timestamp::EPOCH, Timestamp::EPOCH];
        assert_eq!(active(&from, Timestamp::from_secs(1)), 1);
        assert_eq!(active(&[], Timestamp::EPOCH), 0);
    }
}
