//! What a layer asks of the source of its keys, and what it makes of the answers.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use portcullis::BearerLayer;
use portcullis::bearer::{
    Algorithm, Audience, BuildErrorKind, Issuer, KeyHealth, KeyQuery, KeySet, KeySource, KeyState, Missed,
    Missing,
};
use portcullis::rejection::Rejection;
use portcullis_store::ManualClock;
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

use crate::mint::{ES256, ISSUER, Signer, at_once, claims, claims_with, handler, layer, send};

/// A source that answers as it is told, and counts.
#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Script>);

#[derive(Debug, Default)]
struct Script {
    set: Mutex<Option<Arc<KeySet>>>,
    /// What it will have when it has been asked.
    next: Mutex<Option<Arc<KeySet>>>,
    answer: Mutex<Option<Missed>>,
    /// Whether the future that answers is pending once.
    waits: bool,
    asked: Mutex<Vec<KeyQuery>>,
    snapshots: AtomicUsize,
}

fn set(keys: &[Value]) -> Arc<KeySet> {
    Arc::new(KeySet::jwks(&json!({ "keys": keys }).to_string()).unwrap())
}

impl Scripted {
    fn new(keys: Option<Arc<KeySet>>, answer: Missed) -> Self {
        let script = Script { set: Mutex::new(keys), answer: Mutex::new(Some(answer)), ..Script::default() };
        Self(Arc::new(script))
    }

    /// Has other keys when it is asked.
    fn replacing(keys: Arc<KeySet>, next: Arc<KeySet>, waits: bool) -> Self {
        let script = Script {
            set: Mutex::new(Some(keys)),
            next: Mutex::new(Some(next)),
            answer: Mutex::new(Some(Missed::Replaced)),
            waits,
            ..Script::default()
        };
        Self(Arc::new(script))
    }

    fn asked(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    fn issuer(&self) -> Issuer {
        Issuer::new(ISSUER, Audience::one_of(["api"])).keys(self.clone())
    }
}

impl Script {
    fn answer(&self) -> Missed {
        if let Some(next) = self.next.lock().unwrap().take() {
            *self.set.lock().unwrap() = Some(next);
        }
        self.answer.lock().unwrap().unwrap()
    }
}

impl KeySource for Scripted {
    fn snapshot(&self) -> Arc<KeySet> {
        self.0.snapshots.fetch_add(1, Ordering::Relaxed);
        self.0.set.lock().unwrap().clone().unwrap_or_else(|| Arc::new(KeySet::empty()))
    }

    fn miss(&self, query: KeyQuery) -> Missing {
        self.0.asked.lock().unwrap().push(query);
        if !self.0.waits {
            return Missing::Ready(self.0.answer());
        }
        let (script, mut polled) = (Arc::clone(&self.0), false);
        Missing::pending(std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(script.answer());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

fn token_of(signer: &Signer, kid: &str) -> String {
    signer.token_with(&json!({ "alg": signer.algorithm.name(), "kid": kid }), &claims())
}

fn ask(layer: &BearerLayer, token: &str) -> Response<String> {
    send(layer, [format!("Bearer {token}").as_bytes()])
}

/// Polls until it is ready, and says how often it was not.
fn waited(layer: &BearerLayer, token: &str) -> (Response<String>, usize) {
    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
    let mut service = layer.layer(service_fn(handler));
    let mut future = pin!(service.call(request.body(String::new()).unwrap()));
    for pending in 0..10 {
        if let Poll::Ready(response) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return (response.unwrap(), pending);
        }
    }
    panic!("it waits for ever")
}

const RETRY: Duration = Duration::from_millis(2500);
const UNAVAILABLE: Missed = Missed::Unavailable { retry_after: RETRY };

#[test]
fn every_answer_of_a_source_has_its_outcome() {
    let stranger = Signer::new(Algorithm::ES256);
    let missed = [Missed::Absent, Missed::Throttled, Missed::Replaced, UNAVAILABLE];
    for (name, token) in
        [("unknown kid", token_of(&ES256, "new")), ("bad signature", token_of(&stranger, "k"))]
    {
        for answer in missed {
            // "Replaced" without new keys is asked once more of nobody.
            let source = Scripted::new(Some(set(&[ES256.jwk("k")])), answer);
            let response = ask(&layer([source.issuer()]), &token);
            let expected = if answer == UNAVAILABLE { 503 } else { 401 };
            assert_eq!(response.status().as_u16(), expected, "{name}, {answer:?}");
            assert_eq!(source.asked(), 1, "{name}, {answer:?}");
            let retry = response.headers().get("retry-after").map(|it| it.to_str().unwrap());
            assert_eq!(retry, (answer == UNAVAILABLE).then_some("3"), "{name}, {answer:?}");
            assert_eq!(response.headers().contains_key("www-authenticate"), expected == 401, "{name}");
        }
    }
}

#[test]
fn a_grpc_call_is_told_unavailable() {
    let source = Scripted::new(None, UNAVAILABLE);
    let request = Request::post("/").header("content-type", "application/grpc");
    let request = request.header(AUTHORIZATION, format!("Bearer {}", ES256.token(&claims())));
    let mut service = layer([source.issuer()]).layer(service_fn(handler));
    let response = at_once(service.call(request.body(String::new()).unwrap()));
    assert_eq!((response.status().as_u16(), response.headers()["grpc-status"].as_bytes()), (200, &b"14"[..]));
}

#[test]
fn a_token_under_a_new_key_is_verified_by_the_set_that_has_it() {
    let (old, new) = (set(&[ES256.jwk("k")]), Signer::new(Algorithm::ES256));
    let rows = [
        ("a new id", token_of(&new, "new"), set(&[ES256.jwk("k"), new.jwk("new")])),
        ("another key under the same id", token_of(&new, "k"), set(&[new.jwk("k")])),
    ];
    for (name, token, next) in rows {
        for waits in [false, true] {
            let source = Scripted::replacing(Arc::clone(&old), Arc::clone(&next), waits);
            let layer = layer([source.issuer()]);
            let (response, pending) = waited(&layer, &token);
            assert_eq!((response.body().as_str(), pending), ("ada", usize::from(waits)), "{name}");
            assert_eq!(source.asked(), 1, "{name}");
            // Now it is known.
            assert_eq!(waited(&layer, &token).1, 0, "{name}");
            assert_eq!(source.asked(), 1, "{name}");
        }
    }
}

#[test]
fn a_stripped_token_is_gone_although_it_was_waited_for() {
    let new = Signer::new(Algorithm::ES256);
    let source = Scripted::replacing(set(&[ES256.jwk("k")]), set(&[new.jwk("new")]), true);
    let layer = layer([source.issuer()]).strip_token();
    let inner = service_fn(|request: Request<String>| async move {
        let has = request.headers().contains_key(AUTHORIZATION);
        Ok::<_, std::io::Error>(Response::new(has.to_string()))
    });
    let mut service = layer.layer(inner);
    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {}", token_of(&new, "new")));
    let mut future = pin!(service.call(request.body(String::new()).unwrap()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    let Poll::Ready(Ok(response)) = future.poll(&mut cx) else { panic!("it waits") };
    assert_eq!(response.body(), "false");
}

#[test]
fn the_claims_are_judged_after_the_wait_too() {
    let new = Signer::new(Algorithm::ES256);
    let late = new.token_with(&json!({ "alg": "ES256", "kid": "new" }), &claims_with("exp", json!(1)));
    let source = Scripted::replacing(set(&[ES256.jwk("k")]), set(&[new.jwk("new")]), true);
    let (response, _) = waited(&layer([source.issuer()]), &late);
    assert_eq!(response.status(), 401);
    let Some(Rejection::InvalidCredential { description, .. }) = response.extensions().get() else {
        panic!()
    };
    assert_eq!(*description, "the token has expired");
}

#[test]
fn a_source_is_not_asked_without_need() {
    let source = Scripted::new(Some(set(&[ES256.jwk("k")])), Missed::Absent);
    let other = Signer::new(Algorithm::ES384);
    let foreign = claims_with("iss", json!("https://stranger.example"));
    let rows = [
        ("no token", None),
        ("a good token", Some(token_of(&ES256, "k"))),
        ("garbage", Some("garbage".to_owned())),
        ("another algorithm", Some(token_of(&other, "k"))),
        ("an expired token", Some(ES256.token(&claims_with("exp", json!(1))))),
        ("a stranger's issuer", Some(ES256.token_with(&json!({ "alg": "ES256", "kid": "new" }), &foreign))),
        ("a kid with a line break", Some(token_of(&ES256, "a\r\nb"))),
        ("a kid of a megabyte", Some(token_of(&ES256, &"k".repeat(1 << 20)))),
    ];
    let layer = layer([source.issuer()]);
    for (name, token) in rows {
        let value = token.map(|token| format!("Bearer {token}"));
        send(&layer, value.iter().map(String::as_bytes));
        assert_eq!(source.asked(), 0, "{name}");
    }
}

#[test]
fn an_absent_key_is_asked_for_once_a_minute_and_again_when_the_set_is_replaced() {
    let clock = ManualClock::default();
    let source = Scripted::new(Some(set(&[ES256.jwk("k")])), Missed::Absent);
    let layer = BearerLayer::new([source.issuer()]).unwrap().clock(clock.clone());
    let token = token_of(&ES256, "gone");
    let ask = || assert_eq!(ask(&layer, &token).status(), 401);
    (0..10).for_each(|_| ask());
    assert_eq!(source.asked(), 1);
    clock.advance(Duration::from_secs(59));
    ask();
    assert_eq!(source.asked(), 1);
    clock.advance(Duration::from_secs(1));
    ask();
    assert_eq!(source.asked(), 2);
    *source.0.set.lock().unwrap() = Some(set(&[ES256.jwk("k")]));
    ask();
    assert_eq!(source.asked(), 3);
}

#[test]
fn no_verdict_is_not_remembered_as_one() {
    let source = Scripted::new(Some(set(&[ES256.jwk("k")])), Missed::Throttled);
    let layer = layer([source.issuer()]);
    let token = token_of(&ES256, "new");
    for (answer, status) in [(Missed::Throttled, 401), (UNAVAILABLE, 503), (Missed::Throttled, 401)] {
        *source.0.answer.lock().unwrap() = Some(answer);
        assert_eq!(ask(&layer, &token).status().as_u16(), status);
    }
    assert_eq!(source.asked(), 3);
}

#[test]
fn a_query_says_what_is_lacking_and_which_set_answers_it() {
    let (a, b) = (set(&[ES256.jwk("k")]), set(&[ES256.jwk("k"), ES256.jwk("l")]));
    let unknown = KeyQuery::unknown(Arc::clone(&a), Algorithm::ES256, Some("l"));
    assert_eq!((unknown.algorithm(), unknown.kid()), (Some(Algorithm::ES256), Some("l")));
    let other = KeyQuery::unverified(Arc::clone(&a), Algorithm::ES256, Some("k"));
    let any = KeyQuery::any(Arc::clone(&a));
    assert_eq!((any.algorithm(), any.kid()), (None, None));
    let empty = Arc::new(KeySet::empty());
    let same_keys = set(&[ES256.jwk("k")]);
    for (name, query, set, expected) in [
        ("the same set", &unknown, &a, false),
        ("a set with the key", &unknown, &b, true),
        ("a set without it", &unknown, &same_keys, false),
        ("the same set", &other, &a, false),
        ("another set with the id", &other, &same_keys, true),
        ("no keys", &other, &empty, false),
        ("no keys", &any, &empty, false),
        ("any keys", &any, &b, true),
    ] {
        assert_eq!(query.is_answered_by(set), expected, "{name}: {query:?}");
    }
}

#[test]
fn keys_of_the_application_are_there_and_nobody_is_asked_for_more() {
    let layer = layer([ES256.issuer()]);
    assert_eq!(ask(&layer, &token_of(&ES256, "other")).status(), 401);
    assert_eq!(at_once(layer.ready()), ());
    let health: Vec<_> = layer.key_health().collect();
    assert_eq!(health, [(ISSUER, KeyHealth::new(KeyState::Good, None))]);
}

#[test]
fn a_layer_is_ready_when_every_issuer_has_keys() {
    let away = Scripted::new(None, UNAVAILABLE);
    let named =
        |name: &str, source: &Scripted| Issuer::new(name, Audience::one_of(["api"])).keys(source.clone());
    let both = layer([ES256.issuer(), named("https://other.example", &away)]);
    let Poll::Ready(Err(error)) = pin!(both.ready()).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("ready, or waits")
    };
    assert_eq!(error.issuers().collect::<Vec<_>>(), ["https://other.example"]);
    assert!(error.to_string().contains("https://other.example"));
    assert_eq!(away.asked(), 1);
    let states: Vec<_> = both.key_health().map(|(_, health)| health.state).collect();
    assert_eq!(states, [KeyState::Good, KeyState::Unavailable]);
    *away.0.next.lock().unwrap() = Some(set(&[ES256.jwk("k")]));
    *away.0.answer.lock().unwrap() = Some(Missed::Replaced);
    at_once(both.ready());
    assert_eq!(ask(&both, &ES256.token(&claims())).status(), 200);
}

#[test]
fn what_a_source_has_at_the_moment_is_no_matter_of_configuration() {
    /// Keys that are fetched, and of another kind than what is allowed.
    #[derive(Debug)]
    struct Fetched(Arc<KeySet>, Option<Duration>);

    impl KeySource for Fetched {
        fn snapshot(&self) -> Arc<KeySet> {
            Arc::clone(&self.0)
        }

        fn health(&self) -> KeyHealth {
            KeyHealth::new(KeyState::Good, self.1)
        }
    }

    let build = |age| {
        let keys = Fetched(set(&[Signer::new(Algorithm::ES384).jwk("k")]), age);
        BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(Arc::new(keys))])
    };
    assert!(build(Some(Duration::ZERO)).is_ok());
    assert_eq!(build(None).unwrap_err().kind(), BuildErrorKind::NoKeyForAlgorithms);
}

#[test]
fn a_source_without_keys_says_so_by_itself() {
    #[derive(Debug)]
    struct None;

    impl KeySource for None {
        fn snapshot(&self) -> Arc<KeySet> {
            Arc::new(KeySet::empty())
        }
    }

    let layer = layer([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(None)]);
    let response = ask(&layer, &ES256.token(&claims()));
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    assert_eq!(layer.key_health().next().unwrap().1.state, KeyState::Unavailable);
}
