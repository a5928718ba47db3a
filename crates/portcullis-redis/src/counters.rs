//! What is counted, by the `metrics` facade. Every label is one of a closed set.

use metrics::counter;
use portcullis_store::StoreErrorKind;

/// A connection was made.
pub(crate) fn connected() {
    counter!("portcullis_redis_connects_total", "result" => "ok").increment(1);
}

/// An attempt to make one failed.
pub(crate) fn not_connected(kind: StoreErrorKind) {
    counter!("portcullis_redis_connects_total", "result" => kind.label()).increment(1);
}

/// A connection was given up.
pub(crate) fn dropped(reason: &'static str) {
    counter!("portcullis_redis_connections_dropped_total", "reason" => reason).increment(1);
}

/// A command is sent for another time.
pub(crate) fn resent() {
    counter!("portcullis_redis_resends_total").increment(1);
}

/// A call ended without an answer.
pub(crate) fn failed(kind: StoreErrorKind) {
    counter!("portcullis_redis_calls_failed_total", "kind" => kind.label()).increment(1);
}

/// A node of a cluster has sent a command elsewhere.
pub(crate) fn redirected(to_stay: bool) {
    counter!("portcullis_redis_redirects_total", "kind" => if to_stay { "moved" } else { "ask" })
        .increment(1);
}
