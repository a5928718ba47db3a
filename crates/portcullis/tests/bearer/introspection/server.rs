//! [`Server`]: an authorisation server that knows some opaque tokens, counts who asks, and fails when it is told to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use portcullis::bearer::{Introspecting, IntrospectionError, IntrospectionErrorKind, TokenIntrospection};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// A server that knows some tokens, and counts how often it is asked.
#[derive(Clone, Default)]
pub(super) struct Server(pub(super) Arc<State>);

#[derive(Default)]
pub(super) struct State {
    pub(super) tokens: Mutex<HashMap<String, String>>,
    pub(super) failure: Mutex<Option<Failure>>,
    pub(super) asked: AtomicUsize,
    pub(super) gate: Notify,
}

/// About tokens that begin so it does not answer.
pub(super) const REJECTED: &str = "rejected-";

#[derive(Clone, Copy)]
pub(super) enum Failure {
    Kind(IntrospectionErrorKind),
    Hangs,
    /// Until the gate is opened for it.
    Waits,
    /// It answers after so long.
    Slow(Duration),
}

impl Server {
    /// A token for our audience, unless something else is said of it.
    pub(super) fn knows(&self, token: &str, mut answer: Value) {
        if answer.get("aud").is_none() {
            answer["aud"] = json!("api");
        }
        self.knows_only(token, answer);
    }

    /// What is not said is not added.
    pub(super) fn knows_only(&self, token: &str, mut answer: Value) {
        answer["active"] = json!(true);
        self.says(token, &answer.to_string());
    }

    pub(super) fn says(&self, token: &str, answer: &str) {
        self.0.tokens.lock().unwrap().insert(token.to_owned(), answer.to_owned());
    }

    pub(super) fn forgets(&self, token: &str) {
        self.0.tokens.lock().unwrap().remove(token);
    }

    pub(super) fn fails(&self, failure: impl Into<Option<Failure>>) {
        *self.0.failure.lock().unwrap() = failure.into();
    }

    /// How often it was asked since this was called last.
    pub(super) fn asked(&self) -> usize {
        self.0.asked.swap(0, Ordering::Relaxed)
    }
}

impl TokenIntrospection for Server {
    fn introspect(&self, token: &str) -> Introspecting {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let (state, failure) = (Arc::clone(&self.0), *self.0.failure.lock().unwrap());
        let answer = state.tokens.lock().unwrap().get(token).cloned();
        let answer = answer.unwrap_or_else(|| r#"{"active":false}"#.to_owned());
        let is_rejected = token.starts_with(REJECTED);
        Box::pin(async move {
            match failure {
                None if is_rejected => return Err(IntrospectionError::new(IntrospectionErrorKind::Rejected)),
                None => tokio::task::yield_now().await,
                Some(Failure::Kind(kind)) => return Err(IntrospectionError::new(kind)),
                Some(Failure::Hangs) => std::future::pending().await,
                Some(Failure::Slow(time)) => tokio::time::sleep(time).await,
                Some(Failure::Waits) => state.gate.notified().await,
            }
            Ok(Bytes::from(answer))
        })
    }
}
