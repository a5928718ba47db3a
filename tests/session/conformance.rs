//! The backends keep the promises of their contract. Redis has a test binary of its own for it; here is memory.

use std::time::Duration;

use portcullis::session::MemoryBackend;
use portcullis_store::{Clock, ManualClock, Timestamp};
use portcullis_testkit::conformance::session::{self, Harness};

struct Memory {
    backend: MemoryBackend,
    clock: ManualClock,
}

impl Harness for Memory {
    type Backend = MemoryBackend;

    async fn handle(&self) -> MemoryBackend {
        self.backend.clone()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_every_promise_of_a_session_backend() {
    let clock = ManualClock::default();
    session::run(&Memory { backend: MemoryBackend::with_clock(clock.clone()), clock }).await;
}
