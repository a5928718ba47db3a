//! `CsrfForm`: whose forms arrive, and what the others are told.

use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use portcullis::axum::CsrfForm;
use portcullis::csrf::{FormTokenLayer, OnFailure};
use portcullis::rejection::CsrfReason::{MissingToken, TokenMismatch};
use portcullis::rejection::Rejection;
use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis::{Identity, Session};
use portcullis_testkit::client::Client;
use serde_json::json;

use crate::site::{NOTE, Program, Site, Transfer, assert_refused, bare, layer, routes, token};

#[tokio::test]
async fn a_form_arrives_with_who_has_sent_it() {
    let site = Site::new();
    let ada = site.signed_in("ada").await;
    let token = token(&ada).await;
    let sent = ada.post_form("/form", &[("to", "bob"), ("csrf_token", &token)]).await.assert_status(200);
    assert_eq!(sent.text(), "ada to bob");
    let by_script = ada.post_form("/form", &[("to", "bob")]).header("x-csrf-token", &*token);
    assert_eq!(by_script.await.assert_status(200).text(), "ada to bob");
    assert_eq!(site.runs(), 2);
}

/// Browsers say that the page is the service's own, and still it must not act for somebody that it was not made for.
#[tokio::test]
async fn a_form_without_its_token_does_nothing_whatever_the_browser_says() {
    let site = Site::new();
    let ada = site.signed_in("ada").await;
    let own = token(&ada).await;
    let send = |fields: &[(&str, &str)]| ada.post_form("/form", fields);
    assert_refused("none", &send(&[("to", "bob")]).await, MissingToken);
    assert_refused("empty", &send(&[("to", "bob"), ("csrf_token", "")]).await, TokenMismatch);
    let others = token(&site.signed_in("mallory").await).await;
    assert_refused("another's", &send(&[("to", "bob"), ("csrf_token", &others)]).await, TokenMismatch);
    let two = [("to", "bob"), ("csrf_token", &*others), ("csrf_token", &*own)];
    assert_refused("another's before one's own", &send(&two).await, TokenMismatch);
    let beside = send(&[("to", "bob"), ("csrf_token", &others)]).header("x-csrf-token", &*own);
    assert_refused("a header does not mend a field", &beside.await, TokenMismatch);
    assert_eq!(site.runs(), 0);
}

/// The layer decides before there is a body; what reads it has to be told to come first, or the layer to let it come to that.
#[tokio::test]
async fn a_form_that_has_nothing_but_its_field_is_refused_unless_somebody_waits_for_the_body() {
    let dropping = Site::with(MemoryBackend::new(), layer().on_failure(OnFailure::DropIdentity));
    let mut reading = Site::new();
    reading.router = reading.router.layer(FormTokenLayer::new(1024));
    for (name, site, status) in
        [("alone", Site::new(), 403), ("drops", dropping, 200), ("reads", reading, 200)]
    {
        let ada = site.signed_in("ada").await;
        let token = token(&ada).await;
        let form = bare(ada.post_form("/form", &[("to", "bob"), ("csrf_token", &token)])).await;
        assert_eq!((form.status.as_u16(), site.runs()), (status, usize::from(status == 200)), "{name}");
        let guessed = bare(ada.post_form("/form", &[("to", "bob"), ("csrf_token", "guess")])).await;
        assert_eq!((guessed.status.as_u16(), site.runs()), (403, 0), "{name}");
    }
}

#[tokio::test]
async fn a_page_that_was_loaded_before_a_login_in_another_tab_hears_what_happened() {
    let site = Site::new();
    let browser = site.signed_in("ada").await;
    let page = token(&browser).await;
    let another_tab = browser.clone();
    another_tab.post("/login/grace").await.assert_status(200);
    let stale = browser.post_form("/form", &[("to", "mallory"), ("csrf_token", &page)]).await;
    assert_refused("stale", &stale, TokenMismatch);
    let message = stale.extensions.get::<Rejection>().unwrap().message();
    assert!(message.contains("another tab") && message.contains("load it again"), "{message}");
    assert_eq!(site.runs(), 0);
}

#[tokio::test]
async fn a_form_for_somebody_is_401_for_nobody_and_a_form_for_anybody_is_not() {
    let site = Site::new();
    let browser = site.browser();
    let token = token(&browser).await;
    let fields = [("to", "bob"), ("csrf_token", &*token)];
    browser.post_form("/form", &fields).await.assert_status(401);
    let sent = browser.post_form("/anybodys-form", &fields).await.assert_status(200);
    assert_eq!(sent.text(), "nobody to bob");
    assert_refused("untold", &browser.post_form("/anybodys-form", &[("to", "x")]).await, MissingToken);
    assert_eq!(site.runs(), 1);
}

#[tokio::test]
async fn what_is_no_such_form_is_told_what_it_should_be() {
    let site = Site::new();
    let ada = site.signed_in("ada").await;
    let token = token(&ada).await;
    ada.post_json("/form", &json!({ "to": "bob", "csrf_token": token })).await.assert_status(415);
    let missing = ada.post_form("/form", &[("csrf_token", &token)]).await.assert_status(422);
    assert!(missing.text().contains("missing field `to`"), "{}", missing.text());
    let unknown = ada.post_form("/form", &[("csrf_token", &token), ("to", "b"), ("x", "y")]).await;
    assert_eq!(unknown.status, 422, "the type itself refuses fields; it never sees the token");

    let (router, _) = routes();
    let layers = router
        .layer(DefaultBodyLimit::max(128))
        .layer(layer())
        .layer(SessionLayer::new(MemoryBackend::new()));
    let limited = Client::new(layers);
    let body = format!("csrf_token={token}&to={}", "x".repeat(128));
    let long = limited.post("/form").header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
    long.await.assert_status(413);
}

#[tokio::test]
async fn what_else_is_wanted_of_the_request_is_there_with_it() {
    let (router, _) = routes();
    type Wanted = (Identity, Session);
    let keep = async |CsrfForm((me, session), form): CsrfForm<Transfer, Wanted>| {
        session.set(&NOTE, &format!("{} to {}", me.subject(), form.to))
    };
    let show = async |session: Session| session.get(&NOTE).unwrap().unwrap_or_default();
    let router = router.route("/keep", post(keep).get(show));
    let browser = Client::new(router.layer(layer()).layer(SessionLayer::new(MemoryBackend::new())));
    browser.post("/login/ada").await.assert_status(200);
    let token = token(&browser).await;
    browser.post_form("/keep", &[("to", "bob"), ("csrf_token", &token)]).await.assert_status(200);
    assert_eq!(browser.get("/keep").await.text(), "ada to bob");
}

#[tokio::test]
async fn a_program_with_a_bearer_token_sends_forms_without() {
    let program = Program::new();
    let (router, _) = routes();
    let app = Client::new(router.layer(layer()).layer(program.layer()));
    let sent = app.post_form("/form", &[("to", "bob")]).without_browser();
    let sent = sent.header(AUTHORIZATION, program.authorization()).await.assert_status(200);
    assert_eq!(sent.text(), "robot to bob");
    let nobody = bare(app.post_form("/anybodys-form", &[("to", "bob")])).await;
    assert_refused("without a bearer token", &nobody, MissingToken);
}
