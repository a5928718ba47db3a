//! `PolicyTable`: who may call what, and nobody what is not in it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::routing::{any, get, post};
use http::{Method, Request};
use portcullis::authenticate::AuthenticateLayer;
use portcullis::guard::Public;
use portcullis::rejection::Rejection;
use portcullis::require::{Policy, PolicyTable, PublicLayer};
use portcullis::{Identity, RequireLayer};
use portcullis_store::{Clock, ManualClock};
use portcullis_testkit::coverage::{Coverage, Uncovered};
use tower::{ServiceBuilder, ServiceExt};

use crate::common::{Finds, Handler, answer, by_bearer, by_session, logged};

fn routed() -> portcullis::require::PolicyTableBuilder {
    PolicyTable::by(|extensions| extensions.get::<MatchedPath>().map(MatchedPath::as_str))
}

fn app(table: PolicyTable, who: &Finds) -> Router {
    let inner = Router::new().route("/users/{id}", get(async || "a user").delete(async || "gone"));
    Router::new()
        .route("/", get(async || "welcome"))
        .route("/hook", post(async || "taken").get(async || "what is posted"))
        .route("/report", get(async || "figures"))
        .route("/forgotten", get(async || "a secret"))
        .nest("/admin", inner)
        .fallback(any(async || "nothing here"))
        .layer(table)
        .layer(AuthenticateLayer::new(who.clone()))
}

async fn status(app: &Router, method: &str, path: &str) -> u16 {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn what_is_in_no_row_is_refused_and_rows_go_by_route_and_method() {
    let table = || {
        routed()
            .public("/")
            .public_for(Method::POST, "/hook")
            .rule("/admin/users/{id}", Policy::authenticated())
            .rule_for(Method::DELETE, "/admin/users/{id}", Policy::role("admin"))
            .public("/report")
            .rule_for(Method::GET, "/report", Policy::role("admin"))
            .build()
            .unwrap()
    };
    let nobody = app(table(), &Finds::nobody());
    let user = app(table(), &Finds::identity(by_session("ada")));
    let admin = app(table(), &Finds::identity(by_session("ada").role("admin")));
    let rows = [
        ("GET", "/", [200, 200, 200]),
        ("HEAD", "/", [200, 200, 200]),
        ("POST", "/hook", [200, 200, 200]),
        ("GET", "/hook", [403, 403, 403]),
        ("GET", "/admin/users/7", [401, 200, 200]),
        ("HEAD", "/admin/users/7", [401, 200, 200]),
        ("DELETE", "/admin/users/7", [401, 403, 200]),
        ("GET", "/report", [401, 403, 200]),
        ("HEAD", "/report", [401, 403, 200]),
        ("GET", "/forgotten", [403, 403, 403]),
        ("GET", "/nowhere", [403, 403, 403]),
    ];
    for (method, path, expected) in rows {
        let seen = [
            status(&nobody, method, path).await,
            status(&user, method, path).await,
            status(&admin, method, path).await,
        ];
        assert_eq!(seen, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_row_that_wants_a_fresh_sign_in_goes_by_the_tables_clock() {
    let (clock, minute) = (ManualClock::default(), Duration::from_secs(60));
    let who = Finds::identity(by_session("ada").authenticated_at(clock.now()));
    let table = routed().rule("/report", Policy::fresh(minute)).clock(clock.clone()).build().unwrap();
    let app = app(table, &who);
    assert_eq!(status(&app, "GET", "/report").await, 200);
    clock.advance(minute + Duration::from_secs(1));
    assert_eq!(status(&app, "GET", "/report").await, 401);
}

#[tokio::test]
async fn a_grpc_method_has_its_row() {
    let table = PolicyTable::by_path()
        .public("/grpc.health.v1.Health/Check")
        .rule("/demo.Reports/Read", Policy::scope("read"))
        .build()
        .unwrap();
    let service = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_bearer("ada"))))
        .layer(table)
        .service(Handler::default());
    for (path, code) in [
        ("/grpc.health.v1.Health/Check", None),
        ("/demo.Reports/Read", Some("7")),
        ("/demo.Reports/Write", Some("7")),
    ] {
        let request =
            Request::post(path).header("content-type", "application/grpc").body(String::new()).unwrap();
        let response = answer(&service, request).await;
        assert_eq!(response.headers().get("grpc-status").map(|code| code.to_str().unwrap()), code, "{path}");
    }
}

#[test]
fn a_table_with_two_rows_for_one_thing_or_with_none_is_not_built() {
    let rule = || Policy::role("admin");
    let rows = [
        ("none", PolicyTable::by_path(), Some("a table without rows refuses everything")),
        ("one", PolicyTable::by_path().rule("/a", rule()), None),
        ("twice", PolicyTable::by_path().rule("/a", rule()).public("/a"), Some("two rows are for \"/a\"")),
        (
            "twice for a method",
            PolicyTable::by_path().rule_for(Method::GET, "/a", rule()).public_for(Method::GET, "/a"),
            Some("two rows are for \"/a\""),
        ),
        (
            "two methods",
            PolicyTable::by_path().rule_for(Method::GET, "/a", rule()).public_for(Method::PUT, "/a"),
            None,
        ),
        ("a method and all", PolicyTable::by_path().rule_for(Method::GET, "/a", rule()).public("/a"), None),
        ("two paths", PolicyTable::by_path().public("/a").public("/a/"), None),
    ];
    for (name, table, problem) in rows {
        let said = table.build().err().map(|error| error.to_string());
        let is_expected = match (&said, problem) {
            (Some(said), Some(problem)) => said.starts_with(problem),
            (said, problem) => said.is_none() && problem.is_none(),
        };
        assert!(is_expected, "{name}: {said:?}");
    }
}

#[test]
fn a_route_that_was_forgotten_is_logged_by_its_name() {
    let lines = logged(async {
        let app = app(routed().public("/").build().unwrap(), &Finds::nobody());
        assert_eq!(status(&app, "GET", "/admin/users/7").await, 403);
        assert_eq!(status(&app, "GET", "/nowhere").await, 403);
    });
    let warnings: Vec<_> = lines.iter().filter(|line| line.starts_with("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{lines:?}");
    assert!(warnings[0].contains("/admin/users/{id}"), "{warnings:?}");
}

#[tokio::test]
async fn every_route_is_guarded_or_public_or_found_out() {
    let app = || {
        Router::new()
            .route("/", get(async || "welcome").layer(PublicLayer::new()))
            .route("/me", get(async |me: Identity| me.subject().to_owned()))
            .route("/admin", post(async || "done").layer(RequireLayer::authenticated().role("admin")))
            .route("/forgotten", get(async || "a secret"))
            .layer(AuthenticateLayer::new(Finds::nobody()))
            .route("/unlayered", get(async |me: Identity| me.subject().to_owned()))
    };
    let coverage = Coverage::<Rejection, Public>::new;
    coverage().get("/").get("/me").post("/admin").assert(app()).await;
    let found =
        coverage().get("/").get("/forgotten").get("/unlayered").get("/nowhere").find_uncovered(app()).await;
    let expected = [("/forgotten", 200, false), ("/unlayered", 500, true), ("/nowhere", 404, false)];
    let expected = expected.map(|(path, status, is_refusal)| Uncovered {
        route: format!("GET {path}"),
        status: status.try_into().unwrap(),
        is_refusal,
    });
    assert_eq!(found, expected);

    let table = routed().public("/").rule("/admin/users/{id}", Policy::authenticated()).build().unwrap();
    let tabled = self::app(table, &Finds::nobody());
    coverage().get("/").get("/admin/users/7").get("/forgotten").assert(tabled).await;
}
