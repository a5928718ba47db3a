//! Redis goes away under the service.

use std::time::Duration;

use portcullis_testkit::client::Client;
use tokio::time::Instant;

use super::stage::{Browser, ORIGIN, PASSWORD, Stage, instance, note, sign_in, subject};
use crate::support::app::eventually;

/// A request's budget for the store is 450 ms, half a second with the rest; the other half is a busy machine's.
const SOON: Duration = Duration::from_secs(1);

/// What needs the session is told to try again; the rest is served, all of it soon.
async fn assert_degraded(why: &str, signed_in: &Browser, visitor: &Browser, token: &str) {
    let fields = [("username", "ada"), ("password", PASSWORD)];
    let rows = [
        ("a page of the session", signed_in.get("/account"), 503),
        ("a page that says who it is", signed_in.get("/"), 503),
        ("a list of sessions", signed_in.get("/devices"), 503),
        ("the API by session", signed_in.get("/api/me"), 503),
        ("a write", signed_in.post_form("/note", &[("note", "x")]), 503),
        ("an increment", signed_in.post("/counter"), 503),
        ("signing out", signed_in.post_form("/logout", &[]), 503),
        ("signing in", visitor.post_form("/login", &fields), 503),
        ("a visitor's first write", visitor.post("/counter"), 503),
        ("a visitor", visitor.get("/"), 200),
        ("the form to sign in", visitor.get("/login"), 200),
        ("a visitor of a page of the session", visitor.get("/account"), 303),
        ("the API by token", visitor.get("/api/me").bearer(token), 200),
        ("what asks nobody", signed_in.get("/healthz"), 200),
        ("a style sheet", signed_in.get("/style.css"), 200),
    ];
    for (name, request, status) in rows {
        let start = Instant::now();
        let response = request.header("accept", "text/html").await;
        let took = start.elapsed();
        assert_eq!(response.status.as_u16(), status, "{why}, {name}: {}", response.text());
        assert!(took < SOON, "{why}, {name}: {took:?}");
        assert_eq!(response.set_cookies(), [""; 0], "{why}, {name}: nobody loses a cookie over it");
        assert_eq!(response.header("retry-after").is_some(), status == 503, "{why}, {name}");
        assert!(status != 503 || response.text().contains("try again"), "{why}, {name}: {}", response.text());
    }
}

#[tokio::test]
async fn with_redis_gone_or_hanging_it_is_503_soon_where_sessions_are_needed_and_the_rest_is_served() {
    let stage = Stage::in_redis();
    let (browser, visitor) = (stage.signed_in("ada").await, stage.browser());
    browser.post_form("/note", &[("note", "kept")]).await.assert_status(303);
    let token = stage.token("ada").await;

    stage.redis().pause();
    assert_degraded("hanging", &browser, &visitor, &token).await;
    stage.redis().resume();
    back_again(&browser).await;
    assert_eq!(subject(&browser).await.as_deref(), Some("ada"), "the session has outlived it");
    assert_eq!(note(&browser).await.as_deref(), Some("kept"), "and what was refused was not done");

    stage.redis().kill();
    assert_degraded("gone", &browser, &visitor, &token).await;
    stage.redis().restart();
    // Without persistence Redis comes back empty: that is no session, and no error.
    back_again(&browser).await;
    assert_eq!(subject(&browser).await, None);
}

/// The service finds its way back by itself.
async fn back_again(browser: &Browser) {
    eventually("Redis is used again", async || browser.get("/").await.status == 200).await;
}

#[tokio::test]
async fn the_service_starts_while_redis_is_away() {
    let stage = Stage::in_redis();
    let url = stage.redis().url();
    stage.redis().kill();
    let browser = Client::new(instance(Some(url))).base(ORIGIN);
    browser.get("/healthz").await.assert_status(200);
    browser.get("/").await.assert_status(200);
    sign_in(&browser, "ada").await.assert_status(503);
    stage.redis().restart();
    let signs_in = async || sign_in(&browser, "ada").await.status == 303;
    eventually("somebody can sign in", signs_in).await;
    assert_eq!(subject(&browser).await.as_deref(), Some("ada"));
}
