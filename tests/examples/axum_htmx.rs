//! htmx's requests carry the token, and end at the login page when nobody is signed in any more.

use axum::Router;
use portcullis_testkit::client::{Client, Request};

use crate::quickstart::stage::between;

#[path = "../../examples/axum_htmx.rs"]
#[expect(dead_code, reason = "the program's main")]
pub mod program;

fn browser() -> Client<Router> {
    Client::new(program::app(&[7; 32]).unwrap())
}

async fn sign_in(browser: &Client<Router>, next: &str) -> portcullis_testkit::client::Response {
    let page = browser.get(&format!("/login?next={next}")).await.assert_status(200).text();
    let token = between(&page, r#"name="csrf_token" value=""#, "\"").unwrap();
    let next = between(&page, r#"name="next" value=""#, "\"").unwrap();
    browser.post_form("/login", &[("name", "ada"), ("next", next), ("csrf_token", token)]).await
}

/// As htmx sends it, with the headers of the page's `hx-headers`.
fn keep<B>(request: Request<Router, B>, token: &str) -> Request<Router, B> {
    request.fetch().header("hx-request", "true").header("x-csrf-token", token)
}

#[tokio::test]
async fn htmx_keeps_a_note_with_the_pages_token_and_gets_the_list() {
    let browser = browser();
    let response = sign_in(&browser, "/").await.assert_status(303);
    assert_eq!(response.header("location"), Some("/"));
    let page = browser.get("/").await.assert_status(200).text();
    let token = between(&page, "{&quot;X-CSRF-Token&quot;:&quot;", "&quot;}").unwrap();
    let note = [("text", "<b>milk")];
    let list = keep(browser.post_form("/notes", &note), token).await.assert_status(200);
    assert_eq!(list.text(), r#"<ul id="notes"><li>&lt;b&gt;milk</li></ul>"#);

    let without = browser.post_form("/notes", &note).await.assert_status(403).text();
    assert!(without.contains("no CSRF token"), "{without}");
    let forged = keep(browser.post_form("/notes", &note), token).from_origin("https://evil.example");
    forged.await.assert_status(403);
    assert_eq!(browser.get("/").await.text().matches("<li>").count(), 1);
}

#[tokio::test]
async fn when_nobody_is_signed_in_htmx_opens_the_login_page_and_the_way_back_stays_here() {
    let browser = browser();
    let note = browser.post_form("/notes", &[("text", "x")]).fetch().header("hx-request", "true");
    let refused = note.header("hx-current-url", "https://app.example/?tab=2").await.assert_status(401);
    assert_eq!(refused.header("hx-redirect"), Some("/login?next=/%3Ftab%3D2"));
    let page = browser.get("/").await.assert_status(303);
    assert_eq!(page.header("location"), Some("/login?next=/"));
    let back = sign_in(&browser, "%2F%3Ftab%3D2").await.assert_status(303);
    assert_eq!(back.header("location"), Some("/?tab=2"));
    let elsewhere = sign_in(&browser, "%2F%2Fevil.example").await.assert_status(303);
    assert_eq!(elsewhere.header("location"), Some("/"));
}

#[tokio::test]
async fn signing_in_and_out_needs_a_token_too() {
    let browser = browser();
    browser.post_form("/login", &[("name", "mallory")]).await.assert_status(403);
    sign_in(&browser, "/").await.assert_status(303);
    browser.post_form("/logout", &[]).await.assert_status(403);
    let page = browser.get("/").await.assert_status(200).text();
    let token = between(&page, r#"name="csrf_token" value=""#, "\"").unwrap();
    browser.post_form("/logout", &[("csrf_token", token)]).await.assert_status(303);
    browser.get("/").await.assert_status(303);
}
