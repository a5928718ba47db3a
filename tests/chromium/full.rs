//! The example `axum_full`: the way to a page through its login, and its gRPC service, which pages call with a cookie.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;

use super::serve;
use super::webdriver::Browser;
use crate::examples::axum_full::{PASSWORD, program, tokens};

/// `{year: 2026}` behind gRPC's five bytes, in JavaScript.
const MESSAGE: &str = "new Uint8Array([0, 0, 0, 0, 3, 8, 234, 15])";

async fn service() -> String {
    format!("http://localhost:{}", serve(program::app(PASSWORD, &tokens()).unwrap()).await)
}

/// Fills in the form that is shown.
async fn sign_in(browser: &Browser, user: &str) {
    browser.write("username", user).await;
    browser.write("password", PASSWORD).await;
    browser.press("Sign in").await;
}

/// A page that has a report deleted as soon as it is opened, by a request that browsers ask nobody's leave for. Its heading
/// says when it has been sent.
fn evil_site(service: &str) -> Router {
    let page = async |State(service): State<String>| {
        Html(format!(
            r#"<!doctype html><title>Kittens</title><h1>Kittens</h1>
            <script>
            const body = new Blob([{MESSAGE}], {{ type: 'text/plain' }});
            fetch('{service}/demo.Reports/Delete', {{ method: 'POST', mode: 'no-cors', credentials: 'include', body }})
                .finally(() => document.querySelector('h1').textContent = 'Tried');
            </script>"#
        ))
    };
    Router::new().route("/", get(page)).with_state(service.to_owned())
}

/// What the service's own page is answered: the status, if it is in the head, and else what the message says.
async fn call(browser: &Browser, method: &str) -> String {
    let call = format!(
        "return fetch('/demo.Reports/{method}', {{
            method: 'POST', headers: {{ 'content-type': 'application/grpc' }}, body: {MESSAGE}
        }}).then(async answer => answer.headers.get('grpc-status') ?? (await answer.text()).slice(7))"
    );
    browser.script(&call).await.as_str().unwrap().to_owned()
}

/// Whoever wanted a page is sent to sign in, and then is on that page, query and all.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_redirect_returns_to_the_page_that_was_wanted() {
    let (service, browser) = (service().await, Browser::open().await);
    let wanted = format!("{service}/account?tab=2&x=%2F");
    browser.visit(&wanted).await;
    browser.sees("Sign in").await;
    assert_eq!(browser.url().await, format!("{service}/login?next=/account%3Ftab%3D2%26x%3D%252F"));
    sign_in(&browser, "ada").await;
    browser.shows("body", "hello ada").await;
    assert_eq!(browser.text("body").await, "hello ada");
    assert_eq!(browser.url().await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_service_hears_its_own_pages_and_no_other_site_s() {
    let (service, browser) = (service().await, Browser::open().await);
    let evil = serve(evil_site(&service)).await;
    let own_page = format!("{service}/account");
    browser.visit(&own_page).await;
    sign_in(&browser, "grace").await;
    browser.shows("body", "hello grace").await;
    assert_eq!(browser.text("body").await, "hello grace");
    // To the first one the browser sends the cookie along.
    for site in ["localhost", "127.0.0.1"] {
        browser.visit(&format!("http://{site}:{evil}/")).await;
        browser.sees("Tried").await;
        browser.visit(&own_page).await;
        assert_eq!(call(&browser, "Read").await, "the report of 2026", "{site}");
    }
    assert_eq!(call(&browser, "Delete").await, "it is gone");
    assert_eq!(call(&browser, "Read").await, "5", "NOT_FOUND");
}
