//! An outage is 503: never "not signed in", never a bypass, never a write.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis::session::{OnUnavailable, SessionLayer};
use portcullis::{Identity, RequireLayer, Session};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::Operation;

use super::handle::around;
use crate::support::app::{A, World, now, on_each_store};
use crate::support::store::AnyStore;

#[tokio::test]
async fn a_store_error_is_never_an_empty_session_and_never_leads_to_a_write() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        for kind in [
            StoreErrorKind::Timeout,
            StoreErrorKind::Unavailable,
            StoreErrorKind::Full,
            StoreErrorKind::Corrupt,
            StoreErrorKind::Config,
        ] {
            world.spy.forget();
            world.spy.fail_with(kind);
            for path in ["/me", "/set/a/x", "/login?user=grace", "/logout"] {
                let response = browser.get(path).await.assert_status(503);
                assert_eq!(response.header("retry-after"), Some("1"), "{kind:?} {path}");
                assert!(response.set_cookies().is_empty(), "{kind:?} {path}");
            }
            assert_eq!(world.spy.writes(), 0, "{kind:?}");
            world.spy.obey_no_more();
        }
        assert_eq!(browser.get("/me").await.text(), "ada");
        assert_eq!(browser.get("/get/a").await.text(), "none");
    })
    .await;
}

#[tokio::test]
async fn with_the_store_down_anonymous_requests_are_served() {
    on_each_store(|world| async move {
        world.spy.fail_with(StoreErrorKind::Unavailable);
        assert_eq!(world.browser().get("/me").await.assert_status(200).text(), "nobody");
        assert_eq!(world.spy.calls(), []);
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_failed_with_data_to_write_is_503() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::Save).times(1).fail(StoreErrorKind::Full);
        browser.get("/set/a/x").await.assert_status(503);
        assert_eq!(browser.get("/get/a").await.text(), "none");
    })
    .await;
}

/// It says already that the service has failed, and in the application's own words.
#[tokio::test]
async fn a_5xx_of_the_handlers_own_stands_when_what_it_wrote_cannot_be_saved() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.on(Operation::Save).fail(StoreErrorKind::Full);
        let failing = async |session: Session| {
            session.set(&A, &"x".to_owned()).unwrap();
            (StatusCode::INTERNAL_SERVER_ERROR, "my own words")
        };
        let rotating = async |session: Session| session.rotate().await;
        let app = around(&world, failing).with_jar(browser.jar().clone());
        assert_eq!(app.get("/").await.assert_status(500).text(), "my own words");
        let app = around(&world, rotating).with_jar(browser.jar().clone());
        assert_eq!(app.get("/").await.assert_status(503).text(), "the store is full");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_hangs_costs_a_request_its_budget_and_no_more() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::with(&store, &clock, |layer| layer.budget(Duration::from_millis(450)));
        let browser = World::new(&store, &clock).browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let browser = world.browser().with_jar(browser.jar().clone());
        for (operation, path) in [(Operation::Load, "/me"), (Operation::Save, "/set/a/x")] {
            world.spy.on(operation).hang();
            let answer = tokio::time::timeout(Duration::from_secs(5), browser.get(path).send()).await;
            answer.expect("the budget is 450 ms").assert_status(503);
            world.spy.obey_no_more();
        }
    }
}

#[tokio::test]
async fn a_grpc_request_reads_an_outage_as_14() {
    on_each_store(|world| async move {
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);
        world.spy.fail_with(StoreErrorKind::Unavailable);
        let response =
            browser.post("/me").header("content-type", "application/grpc").await.assert_status(200);
        assert_eq!(response.header("grpc-status"), Some("14"));
        assert_eq!(response.header("content-type"), Some("application/grpc"));
    })
    .await;
}

#[tokio::test]
async fn on_unavailable_anonymous_serves_pages_and_still_refuses_what_needs_somebody() {
    let clock = now();
    for store in AnyStore::each(&clock) {
        let world = World::new(&store, &clock);
        let browser = world.browser();
        browser.get("/login?user=ada").await.assert_status(200);

        world.spy.fail_with(StoreErrorKind::Unavailable);
        let layer = SessionLayer::builder(world.spy.clone())
            .on_unavailable(OnUnavailable::Anonymous)
            .build()
            .unwrap();
        let app = Router::new()
            .route("/page", get(async || "page"))
            .route("/write", get(async |session: Session| session.remove(&A)))
            .route("/mine", get(async |me: Identity| me.subject().to_owned()))
            .route("/rotate", get(async |session: Session| session.rotate().await))
            .route("/reauthenticated", get(async |session: Session| session.reauthenticated().await))
            .route("/logout", get(async |session: Session| session.logout().await))
            .route("/login", get(async |session: Session| session.login(Identity::new("ada")).await))
            .route("/devices", get(async |session: Session| session.devices().list().await.map(drop)))
            .route("/required", get(async || "required").layer(RequireLayer::authenticated()))
            .layer(layer);
        let tab = Client::new(app).with_jar(browser.jar().clone());
        tab.get("/page").await.assert_status(200);
        for path in
            ["/write", "/mine", "/required", "/rotate", "/reauthenticated", "/logout", "/login", "/devices"]
        {
            let response = tab.get(path).await.assert_status(503);
            assert!(response.set_cookies().is_empty(), "{path}");
        }
        assert_eq!(world.spy.writes(), 1, "the login alone");
    }
}

#[tokio::test]
async fn a_missing_layer_is_a_500_that_names_it_in_the_log() {
    let app: Router = Router::new()
        .route("/session", get(async |_: Session| "ran"))
        .route("/identity", get(async |_: Identity| "ran"))
        .route("/maybe", get(async |_: Option<Identity>| "ran"))
        .route("/required", get(async || "ran").layer(RequireLayer::authenticated()));
    let client = Client::<Router>::new(app);
    for path in ["/session", "/identity", "/maybe", "/required"] {
        let (response, logs) = crate::support::logs::captured(client.get(path).send()).await;
        assert_eq!(response.status, 500, "{path}");
        assert!(logs.contains("SessionLayer") && logs.contains("ERROR"), "{path}: {logs}");
    }
}
