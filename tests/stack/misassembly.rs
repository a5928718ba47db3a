//! What is put together wrongly says so, and is neither a denial nor a success; what is there twice asks once.

use axum::Router;
use axum::routing::get;
use http::Request;
use portcullis::session::SessionLayer;
use portcullis::{AuthLayer, CsrfLayer, Identity, RequireLayer, Session};
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::{Operation, Spy};

use crate::support::app::now;
use crate::support::logs::captured;
use crate::support::store::{AnyStore, PATIENCE};

fn routes() -> Router {
    Router::new()
        .route("/login", get(async |session: Session| session.login(Identity::new("ada")).await))
        .route("/me", get(async |me: Identity| me.subject().to_owned()))
}

fn auth(spy: &Spy<AnyStore>) -> AuthLayer {
    let session = SessionLayer::builder(spy.clone()).clock(now()).budget(PATIENCE).build().unwrap();
    AuthLayer::builder().session(session).csrf(CsrfLayer::new()).build().unwrap()
}

#[tokio::test]
async fn the_same_layer_twice_on_one_path_asks_the_store_once() {
    for store in AnyStore::each(&now()) {
        let spy = Spy::new(store);
        let auth = auth(&spy);
        let client = Client::new(routes().layer(auth.clone()).layer(auth.clone()).layer(auth));
        client.get("/login").await.assert_status(200);
        assert_eq!(client.jar().names(), ["__Host-id"]);
        spy.forget();
        assert_eq!(client.get("/me").await.text(), "ada");
        assert_eq!((spy.count(Operation::Load), spy.writes()), (1, 0), "{:?}", spy.calls());
    }
}

#[tokio::test]
async fn each_forgotten_layer_is_500_and_13_and_the_log_names_the_fix() {
    let spy = Spy::new(AnyStore::redis());
    let tokens_only = AuthLayer::builder().authenticator(Nobody).build().unwrap();
    let rows: [(&str, Router, &str); 4] = [
        ("an extractor without a layer", routes(), "SessionLayer, BearerLayer or AuthenticateLayer"),
        ("a session without SessionLayer", routes().layer(tokens_only), "SessionLayer"),
        (
            "a guard outside",
            routes().layer(auth(&spy)).layer(RequireLayer::authenticated()),
            "outside RequireLayer",
        ),
        ("a guard alone", routes().layer(RequireLayer::authenticated()), "outside RequireLayer"),
    ];
    for (name, app, fix) in rows {
        let path = if name.starts_with("a session") { "/login" } else { "/me" };
        for (content_type, status, code) in [("text/plain", 500, None), ("application/grpc", 200, Some("13"))]
        {
            let client = Client::new(app.clone());
            let (response, logs) =
                captured(async { client.get(path).header("content-type", content_type).await }).await;
            assert_eq!(response.status, status, "{name}");
            assert_eq!(response.header("grpc-status"), code, "{name}");
            assert!(logs.contains(fix) && logs.contains("ERROR"), "{name}: {logs}");
        }
    }
    assert!(spy.calls().is_empty());
}

#[derive(Clone)]
struct Nobody;

impl portcullis::authenticate::Authenticator for Nobody {
    type Visit = ();

    fn open<B>(&self, _: &mut Request<B>) -> portcullis::authenticate::Opening<()> {
        portcullis::authenticate::Opening::anonymous(())
    }
}
