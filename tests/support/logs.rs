//! [`Logs`]: everything that is logged while a future runs, at every level.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

/// Runs `work`, and gives what was logged by it beside what it gives.
pub async fn captured<T>(work: impl Future<Output = T>) -> (T, String) {
    let logs = Logs::default();
    let subscriber =
        || tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(logs.clone()).finish();
    // With one subscriber alone, an event that another test's thread comes to first, where there is none, would be off for
    // all threads.
    let _second = tracing::Dispatch::new(subscriber());
    let output = work.with_subscriber(subscriber()).await;
    let bytes = logs.0.lock().unwrap().clone();
    (output, String::from_utf8(bytes).unwrap())
}

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
