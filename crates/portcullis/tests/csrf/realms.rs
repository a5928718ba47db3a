//! Several realms on one path: a token speaks for all who are signed in, or for none.

use axum::Router;
use axum::routing::{get, post};
use portcullis::csrf::CsrfToken;
use portcullis::rejection::CsrfReason::TokenMismatch;
use portcullis::session::{MemoryBackend, SessionError, SessionLayer};
use portcullis::{Identity, Realm, Session};
use portcullis_testkit::client::Client;

use crate::site::{assert_refused, bare, layer};

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

async fn customer(session: Session) -> Result<(), SessionError> {
    session.login(Identity::new("customer")).await
}

async fn staff(session: Session<Staff>) -> Result<(), SessionError> {
    session.login(Identity::new("grace")).await
}

fn app() -> Client<Router> {
    let staffed = SessionLayer::builder(MemoryBackend::new()).realm::<Staff>().build().unwrap();
    let router = Router::new()
        .route("/customer", post(customer))
        .route("/staff", post(staff))
        .route("/page", get(async |token: CsrfToken| token.value()))
        .route("/close-shop", post(async |me: Identity<Staff>| me.subject().to_owned()))
        .layer(layer())
        .layer(staffed)
        .layer(SessionLayer::new(MemoryBackend::new()));
    Client::new(router)
}

/// Somebody who makes another's browser sign in as a customer of theirs knows that session's tokens.
#[tokio::test]
async fn a_token_of_a_planted_session_does_not_speak_for_staff() {
    let mallory = app();
    mallory.post("/customer").await.assert_status(200);
    let of_mallory = mallory.get("/page").await.text();

    let grace = mallory.another();
    grace.post("/staff").await.assert_status(200);
    let close = |token: String| bare(grace.post("/close-shop")).header("x-csrf-token", token);
    let of_staff = grace.get("/page").await.text();
    close(of_staff.clone()).await.assert_status(200);

    let planted = mallory.jar().get("__Host-id").unwrap();
    grace.jar().add("https://app.example", &format!("__Host-id={planted}; Path=/; Secure"));
    assert_refused("of the customer alone", &close(of_mallory).await, TokenMismatch);
    assert_refused("of staff alone", &close(of_staff).await, TokenMismatch);
    let of_both = grace.get("/page").await.text();
    assert_eq!(close(of_both).await.assert_status(200).text(), "grace");
}
