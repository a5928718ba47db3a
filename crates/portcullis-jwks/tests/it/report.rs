//! What is counted and logged.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis_testkit::idp::Answer;
use tokio::runtime::Builder;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::stage::Stage;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("portcullis")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut log = self.0.lock().unwrap();
        write!(log, "{} ", event.metadata().level()).unwrap();
        event.record(&mut Line(&mut log));
        log.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn fetches_and_misses_are_counted_and_logged_without_a_token_s_word() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let log = Log::default();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (mut source, mut tokens) = (String::new(), Vec::new());
    // With one subscriber alone, an event that another test's thread comes to first, where there is none, would be off for
    // all threads.
    let _second = tracing::Dispatch::new(log.clone());
    tracing::subscriber::with_default(log.clone(), || {
        metrics::with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let stage = Stage::warm().await;
                source = format!("{}/jwks", stage.idp.address());
                assert_eq!(stage.status(&stage.stray("kid-of-a-stranger")).await, 401);
                let old = stage.token();
                stage.idp.rotate("-2");
                stage.admits(&stage.token()).await;
                // The bucket is empty now.
                assert_eq!(stage.status(&stage.stray("kid-of-another")).await, 401);
                tokens.extend([old, stage.token()]);
            });
            runtime.block_on(async {
                let stage = Stage::warm().await;
                stage.idp.answer(Answer::Status(500));
                assert_eq!(stage.status(&stage.stray("kid-of-a-third")).await, 503);
            });
        });
    });

    let mut counted = BTreeMap::new();
    let mut gauges = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let labels: Vec<_> = key.labels().map(|label| (label.key(), label.value())).collect();
        assert!(
            labels.iter().all(|(name, _)| ["source", "result", "outcome", "reason"].contains(name)),
            "{labels:?}"
        );
        if labels.contains(&("source", source.as_str())) {
            let rest: Vec<_> =
                labels.iter().filter(|(name, _)| *name != "source").map(|(_, value)| *value).collect();
            match value {
                DebugValue::Counter(count) => {
                    counted.insert(format!("{} {}", key.name(), rest.join(" ")), count);
                }
                DebugValue::Gauge(age) => gauges.push((key.name().to_owned(), age.into_inner())),
                DebugValue::Histogram(_) => panic!("{key}"),
            }
        }
    }
    let expected = [
        ("portcullis_jwks_fetches_total replaced", 2),
        ("portcullis_jwks_fetches_total unchanged", 1),
        ("portcullis_jwks_misses_total absent", 1),
        ("portcullis_jwks_misses_total replaced", 2),
        ("portcullis_jwks_misses_total throttled", 1),
    ];
    assert_eq!(counted, expected.map(|(name, count)| (name.to_owned(), count)).into());
    assert!(matches!(&gauges[..], [(name, age)] if name == "portcullis_jwks_key_age_seconds" && *age < 10.0));

    let log = log.0.lock().unwrap();
    assert!(log.contains(&format!("INFO message=a key set was fetched source=\"{source}\" keys=2")), "{log}");
    assert!(
        log.contains("WARN message=a key set cannot be fetched") && log.contains("error=status 500"),
        "{log}"
    );
    for secret in tokens.iter().flat_map(|token| token.split('.')).chain(["kid-of", "ada"]) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
