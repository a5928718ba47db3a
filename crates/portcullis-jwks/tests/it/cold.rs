//! Before there are keys.

use portcullis::bearer::KeyState;
use portcullis_testkit::idp::{Answer, FakeIdp};

use crate::stage::{Stage, retry_after, until};

#[tokio::test]
async fn a_service_boots_without_its_provider_answers_503_and_recovers_by_itself() {
    let idp = FakeIdp::start("api").await;
    idp.stop().await;
    let stage = Stage::of(idp);
    let token = stage.token();

    let response = stage.send(&token).await;
    assert_eq!((response.status().as_u16(), stage.state()), (503, KeyState::Unavailable));
    assert!((1..=15).contains(&retry_after(&response)));
    assert!(!response.headers().contains_key("www-authenticate"));
    let response = stage.send_as(&token, "application/grpc").await;
    assert_eq!((response.status().as_u16(), response.headers()["grpc-status"].as_bytes()), (200, &b"14"[..]));
    let error = stage.layer.ready().await.unwrap_err();
    assert_eq!(error.issuers().collect::<Vec<_>>(), [stage.idp.url()]);
    // What needs no key is told apart all the same.
    assert_eq!(stage.status("garbage").await, 401);

    stage.idp.start_again().await;
    until(async || stage.state() == KeyState::Good).await;
    stage.admits(&token).await;
    stage.layer.ready().await.unwrap();
}

#[tokio::test]
async fn the_first_requests_wait_for_the_first_fetch() {
    let idp = FakeIdp::start("api").await;
    idp.answer(Answer::Hang);
    let stage = Stage::of(idp);
    let token = stage.token();
    let answered = async {
        stage.idp.fetched(1).await;
        tokio::task::yield_now().await;
        stage.idp.answer(Answer::Document);
    };
    tokio::join!(stage.admits(&token), stage.admits(&token), stage.admits(&token), answered);
    assert_eq!(stage.idp.fetches(), 1);
}

#[tokio::test]
async fn a_request_waits_two_seconds_at_most() {
    let idp = FakeIdp::start("api").await;
    idp.answer(Answer::Hang);
    let stage = Stage::of(idp);
    let began = tokio::time::Instant::now();
    assert_eq!(stage.status(&stage.token()).await, 503);
    let waited = began.elapsed().as_millis();
    assert!((1900..3000).contains(&waited), "{waited} ms");
}

#[tokio::test]
async fn the_fetch_begins_when_the_layer_is_built() {
    let stage = Stage::of(FakeIdp::start("api").await);
    stage.idp.fetched(1).await;
    until(async || stage.state() == KeyState::Good).await;
    // No request had to wait.
    stage.admits(&stage.token()).await;
    assert_eq!(stage.idp.fetches(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_has_asked_for_is_no_set() {
    let idp = FakeIdp::start("api").await;
    idp.answer(Answer::Status(304));
    let stage = Stage::of(idp);
    assert_eq!(stage.status(&stage.token()).await, 503);
    assert_eq!(stage.state(), KeyState::Unavailable);
}
