//! Two copies of a layer on one path ask about a token once, and about all else each for itself.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use portcullis::BearerLayer;
use portcullis::bearer::{OnOutage, RevocationCheck, Revocations};
use portcullis_store::{ManualClock, StoreErrorKind};
use tower::{Layer, ServiceExt, service_fn};

use super::{MOODS, Stage, token};
use crate::mint::{ES256, ISSUER, handler};
use crate::store::{Mood, Store};

/// What a request with a token comes to behind two layers, when this is done to it between them.
async fn through(
    outer: &BearerLayer,
    between: impl Fn(Request<String>) -> Request<String> + Clone,
    inner: &BearerLayer,
    token: &str,
) -> u16 {
    let inner = inner.layer(service_fn(handler)).map_request(between);
    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
    outer.layer(inner).oneshot(request.body(String::new()).unwrap()).await.unwrap().status().as_u16()
}

fn as_it_is(request: Request<String>) -> Request<String> {
    request
}

#[tokio::test]
async fn a_store_that_is_waited_for_is_asked_once_however_many_copies_there_are() {
    for mood in MOODS {
        let stage = Stage::new(mood);
        for outer in &stage.layers {
            let inner = outer.clone().required();
            assert_eq!(through(outer, as_it_is, &inner, &token("1", "a")).await, 200);
            let expected = if mood == Mood::Waits { 1 } else { 2 };
            assert_eq!(stage.store.asked(), expected, "{mood:?}: one at hand is asked as cheaply as not");

            let third = inner.layer(outer.layer(inner.layer(service_fn(handler))));
            let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {}", token("1", "a")));
            assert_eq!(third.oneshot(request.body(String::new()).unwrap()).await.unwrap().status(), 200);
            assert!(stage.store.asked() == 1 || mood == Mood::AtOnce, "three");
        }
        stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
        let outer = &stage.layers[0];
        assert_eq!(through(outer, as_it_is, outer, &token("1", "a")).await, 401, "another request");
    }
}

#[tokio::test]
async fn another_token_is_asked_about_for_itself() {
    let stage = Stage::new(Mood::Waits);
    let (one, other) = (token("1", "a"), token("2", "a"));
    stage.revocations.revoke_token(ISSUER, "ada", "2", None).await.unwrap();
    let exchanged = HeaderValue::try_from(format!("Bearer {other}")).unwrap();
    let exchange = move |mut request: Request<String>| {
        request.headers_mut().insert(AUTHORIZATION, exchanged.clone());
        request
    };
    for layer in &stage.layers {
        assert_eq!(through(layer, exchange.clone(), layer, &one).await, 401);
        assert_eq!(stage.store.asked(), 2);
    }
}

#[tokio::test]
async fn another_check_asks_for_itself() {
    let stage = Stage::new(Mood::Waits);
    let elsewhere = Store::new(&stage.clock, Mood::Waits);
    let check = Revocations::new(elsewhere.clone()).clock(stage.clock.clone());
    check.revoke_user(ISSUER, "ada").await.unwrap();
    for outer in &stage.layers {
        let inner = outer.clone().revocation(&check);
        assert_eq!(through(outer, as_it_is, &inner, &token("1", "a")).await, 401);
        assert_eq!((stage.store.asked(), elsewhere.asked()), (1, 1));
    }
}

#[tokio::test]
async fn what_a_store_has_said_is_not_taken_for_news_later() {
    let seconds = Duration::from_secs;
    for (name, passes, asked) in [
        ("within the second", seconds(1), 1),
        ("after it", Duration::from_millis(1001), 2),
        ("much later, as in a request of its own with the extensions of the first", seconds(60), 2),
    ] {
        let stage = Stage::new(Mood::Waits);
        let clock = stage.clock.clone();
        let wait = move |request| {
            clock.advance(passes);
            request
        };
        assert_eq!(through(&stage.layers[0], wait, &stage.layers[0], &token("1", "a")).await, 200);
        assert_eq!(stage.store.asked(), asked, "{name}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_lengthens_nothing() {
    let stage = Stage::new(Mood::Waits);
    let (ahead, behind) = (ManualClock::default(), stage.clock.clone());
    ahead.advance(Duration::from_secs(3));
    let outer = stage.layers[0].clone().clock(ahead);
    let inner = stage.layers[0].clone().clock(behind);
    assert_eq!(through(&outer, as_it_is, &inner, &token("1", "a")).await, 200);
    assert_eq!(stage.store.asked(), 2);
}

#[tokio::test]
async fn an_outage_that_is_passed_over_says_nothing_to_an_inner_copy() {
    let open = OnOutage::FailOpen { max_outage: Duration::from_secs(60) };
    let check = |revocations: &Revocations| RevocationCheck::by(revocations).on_outage(open);
    let stage = Stage::with(Mood::Waits, ES256.issuer(), check);
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    stage.store.set(Mood::Fails(StoreErrorKind::Timeout));
    let store = stage.store.clone();
    let comes_back = move |request| {
        store.set(Mood::Waits);
        request
    };
    assert_eq!(through(&stage.layers[0], comes_back, &stage.layers[0], &token("1", "a")).await, 401);
    assert_eq!(stage.store.asked(), 2);
}
