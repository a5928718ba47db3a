//! Who asked for it stays signed in when the browser is closed, and nobody else.

use axum::Router;
use portcullis_testkit::client::{Client, Response};

#[path = "../../examples/remember_me.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

const PASSWORD: &str = "correct horse battery staple";

fn browser() -> Client<Router> {
    Client::new(program::app(PASSWORD).unwrap())
}

async fn sign_in(browser: &Client<Router>, remember: Option<(&str, &str)>) -> Response {
    let credentials = [("username", "ada"), ("password", PASSWORD)];
    let form: Vec<(&str, &str)> = credentials.into_iter().chain(remember).collect();
    browser.post_form("/login", &form).await.assert_status(303)
}

async fn page(browser: &Client<Router>) -> String {
    browser.get("/").await.assert_status(200).text()
}

#[tokio::test]
async fn whoever_is_remembered_is_signed_in_after_the_browser_was_closed() {
    let rows = [
        ("not remembered", None, "for 12 hours", false),
        ("remembered", Some(("remember", "on")), "for 90 days", true),
    ];
    for (name, remember, ends, stays) in rows {
        let browser = browser();
        let response = sign_in(&browser, remember).await;
        assert_eq!(response.set_cookies()[0].contains("Max-Age"), stays, "{name}");
        let shown = page(&browser).await;
        assert!(shown.contains(ends), "{name}: {shown}");
        browser.jar().close();
        assert_eq!(page(&browser).await.contains("Signed in as"), stays, "{name}");
    }
}

#[tokio::test]
async fn each_login_chooses_again() {
    let browser = browser();
    sign_in(&browser, Some(("remember", "on"))).await;
    sign_in(&browser, None).await;
    browser.jar().close();
    assert!(!page(&browser).await.contains("Signed in as"));
}

#[tokio::test]
async fn a_sign_out_ends_it_although_it_was_remembered() {
    let browser = browser();
    sign_in(&browser, Some(("remember", "on"))).await;
    let thief = browser.another().with_jar(browser.jar().copy());
    browser.post("/logout").await.assert_status(303);
    for browser in [browser, thief] {
        assert!(!page(&browser).await.contains("Signed in as"));
    }
}

#[tokio::test]
async fn a_wrong_password_and_another_site_sign_nobody_in() {
    let browser = browser();
    for (username, password) in [("ada", "wrong"), ("eve", PASSWORD)] {
        let response = browser.post_form("/login", &[("username", username), ("password", password)]).await;
        assert!(response.assert_status(401).text().contains("role=\"alert\""));
    }
    let form = [("username", "ada"), ("password", PASSWORD)];
    browser.post_form("/login", &form).from_origin("https://evil.example").await.assert_status(403);
    assert_eq!(browser.jar().names(), [""; 0]);
}
