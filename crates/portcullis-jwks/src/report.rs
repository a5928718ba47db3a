//! [`Report`]: what is logged and counted about one source. Nothing of a token, a key or a query goes in.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use portcullis::bearer::Missed;

use crate::desk::Intake;
use crate::fetch::FetchError;

/// Logs and counts in the name of one source.
#[derive(Debug)]
pub(crate) struct Report {
    source: Arc<str>,
}

impl Report {
    pub(crate) fn new(source: String) -> Self {
        Self { source: source.into() }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// A fetch has ended.
    pub(crate) fn fetch(&self, outcome: &Result<Intake, FetchError>, age: Option<Duration>, next: Duration) {
        let source = &*self.source;
        let result = match outcome {
            Ok(Intake { set, is_new: true }) => {
                tracing::info!(source, keys = set.len(), "a key set was fetched");
                "replaced"
            }
            Ok(Intake { is_new: false, .. }) => {
                tracing::debug!(source, "the key set is unchanged");
                "unchanged"
            }
            Err(error) => {
                let next = next.as_millis();
                let age = age.map(|age| age.as_secs());
                tracing::warn!(source, %error, age, next_ms = next, "a key set cannot be fetched");
                error.kind.label()
            }
        };
        counter!("portcullis_jwks_fetches_total", "source" => Arc::clone(&self.source), "result" => result)
            .increment(1);
        if let Some(age) = age {
            gauge!("portcullis_jwks_key_age_seconds", "source" => Arc::clone(&self.source)).set(age);
        }
    }

    /// A token that the keys do not verify got its answer.
    pub(crate) fn missed(&self, missed: Missed) {
        let outcome = missed.label();
        counter!("portcullis_jwks_misses_total", "source" => Arc::clone(&self.source), "outcome" => outcome)
            .increment(1);
    }

    /// The set is too old to be used.
    pub(crate) fn expired(&self) {
        let source = &*self.source;
        tracing::error!(source, "the key set is too old and not used any more");
        counter!("portcullis_jwks_expired_total", "source" => Arc::clone(&self.source)).increment(1);
    }

    /// The task has panicked; the next request starts another.
    pub(crate) fn panicked(&self) {
        let source = &*self.source;
        tracing::error!(source, "the task that fetches keys has panicked");
    }
}
