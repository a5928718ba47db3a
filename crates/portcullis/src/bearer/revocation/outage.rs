//! [`OnOutage`]: what becomes of good tokens while it cannot be told whether they are revoked. [`Outage`]: how long it has
//! not been told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use portcullis_store::{StoreErrorKind, Timestamp};

/// What becomes of a token that is good but for this: it cannot be told whether it is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnOutage {
    /// 503 with `Retry-After`; gRPC 14. An outage is no verdict.
    #[default]
    FailClosed,
    /// It passes, for as long as the store has been out of reach for less than `max_outage`, by this process's own
    /// experience; then 503. Revoked tokens pass too.
    ///
    /// Out of reach is a store that does not answer, or not in time. One that answers and refuses us, or holds what cannot
    /// be read, is 503 all the same.
    FailOpen {
        /// How long tokens pass unchecked.
        max_outage: Duration,
    },
}

/// Which policy holds for which requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies {
    pub(super) usual: OnOutage,
    /// The first that names a method counts.
    pub(super) by_method: Vec<(Method, OnOutage)>,
}

/// Since when the store has not answered, in milliseconds; zero while it does.
#[derive(Debug, Default)]
pub(super) struct Outage(AtomicU64);

impl Policies {
    fn of(&self, method: &Method) -> OnOutage {
        let named = self.by_method.iter().find(|(name, _)| name == method);
        named.map_or(self.usual, |(_, policy)| *policy)
    }

    /// Whether a token passes on a request of this method, when the store has failed like this for so long.
    pub(super) fn pass(&self, method: &Method, kind: StoreErrorKind, lasts: Duration) -> bool {
        let away = matches!(kind, StoreErrorKind::Timeout | StoreErrorKind::Unavailable);
        match self.of(method) {
            OnOutage::FailClosed => false,
            OnOutage::FailOpen { max_outage } => away && lasts < max_outage,
        }
    }
}

impl Outage {
    /// The store has failed once more. How long it has done so by now; zero the first time.
    pub(super) fn failed(&self, now: Timestamp) -> Duration {
        let at = now.as_millis().max(1);
        match self.0.compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Duration::ZERO,
            Err(since) => now.since(Timestamp::from_millis(since)),
        }
    }

    /// The store has answered. Whether that ends an outage.
    pub(super) fn over(&self) -> bool {
        // Read first: it is another thread's cache line that would be written to, for every request.
        self.0.load(Ordering::Relaxed) != 0 && self.0.swap(0, Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_policy_holds_for_its_methods_its_time_and_outages_only() {
        use StoreErrorKind::*;
        let open = OnOutage::FailOpen { max_outage: MINUTE };
        let closed = Policies::default();
        let all_open = Policies { usual: open, ..Policies::default() };
        let reads_open = Policies { by_method: vec![(Method::GET, open)], ..Policies::default() };
        let writes_closed = Policies { usual: open, by_method: vec![(Method::POST, OnOutage::FailClosed)] };
        let just = Duration::from_millis(59_999);
        for (name, policies, method, kind, lasts, expected) in [
            ("by default", &closed, Method::GET, Unavailable, Duration::ZERO, false),
            ("open, at once", &all_open, Method::POST, Unavailable, Duration::ZERO, true),
            ("open, a timeout", &all_open, Method::POST, Timeout, just, true),
            ("open, for too long", &all_open, Method::POST, Timeout, MINUTE, false),
            ("open, refused", &all_open, Method::GET, Config, Duration::ZERO, false),
            ("open, unreadable", &all_open, Method::GET, Corrupt, Duration::ZERO, false),
            ("reads open, a read", &reads_open, Method::GET, Unavailable, just, true),
            ("reads open, for too long", &reads_open, Method::GET, Unavailable, MINUTE, false),
            ("reads open, a write", &reads_open, Method::POST, Unavailable, just, false),
            ("writes closed, a write", &writes_closed, Method::POST, Unavailable, just, false),
            ("writes closed, another method", &writes_closed, Method::HEAD, Unavailable, just, true),
        ] {
            assert_eq!(policies.pass(&method, kind, lasts), expected, "{name}");
        }
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_next_answer() {
        let (outage, at) = (Outage::default(), Timestamp::from_secs);
        assert!(!outage.over());
        assert_eq!(outage.failed(at(100)), Duration::ZERO);
        assert_eq!(outage.failed(at(130)), Duration::from_secs(30));
        assert_eq!(outage.failed(at(90)), Duration::ZERO, "a clock that was set back");
        assert!(outage.over() && !outage.over());
        assert_eq!(outage.failed(at(200)), Duration::ZERO);
    }
}
