//! Several realms on one path: a token speaks for all who are signed in, or for none.

use axum::Router;
use axum::routing::{get, post};
use http::header::AUTHORIZATION;
use portcullis::axum::CsrfForm;
use portcullis::csrf::CsrfToken;
use portcullis::rejection::CsrfReason::{MissingToken, TokenMismatch};
use portcullis::session::{MemoryBackend, OnUnavailable, SessionCarrier, SessionError, SessionLayer};
use portcullis::{Identity, Realm, Session};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::{Operation, Spy};

use crate::site::{Program, Transfer, assert_refused, bare, layer};

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

/// A session whose token programs put on a request themselves is nobody's credential but theirs.
#[tokio::test]
async fn a_session_in_a_header_does_not_change_the_token_of_another_realms_cookie() {
    let carrier = SessionCarrier::Header("x-session".parse().unwrap());
    let customers = SessionLayer::builder(MemoryBackend::new()).carrier(carrier).build().unwrap();
    let staffed = SessionLayer::builder(MemoryBackend::new()).realm::<Staff>().build().unwrap();
    let router = Router::new()
        .route("/customer", post(customer))
        .route("/staff", post(staff))
        .route("/page", get(async |token: CsrfToken| token.value()))
        .route("/close-shop", post(async |me: Identity<Staff>| me.subject().to_owned()));
    let app = Client::new(router.layer(layer()).layer(staffed).layer(customers));
    let session = app.post("/customer").await.header("x-session").unwrap().to_owned();
    app.post("/staff").await.assert_status(200);
    let token = app.get("/page").header("x-session", &*session).await.text();
    for with_session in [true, false] {
        let request = bare(app.post("/close-shop")).header("x-csrf-token", &*token);
        let request = if with_session { request.header("x-session", &*session) } else { request };
        assert_eq!(request.await.assert_status(200).text(), "grace", "{with_session}");
    }
}

/// A bearer token of one realm says nothing of the cookie of another, which comes along by itself.
#[tokio::test]
async fn a_programs_token_does_not_stand_in_for_that_of_another_realms_form() {
    let program = Program::new();
    let spy = Spy::new(MemoryBackend::new());
    let staffed = SessionLayer::builder(spy.clone()).realm::<Staff>();
    let staffed = staffed.on_unavailable(OnUnavailable::Anonymous).build().unwrap();
    let close = async |CsrfForm(me, _): CsrfForm<Transfer>| me.subject().to_owned();
    let router = Router::new().route("/staff", post(staff)).route("/close-shop", post(close));
    let app = Client::new(router.layer(layer()).layer(program.layer()).layer(staffed));
    let send = |app: &Client<Router>| {
        app.post_form("/close-shop", &[("to", "x")]).header(AUTHORIZATION, program.authorization())
    };
    assert_eq!(send(&app).await.assert_status(200).text(), "robot");
    app.post("/staff").await.assert_status(200);
    assert_refused("staff are signed in", &send(&app).await, MissingToken);
    // Who cannot be looked up may be somebody.
    spy.on(Operation::Load).fail(StoreErrorKind::Timeout);
    assert_refused("it cannot be told", &send(&app).await, MissingToken);
}
