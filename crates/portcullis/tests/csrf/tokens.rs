//! For whom a token is good, and when.

use http::header::{AUTHORIZATION, COOKIE};
use portcullis::csrf::CsrfKeys;
use portcullis::rejection::CsrfReason::{CrossSite, MissingMetadata, TokenMismatch};
use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis::{CsrfLayer, Identity, Session};
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::Spy;

use crate::site::{Site, assert_refused, bare, layer, routes, run, token};

#[tokio::test]
async fn a_token_proves_an_origin_that_the_headers_do_not() {
    let site = Site::new();
    let ada = site.signed_in("ada").await;
    let good = token(&ada).await;
    assert_eq!(run(&ada, &good).await.assert_status(200).text(), "ada");
    // A token need not be asked for again.
    assert_eq!(run(&ada, &good).await.assert_status(200).text(), "ada");
    assert_eq!(site.runs(), 2);

    assert_refused("no token", &bare(ada.post("/run")).await, MissingMetadata);
    assert_refused("an empty one", &run(&ada, "").await, TokenMismatch);
    assert_refused("a guess", &run(&ada, &"A".repeat(86)).await, TokenMismatch);
    let evil = ada.post("/run").from_origin("https://evil.app.example");
    assert_refused("from elsewhere", &evil.header("x-csrf-token", "guess").await, TokenMismatch);
    // It is the cookie SameSite=Lax that a page of another site lacks; here it comes along all the same.
    let cookie = format!("__Host-id={}", ada.jar().get("__Host-id").unwrap());
    let forged = ada.post("/run").from_origin("https://evil.example").header(COOKIE, cookie);
    assert_refused("forged", &forged.await, CrossSite);
    assert_eq!(site.runs(), 0, "the handler is not run on a refusal");
}

#[tokio::test]
async fn a_token_of_one_session_is_refused_in_another() {
    let site = Site::new();
    let (ada, mallory) = (site.signed_in("ada").await, site.signed_in("mallory").await);
    let planted = token(&mallory).await;
    assert_eq!(run(&mallory, &planted).await.status, 200);
    assert_refused("mallory's", &run(&ada, &planted).await, TokenMismatch);
    let other_device = site.signed_in("ada").await;
    assert_refused("ada's elsewhere", &run(&ada, &token(&other_device).await).await, TokenMismatch);
    assert_eq!(site.runs(), 1);
}

#[tokio::test]
async fn a_token_changes_at_login_and_at_logout_and_survives_a_new_secret() {
    let site = Site::with(MemoryBackend::new(), layer().always());
    let browser = site.browser();
    let anonymous = token(&browser).await;
    assert_eq!(run(&browser, &anonymous).await.assert_status(200).text(), "nobody");

    browser.post("/login/ada").await.assert_status(200);
    assert_refused("of before the login", &run(&browser, &anonymous).await, TokenMismatch);
    let of_ada = token(&browser).await;
    browser.post("/rotate").await.assert_status(200);
    assert_eq!(run(&browser, &of_ada).await.assert_status(200).text(), "ada");
    browser.post("/login/ada").await.assert_status(200);
    assert_refused("of the session before", &run(&browser, &of_ada).await, TokenMismatch);

    let of_ada = token(&browser).await;
    browser.post("/logout").await.assert_status(200);
    assert_refused("of before the logout", &run(&browser, &of_ada).await, TokenMismatch);
    assert_refused("of long ago", &run(&browser, &anonymous).await, TokenMismatch);
    assert_eq!(run(&browser, &token(&browser).await).await.assert_status(200).text(), "nobody");
}

#[tokio::test]
async fn a_page_made_by_a_login_or_a_logout_has_a_token_for_whoever_is_there_then() {
    let site = Site::with(MemoryBackend::new(), layer().always());
    let browser = site.browser();
    let of_before = token(&browser).await;
    let page = browser.post("/login-and-page/ada").await.assert_status(200);
    assert_eq!(run(&browser, &page.text()).await.assert_status(200).text(), "ada");
    assert_refused("of before", &run(&browser, &of_before).await, TokenMismatch);
    let page = browser.post("/logout-and-page").await.assert_status(200);
    assert_eq!(run(&browser, &page.text()).await.assert_status(200).text(), "nobody");

    // The visitor's cookie is the one of before the login, which nobody has taken away: the login was elsewhere.
    let stale = browser.jar().get("__Host-csrf").unwrap();
    browser.post("/login/ada").await.assert_status(200);
    browser.jar().add("https://app.example", &format!("__Host-csrf={stale}; Path=/; Secure"));
    let page = browser.post("/logout-and-page").await.assert_status(200);
    assert_ne!(browser.jar().get("__Host-csrf").unwrap(), stale);
    assert_eq!(run(&browser, &page.text()).await.assert_status(200).text(), "nobody");
}

#[tokio::test]
async fn a_visitor_is_named_by_a_cookie_of_this_host_alone_until_somebody_signs_in() {
    let site = Site::new();
    let browser = site.browser();
    assert_eq!(browser.get("/plain").await.set_cookies(), [""; 0], "nothing is set where no token is made");

    let page = browser.get("/page").await;
    let cookie = page.set_cookies()[0].to_owned();
    let (value, attributes) = cookie.split_once("; ").unwrap();
    assert!(value.starts_with("__Host-csrf=") && value.len() == "__Host-csrf=".len() + 22, "{cookie}");
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.headers.get_all("vary").iter().any(|vary| vary == "cookie"), "{:?}", page.headers);
    assert_eq!(browser.get("/page").await.set_cookies(), [""; 0], "one name is enough");

    let login = browser.post("/login/ada").await.assert_status(200);
    let removal = "__Host-csrf=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
    assert!(login.set_cookies().contains(&removal), "{:?}", login.set_cookies());
    assert_eq!(browser.jar().names(), ["__Host-id"]);
    assert_eq!(browser.get("/page").await.set_cookies(), [""; 0]);

    // Also where it was another response that signed them in.
    browser.jar().add("https://app.example", &cookie);
    assert_eq!(browser.get("/plain").await.set_cookies(), [removal]);
}

#[tokio::test]
async fn two_copies_of_the_layer_name_a_visitor_once() {
    let (router, _) = routes();
    let router = router.layer(layer()).layer(layer()).layer(SessionLayer::new(MemoryBackend::new()));
    let browser = Client::new(router);
    let page = browser.get("/page").await;
    assert_eq!(page.set_cookies().len(), 1, "{:?}", page.set_cookies());
    assert_eq!(run(&browser, &page.text()).await.assert_status(200).text(), "nobody");
}

#[tokio::test]
async fn a_token_costs_the_store_nothing_and_a_visitor_no_session() {
    let spy = Spy::new(MemoryBackend::new());
    let site = Site::with(spy.clone(), layer().always());
    let browser = site.browser();
    let token = token(&browser).await;
    run(&browser, &token).await.assert_status(200);
    assert!(spy.calls().is_empty(), "{:?}", spy.calls());
}

#[tokio::test]
async fn keys_rotate_without_anybody_noticing() {
    let backend = MemoryBackend::new();
    let with = |keys| Site::with(backend.clone(), CsrfLayer::new().tokens(keys).unwrap());
    let (old, new) = (CsrfKeys::new([1; 32]), CsrfKeys::new([2; 32]).add_key([1; 32]));
    let (before, between, after) = (with(old), with(new), with(CsrfKeys::new([2; 32])));
    let ada = before.signed_in("ada").await;
    let at = |site: &Site| Client::new(site.router.clone()).with_jar(ada.jar().clone());
    let of_before = token(&ada).await;
    run(&at(&between), &of_before).await.assert_status(200);
    let of_between = token(&at(&between)).await;
    run(&at(&after), &of_between).await.assert_status(200);
    assert_refused("of a key that is gone", &run(&at(&after), &of_before).await, TokenMismatch);
}

#[tokio::test]
async fn behind_a_session_that_can_only_be_read_tokens_are_good_too() {
    let backend = MemoryBackend::new();
    let site = Site::with(backend.clone(), layer());
    let ada = site.signed_in("ada").await;
    let reading = SessionLayer::builder(backend).read_only().build().unwrap();
    let (router, _) = routes();
    let router = router.layer(layer()).layer(reading);
    let reader = Client::new(router).with_jar(ada.jar().clone());
    let of_reader = token(&reader).await;
    run(&reader, &of_reader).await.assert_status(200);
    run(&ada, &of_reader).await.assert_status(200);
    run(&reader, &token(&ada).await).await.assert_status(200);

    let stranger = reader.another();
    let anonymous = token(&stranger).await;
    assert_eq!(run(&stranger, &anonymous).await.assert_status(200).text(), "nobody");
    assert_refused("of nobody", &run(&reader, &anonymous).await, TokenMismatch);
}

/// The token is bound to the session, of which a layer outside of the session's knows nothing.
#[tokio::test]
async fn outside_of_the_session_layer_a_token_proves_nothing() {
    let (router, _) = routes();
    let router = router.layer(SessionLayer::new(MemoryBackend::new())).layer(layer());
    let ada = Client::new(router);
    ada.post("/login/ada").await.assert_status(200);
    assert_refused("signed in", &run(&ada, &token(&ada).await).await, TokenMismatch);
}

#[tokio::test]
async fn clients_with_bearer_tokens_need_none() {
    let site = Site::new();
    let ada = site.signed_in("ada").await;
    let program = ada.another().post("/run").without_browser().header(AUTHORIZATION, "Bearer t");
    program.await.assert_status(200);
}

#[tokio::test]
async fn an_anonymous_session_changes_nothing_for_a_visitor() {
    let site = Site::with(MemoryBackend::new(), layer().always());
    let browser = site.browser();
    let of_before = token(&browser).await;
    browser.post("/note").await.assert_status(200);
    assert!(browser.jar().get("__Host-id").is_some());
    run(&browser, &of_before).await.assert_status(200);
    run(&browser, &token(&browser).await).await.assert_status(200);
}

#[tokio::test]
async fn a_session_in_a_header_needs_no_token_and_binds_none() {
    use portcullis::session::SessionCarrier;
    let carrier = SessionCarrier::Header("x-session".parse().unwrap());
    let session = SessionLayer::builder(MemoryBackend::new()).carrier(carrier).build().unwrap();
    let (router, _) = routes();
    let app = Client::new(router.layer(layer()).layer(session));
    let token = app.post("/login/ada").without_browser().await.header("x-session").unwrap().to_owned();
    let ran = app.post("/run").without_browser().header("x-session", token).await.assert_status(200);
    assert_eq!(ran.text(), "ada");
}

#[tokio::test]
async fn a_handler_that_wants_tokens_without_a_layer_is_a_500_that_names_it() {
    use portcullis::rejection::{Misassembly, Rejection};
    let (router, _) = routes();
    for router in [
        router.clone().layer(SessionLayer::new(MemoryBackend::new())),
        router.clone().layer(CsrfLayer::new()),
        router,
    ] {
        let response = Client::new(router).get("/page").await.assert_status(500);
        let layer = match response.extensions.get::<Rejection>() {
            Some(Rejection::Misconfigured(Misassembly::Missing { layer, .. })) => *layer,
            other => panic!("{other:?}"),
        };
        assert!(layer.contains("CsrfLayer with tokens"), "{layer}");
    }
}

/// As a stream's would, which renders when the response's head is gone.
#[tokio::test]
async fn a_token_that_outlives_its_request_is_still_good() {
    use axum::routing::get;
    use portcullis::csrf::CsrfToken;
    use std::sync::{Arc, Mutex};
    let kept: Arc<Mutex<Option<CsrfToken>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let (router, _) = routes();
    let router = router.route(
        "/keep",
        get(async move |token: CsrfToken, _: Session, _: Identity| {
            *keep.lock().unwrap() = Some(token);
        }),
    );
    let app = Client::new(router.layer(layer()).layer(SessionLayer::new(MemoryBackend::new())));
    app.post("/login/ada").await.assert_status(200);
    app.get("/keep").await.assert_status(200);
    let late = kept.lock().unwrap().take().unwrap().value();
    run(&app, &late).await.assert_status(200);
}
