//! The backends keep the promises of their contract. Redis has a test binary of its own for it; here is memory.

use std::time::Duration;

use portcullis::session::MemoryBackend;
use portcullis_store::{Clock, ManualClock, Timestamp};
use portcullis_testkit::conformance::Harness;
use portcullis_testkit::conformance::session::{self, Promise};

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

#[test]
fn the_guide_for_backend_authors_tells_of_every_promise_and_of_no_other() {
    let guide = include_str!("../../crates/portcullis-store/src/guide.md");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let mut told: Vec<&str> =
        rows.flat_map(|names| names.split("`, `").map(|name| name.trim_end_matches('`'))).collect();
    let mut promised: Vec<String> = Promise::ALL.iter().map(|promise| format!("{promise:?}")).collect();
    told.sort_unstable();
    promised.sort_unstable();
    assert_eq!(told, promised);
}
