//! [`Harness`]: how a suite reaches the store under test.

use std::future::Future;
use std::time::Duration;

use portcullis_store::{Clock, Key, SystemClock, Timestamp};

/// How the suites reach the store under test. One is enough for a backend that is of several kinds.
pub trait Harness: Send + Sync {
    /// The backend under test: a `SessionBackend`, for example.
    type Backend: Send + Sync + 'static;

    /// A new handle on the store. All handles of one harness share one store, as the processes of one service do; a
    /// store within the process gives clones.
    fn handle(&self) -> impl Future<Output = Self::Backend> + Send;

    /// The time by the store's clock. The default is the operating system's, right for a store on this machine.
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Lets `time` pass: moves the store's clock, or, by default, waits.
    fn advance(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    /// The unit of all waiting, 100 ms by default: what lives briefly in a suite lives for one or two of it.
    ///
    /// A check during which the machine stalled is repeated with twice the unit, so raise it only for a store that
    /// takes longer than this to answer.
    fn unit(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// A handle on a store that is out of reach: nobody listens, or nobody answers. `None` where a store cannot be
    /// away, the default; then no suite checks what an outage is.
    fn unreachable(&self) -> impl Future<Output = Option<Self::Backend>> + Send {
        async { None }
    }

    /// Of sessions: puts bytes that are no record of this version under `key`, past the backend, to live for a minute. `false`
    /// where that cannot be done, the default; then
    /// [`ForeignRecordsAreLeftAlone`](super::session::Promise::ForeignRecordsAreLeftAlone) is not checked.
    fn plant(&self, key: Key<'_>, bytes: &[u8]) -> impl Future<Output = bool> + Send {
        let _ = (key, bytes);
        async { false }
    }

    /// Of sessions: the bytes under `key`, past the backend. Only asked about what was planted.
    fn peek(&self, key: Key<'_>) -> impl Future<Output = Option<Vec<u8>>> + Send {
        let _ = key;
        async { None }
    }

    /// Of revocations: breaks whatever watchers of this store hear by, as a network would, and lets it come back: cuts its
    /// connections, for example. `false`, the default, where there is nothing to break; then
    /// [`WhatABreakHidIsTold`](super::token::Promise::WhatABreakHidIsTold) is not checked.
    fn deafen(&self) -> impl Future<Output = bool> + Send {
        async { false }
    }
}
