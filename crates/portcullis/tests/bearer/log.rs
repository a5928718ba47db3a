//! What the log is told about a token that is refused.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use portcullis::bearer::{Algorithm, StaticKeys};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::mint::{ES256, Signer, ask, claims, claims_with, layer};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}

fn logged(work: impl FnOnce()) -> String {
    let log = Log::default();
    // With one subscriber alone, an event that another test's thread comes to first would be off for all threads.
    let _second = tracing::Dispatch::new(log.clone());
    tracing::subscriber::with_default(log.clone(), work);
    let text = log.0.lock().unwrap();
    text.clone()
}

#[test]
fn the_log_is_told_why_in_full_and_nothing_of_the_token() {
    let unknown = json!({ "alg": "ES256", "kid": "kid-of-a-stranger" });
    let stranger = Signer::new(Algorithm::ES256);
    let rows = [
        ("unknown_key", ES256.token_with(&unknown, &claims())),
        ("bad_signature", stranger.token(&claims())),
        ("algorithm_not_allowed", Signer::new(Algorithm::ES384).token(&claims())),
        ("unknown_issuer", ES256.token(&claims_with("iss", json!("https://stranger.example")))),
        ("expired", ES256.token(&claims_with("exp", json!(1)))),
        ("duplicate_header_member", ES256.compact(br#"{"alg":"ES256","a":1,"a":2}"#, b"{}")),
        ("not_three_parts", "hush".to_owned()),
    ];
    let layer = layer([ES256.issuer()]);
    for (label, token) in rows {
        let text = logged(|| drop(ask(&layer, &token)));
        assert!(text.contains(&format!("reason={label:?}")), "{label}: {text}");
        for secret in token.split('.').chain(["stranger", "ada", "hush"]) {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn a_dropped_key_is_a_warning() {
    let mut weak = ES256.jwk("k");
    weak["use"] = json!("enc");
    let set = json!({ "keys": [weak, ES256.jwk("l")] }).to_string();
    let text = logged(|| drop(StaticKeys::jwks(&set).unwrap()));
    assert!(text.contains("index=0") && text.contains("not for verifying signatures"), "{text}");
}
