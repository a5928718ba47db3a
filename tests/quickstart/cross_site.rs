//! POSTs that another site makes a browser send.

use axum::Router;
use bytes::Bytes;
use http_body_util::Full;
use portcullis_testkit::client::Request;

use super::stage::{
    Browser, COOKIE, ORIGIN, PASSWORD, Stage, counter, devices, note, on_each, subject, thief,
};

type Post = Request<Router, Full<Bytes>>;

/// Ada, signed in twice, with a note and a counter of her own.
async fn ada(stage: &Stage) -> (Browser, String) {
    let elsewhere = stage.signed_in("ada").await;
    let browser = stage.signed_in("ada").await;
    browser.post_form("/note", &[("note", "mine")]).await.assert_status(303);
    browser.post("/counter").await.assert_status(200);
    let (refs, _) = devices(&elsewhere).await;
    let (_, own) = devices(&browser).await;
    (browser, refs[own.unwrap()].clone())
}

async fn assert_unchanged(name: &str, browser: &Browser) {
    assert_eq!(subject(browser).await.as_deref(), Some("ada"), "{name}");
    assert_eq!(note(browser).await.as_deref(), Some("mine"), "{name}");
    assert_eq!(counter(browser).await, 1, "{name}");
    assert_eq!(devices(browser).await.0.len(), 2, "{name}");
}

/// Every POST that changes something, as the app's own page would send it.
fn posts(browser: &Browser, own_session: &str) -> [Post; 6] {
    [
        browser.post_form("/note", &[("note", "stolen")]),
        browser.post("/counter"),
        browser.post_form("/logout", &[]),
        browser.post_form("/devices/revoke-others", &[]),
        browser.post_form(&format!("/devices/{own_session}/revoke"), &[]),
        browser.post_form("/login", &[("username", "grace"), ("password", PASSWORD)]),
    ]
}

/// What a request says that another page, or nobody, made.
const FORGERIES: [(&str, &[(&str, &str)]); 6] = [
    ("cross-site", &[("sec-fetch-site", "cross-site")]),
    ("same-site", &[("sec-fetch-site", "same-site")]),
    ("cross-site, with the right Origin", &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)]),
    ("only a foreign Origin", &[("origin", "https://evil.example")]),
    ("only an opaque Origin", &[("origin", "null")]),
    ("no word of it", &[]),
];

#[tokio::test]
async fn a_cross_site_post_with_the_cookie_is_403_and_changes_nothing() {
    on_each(async |stage| {
        let (browser, own_session) = ada(&stage).await;
        // A Lax cookie does not even come along; a request that carries it nonetheless must not get through either.
        let cookie = format!("{COOKIE}={}", browser.jar().get(COOKIE).unwrap());
        for (name, headers) in FORGERIES {
            for request in posts(&browser, &own_session) {
                let name = format!("{name}: {request:?}");
                let forged = request.without_browser().header("cookie", cookie.as_str());
                let forged = headers.iter().fold(forged, |forged, &(name, value)| forged.header(name, value));
                let response = forged.await;
                assert_eq!(response.status, 403, "{name}: {}", response.text());
                assert_eq!(response.set_cookies(), [""; 0], "{name}");
            }
            assert_unchanged(name, &browser).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_cross_site_post_without_the_cookie_begins_no_session_that_would_replace_it() {
    on_each(async |stage| {
        let (browser, own_session) = ada(&stage).await;
        // This is what browsers send: a Lax cookie stays at home. A cookie in the answer they would keep.
        let elsewhere = browser.another();
        for (name, headers) in FORGERIES.iter().filter(|(_, headers)| !headers.is_empty()) {
            for request in posts(&elsewhere, &own_session) {
                let name = format!("{name}: {request:?}");
                let forged = request.without_browser();
                let forged = headers.iter().fold(forged, |forged, &(name, value)| forged.header(name, value));
                let response = forged.await;
                assert_eq!(response.status, 403, "{name}: {}", response.text());
                assert_eq!(response.set_cookies(), [""; 0], "{name}");
            }
        }
        assert_unchanged("without the cookie", &browser).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_posts_from_the_own_page_pass() {
    on_each(async |stage| {
        for at in 0..6 {
            let (browser, own_session) = ada(&stage).await;
            let request = posts(&thief(&browser), &own_session).into_iter().nth(at).unwrap();
            let name = format!("{request:?}");
            let status = request.await.status.as_u16();
            assert!([200, 303].contains(&status), "{status}: {name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cross_site_post_with_a_bearer_token_passes() {
    on_each(async |stage| {
        let token = stage.token("ada").await;
        let rows = [
            ("a program", stage.browser().post("/counter").without_browser()),
            ("another site's script", stage.browser().post("/counter").from_origin("https://evil.example")),
        ];
        for (name, request) in rows {
            let response = request.header("sec-fetch-site", "cross-site").bearer(&token).await;
            assert_eq!(response.status, 200, "{name}: {}", response.text());
        }
    })
    .await;
}

#[tokio::test]
async fn a_403_says_what_a_program_has_to_send() {
    on_each(async |stage| {
        let (browser, _) = ada(&stage).await;
        let cookie = format!("{COOKIE}={}", browser.jar().get(COOKIE).unwrap());
        let curl = || browser.post("/counter").without_browser().header("cookie", cookie.as_str());

        let response = curl().await.assert_status(403);
        assert!(response.text().contains("curl -H 'Origin: http"), "{}", response.text());
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_unchanged("without Origin", &browser).await;

        let page = curl().header("accept", "text/html").await.assert_status(403);
        assert!(page.text().contains("curl -H 'Origin: http"), "{}", page.text());
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));

        curl().header("origin", ORIGIN).await.assert_status(200);
        assert_eq!(counter(&browser).await, 2);
    })
    .await;
}
