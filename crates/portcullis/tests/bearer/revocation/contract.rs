//! The memory backend keeps the contract of its trait.

use std::time::Duration;

use portcullis::bearer::MemoryTokenBackend;
use portcullis_store::{Clock, ManualClock, Timestamp};
use portcullis_testkit::conformance::family;
use portcullis_testkit::conformance::{Harness, token};

/// The memory backend as the conformance suite reaches it.
struct Memory(MemoryTokenBackend, ManualClock);

impl Harness for Memory {
    type Backend = MemoryTokenBackend;

    async fn handle(&self) -> MemoryTokenBackend {
        self.0.clone()
    }

    fn now(&self) -> Timestamp {
        self.1.now()
    }

    async fn advance(&self, time: Duration) {
        self.1.advance(time);
    }
}

struct Real(MemoryTokenBackend);

impl Harness for Real {
    type Backend = MemoryTokenBackend;

    async fn handle(&self) -> MemoryTokenBackend {
        self.0.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_backend_keeps_its_contract() {
    let clock = ManualClock::default();
    token::run(&Memory(MemoryTokenBackend::with_clock(clock.clone()), clock)).await;
    token::run(&Real(MemoryTokenBackend::default())).await;
    let clock = ManualClock::default();
    family::run(&Memory(MemoryTokenBackend::with_clock(clock.clone()), clock)).await;
    family::run(&Real(MemoryTokenBackend::default())).await;
}
