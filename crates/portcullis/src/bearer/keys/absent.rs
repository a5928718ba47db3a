//! [`AbsentKeys`]: the keys that an issuer has just been asked for in vain, so that it is not asked for them again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use portcullis_store::Timestamp;

use super::KeySet;
use super::source::KeyName;
use crate::bearer::Algorithm;

/// Keys that a set lacks, of one issuer. It is empty again as soon as the set is another one.
#[derive(Debug, Default)]
pub(in crate::bearer) struct AbsentKeys(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    /// Which set lacks them. It is held weakly, so that keys that were replaced do not stay in memory.
    set: Weak<KeySet>,
    /// The oldest first.
    names: VecDeque<(KeyName, Timestamp)>,
}

/// How many are kept. At most 256 bytes each.
const MOST: usize = 256;

/// For how long.
const KEPT: Duration = Duration::from_secs(60);

impl AbsentKeys {
    /// Whether the set is known to lack it.
    pub(in crate::bearer) fn has(
        &self,
        set: &Arc<KeySet>,
        algorithm: Algorithm,
        kid: Option<&str>,
        now: Timestamp,
    ) -> bool {
        let listed = self.listed();
        let mut names = listed.names.iter();
        listed.is_of(set) && names.any(|(name, at)| name.is(algorithm, kid) && is_fresh(*at, now))
    }

    /// Remembers that the set lacks it.
    pub(in crate::bearer) fn add(
        &self,
        set: &Arc<KeySet>,
        algorithm: Algorithm,
        kid: Option<&str>,
        now: Timestamp,
    ) {
        let mut listed = self.listed();
        if !listed.is_of(set) {
            *listed = Listed { set: Arc::downgrade(set), names: VecDeque::new() };
        }
        listed.names.retain(|(name, at)| !name.is(algorithm, kid) && is_fresh(*at, now));
        if listed.names.len() >= MOST {
            listed.names.pop_front();
        }
        listed.names.push_back((KeyName { algorithm, kid: kid.map(Box::from) }, now));
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    fn is_of(&self, set: &Arc<KeySet>) -> bool {
        std::ptr::eq(self.set.as_ptr(), Arc::as_ptr(set))
    }
}

/// An entry from the future is of a clock that was set back since.
fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now.since(at) < KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    const ES256: Algorithm = Algorithm::ES256;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_key_is_absent_for_a_minute_and_from_that_set_only() {
        let (set, next) = (Arc::new(KeySet::empty()), Arc::new(KeySet::empty()));
        let absent = AbsentKeys::default();
        assert!(!absent.has(&set, ES256, Some("a"), at(100)));
        absent.add(&set, ES256, Some("a"), at(100));
        let rows = [
            ("at once", &set, ES256, Some("a"), 100, true),
            ("just before", &set, ES256, Some("a"), 159, true),
            ("a minute later", &set, ES256, Some("a"), 160, false),
            ("a clock set back", &set, ES256, Some("a"), 99, false),
            ("another id", &set, ES256, Some("b"), 100, false),
            ("no id", &set, ES256, None, 100, false),
            ("another algorithm", &set, Algorithm::ES384, Some("a"), 100, false),
            ("another set", &next, ES256, Some("a"), 100, false),
        ];
        for (name, set, algorithm, kid, now, expected) in rows {
            assert_eq!(absent.has(set, algorithm, kid, at(now)), expected, "{name}");
        }
        absent.add(&next, ES256, Some("b"), at(101));
        assert!(!absent.has(&set, ES256, Some("a"), at(101)) && absent.has(&next, ES256, Some("b"), at(101)));
    }

    #[test]
    fn at_most_256_are_kept_and_the_oldest_gives_way() {
        let set = Arc::new(KeySet::empty());
        let absent = AbsentKeys::default();
        for n in 0..1000 {
            absent.add(&set, ES256, Some(&n.to_string()), at(1));
        }
        assert_eq!(absent.listed().names.len(), 256);
        assert!(absent.has(&set, ES256, Some("999"), at(1)) && absent.has(&set, ES256, Some("744"), at(1)));
        assert!(!absent.has(&set, ES256, Some("743"), at(1)));
    }
}
