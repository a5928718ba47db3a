//! [`Bucket`]: how often tokens that the keys do not verify may have the issuer asked. Everybody can make up such tokens.

use std::time::Duration;

use portcullis_store::Timestamp;

/// Two at once, and one every 30 seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    left: u8,
    /// Since when the next one is being waited for.
    since: Timestamp,
}

/// How long it takes for one to come back.
pub(super) const REFILL: Duration = Duration::from_secs(30);

const BURST: u8 = 2;

impl Bucket {
    pub(super) const fn full(now: Timestamp) -> Self {
        Self { left: BURST, since: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// How long it takes until there is one.
    pub(super) fn next_in(&self, now: Timestamp) -> Duration {
        if self.left > 0 { Duration::ZERO } else { self.since.saturating_add(REFILL).since(now) }
    }

    fn refill(&mut self, now: Timestamp) {
        while self.left < BURST && now.since(self.since) >= REFILL {
            self.left += 1;
            self.since = self.since.saturating_add(REFILL);
        }
        if self.left == BURST {
            self.since = now;
        }
    }
}
