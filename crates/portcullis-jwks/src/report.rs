//! [`Report`]: what is logged and counted about one source. Nothing of a token, a key or a query goes in.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use portcullis::bearer::{KeySet, Missed};
use portcullis_store::StoreError;

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

    /// Another process has got a set.
    pub(crate) fn adopted(&self, set: &KeySet, age: Duration) {
        let source = &*self.source;
        let (keys, age) = (set.len(), age.as_secs());
        tracing::info!(source, keys, age, "a key set was taken over from the fleet");
        self.shared("adopted");
    }

    /// The fleet's place is away. That is told and counted, and nothing else.
    pub(crate) fn out_of_reach(&self, error: &StoreError) {
        let source = &*self.source;
        tracing::debug!(source, %error, "the fleet's key set is out of reach");
        self.shared(error.kind().label());
    }

    /// What the fleet's place holds is no key set.
    pub(crate) fn poisoned(&self) {
        let source = &*self.source;
        tracing::warn!(source, "what the fleet shares is no key set, and is not used");
        self.shared("unusable");
    }

    fn shared(&self, result: &'static str) {
        counter!("portcullis_jwks_shared_total", "source" => Arc::clone(&self.source), "result" => result)
            .increment(1);
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
