//! The way back through the session: only where there is one, and without a trace for who has none.

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;
use portcullis::respond::LoginRedirect;
use portcullis::session::{ReturnTo, SessionError, SessionKey, SessionLayer};
use portcullis::{Identity, RequireLayer, Session};
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::Spy;

use crate::support::app::now;
use crate::support::store::{AnyStore, PATIENCE};

const BASKET: SessionKey<String> = SessionKey::new("basket");
const KEPT: SessionKey<String> = SessionKey::new("portcullis.return_to").keep_on_login();

fn app(spy: &Spy<AnyStore>) -> Router {
    let responder = || LoginRedirect::to("/login").way_back(ReturnTo::new());
    let session = SessionLayer::builder(spy.clone())
        .clock(now())
        .budget(PATIENCE)
        .responder(responder())
        .build()
        .unwrap();
    let guard = RequireLayer::authenticated().responder(responder());
    Router::new()
        .route("/account", get(async || "yours").layer(guard.clone()))
        .route("/basket", get(async |_: Identity| "yours"))
        .route("/fill", post(async |session: Session| session.set(&BASKET, &"apples".to_owned())))
        .route("/poison", post(async |session: Session| session.set(&KEPT, &"//evil.example".to_owned())))
        .route("/login", post(login))
        .layer(session)
}

async fn login(session: Session) -> Result<String, SessionError> {
    session.login(Identity::new("ada")).await?;
    let wanted = ReturnTo::new().take(&session).await?;
    assert!(ReturnTo::new().take(&session).await?.is_none(), "exactly once");
    Ok(wanted.map_or("nowhere".to_owned(), |path| path.to_string()))
}

#[tokio::test]
async fn who_has_a_session_comes_back_by_it_and_who_has_none_costs_no_write() {
    for store in AnyStore::each(&now()) {
        let spy = Spy::new(store);
        let stranger = Client::new(app(&spy));
        let sent = stranger.get("/account?tab=2").await.assert_status(303);
        assert_eq!(sent.header("location"), Some("/login?next=/account%3Ftab%3D2"));
        assert!(
            spy.calls().is_empty() && stranger.jar().names().is_empty(),
            "an anonymous GET writes nothing"
        );

        let visitor = stranger.another();
        visitor.post("/fill").await.assert_status(200);
        let sent = visitor.get("/account?tab=2").await.assert_status(303);
        assert_eq!(sent.header("location"), Some("/login"));
        assert_eq!(visitor.post("/login").await.text(), "/account?tab=2");
        assert_eq!(visitor.post("/login").await.text(), "nowhere");
        assert_eq!(visitor.get("/account").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_last_page_counts_and_what_an_extractor_refuses_goes_by_the_address() {
    let spy = Spy::new(AnyStore::redis());
    let visitor = Client::new(app(&spy));
    visitor.post("/fill").await.assert_status(200);
    visitor.get("/account?a").await.assert_status(303);
    visitor.get("/account?b").await.assert_status(303);
    let sent = visitor.get("/basket").await.assert_status(303);
    assert_eq!(sent.header("location"), Some("/login?next=/basket"));
    assert_eq!(visitor.post("/login").await.text(), "/account?b");
}

#[tokio::test]
async fn what_is_kept_is_checked_when_it_is_taken() {
    let spy = Spy::new(AnyStore::redis());
    let visitor = Client::new(app(&spy));
    visitor.post("/poison").await.assert_status(200);
    assert_eq!(visitor.post("/login").await.text(), "nowhere");
}
