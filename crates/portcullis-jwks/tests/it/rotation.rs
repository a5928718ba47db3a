//! Keys that change.

use std::sync::Arc;

use portcullis::bearer::{self, KeyQuery, KeySource, KeyState, Missed, Missing};
use portcullis_testkit::idp::{Answer, FakeIdp};
use portcullis_testkit::jwt::Algorithm;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn the_first_request_under_a_new_key_succeeds() {
    let stage = Stage::warm().await;
    stage.idp.rotate_beside("-2");
    stage.admits(&stage.token()).await;
    assert_eq!((stage.idp.fetches(), stage.state()), (2, KeyState::Good));
    stage.admits(&stage.token()).await;
    assert_eq!(stage.idp.fetches(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_first_requests_in_parallel_are_one_fetch_and_none_is_refused() {
    let stage = Arc::new(Stage::warm().await);
    let old = stage.token();
    stage.idp.rotate_beside("-2");
    let new = stage.token();
    let requests: Vec<_> = (0..400)
        .map(|n| {
            let (stage, token) = (Arc::clone(&stage), if n % 2 == 0 { new.clone() } else { old.clone() });
            tokio::spawn(async move { stage.status(&token).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(stage.idp.fetches(), 2);
}

#[tokio::test]
async fn a_removed_key_is_refused_as_soon_as_the_new_set_is_there() {
    let stage = Stage::warm().await;
    let old = stage.token();
    stage.admits(&old).await;
    stage.idp.rotate("-2");
    stage.admits(&stage.token()).await;
    assert_eq!(stage.status(&old).await, 401);
}

#[tokio::test]
async fn another_key_under_the_same_id_is_found_too() {
    let stage = Stage::warm().await;
    let old = stage.token();
    stage.idp.rotate("");
    assert_eq!(stage.idp.issuer().key_id(Algorithm::Es256), "es256");
    stage.admits(&stage.token()).await;
    assert_eq!((stage.status(&old).await, stage.idp.fetches()), (401, 3));
}

#[tokio::test]
async fn a_bad_signature_asks_the_provider_and_is_refused() {
    let stage = Stage::warm().await;
    let tampered = stage.idp.issuer().token(json!({})).tampered().to_string();
    for fetches in [2, 3, 3, 3] {
        assert_eq!(stage.status(&tampered).await, 401);
        assert_eq!(stage.idp.fetches(), fetches);
    }
}

#[tokio::test]
async fn an_unchanged_set_is_asked_for_by_its_tag_and_stays_the_same() {
    let stage = Stage::warm().await;
    let before = stage.source.snapshot();
    assert_eq!(stage.status(&stage.stray("new")).await, 401);
    let asked = stage.idp.asked();
    assert!(!asked[0].headers.contains_key("if-none-match"));
    assert!(asked[1].headers.contains_key("if-none-match"));
    assert!(Arc::ptr_eq(&before, &stage.source.snapshot()));
    // The key's absence is known now.
    assert_eq!(stage.status(&stage.stray("new")).await, 401);
    assert_eq!(stage.idp.fetches(), 2);
    // The tag is that of the last good set.
    stage.idp.rotate("-2");
    stage.admits(&stage.token()).await;
    assert!(!Arc::ptr_eq(&before, &stage.source.snapshot()));
    assert_eq!(stage.idp.fetches(), 3);
}

#[tokio::test]
async fn an_unchanged_set_without_a_tag_stays_the_same_too() {
    let stage = Stage::warm().await;
    let before = stage.source.snapshot();
    let keys = [Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| stage.idp.issuer().jwk(algorithm));
    stage.idp.answer(Answer::Text(json!({ "keys": keys }).to_string()));
    assert_eq!(stage.status(&stage.stray("new")).await, 401);
    assert!(Arc::ptr_eq(&before, &stage.source.snapshot()));
}

#[tokio::test]
async fn who_was_late_to_see_the_new_set_asks_nobody() {
    let stage = Stage::warm().await;
    let old = stage.source.snapshot();
    stage.idp.rotate("-2");
    stage.admits(&stage.token()).await;
    let query = |kid| KeyQuery::unknown(Arc::clone(&old), bearer::Algorithm::ES256, Some(kid));
    let missing = stage.source.miss(query("es256-2"));
    assert!(matches!(missing, Missing::Ready(Missed::Replaced)), "{missing:?}");
    assert_eq!(stage.idp.fetches(), 2);
    assert!(matches!(stage.source.miss(query("other")), Missing::Pending(_)));
}

#[tokio::test]
async fn sources_that_are_cloned_are_one_and_two_are_two() {
    let stage = Stage::warm().await;
    let again = Stage::with(FakeIdp::start("api").await, stage.source.clone());
    assert_eq!(again.source.health().state, KeyState::Good);
    assert_eq!((stage.idp.fetches(), again.idp.fetches()), (1, 0));
}
