//! Policies of an application's own: predicates, combinations, policies that wait, tables.

use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::routing::{any, get, post};
use http::{Method, Request};
use portcullis::authenticate::AuthenticateLayer;
use portcullis::guard::{Head, Public};
use portcullis::identity::{AuthMethod, Authentication};
use portcullis::rejection::{Lack, Rejection};
use portcullis::require::{AuthorizeLayer, Decision, Policy, PolicyTable, PublicLayer};
use portcullis::{Identity, Realm, RequireLayer};
use portcullis_store::{Clock, ManualClock};
use portcullis_testkit::coverage::{Coverage, Uncovered};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::common::{Finds, Handler, all, answer, by_bearer, by_session, get as get_request, logged};

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

fn found(authentication: Authentication) -> Request<String> {
    let mut request = get_request();
    request.extensions_mut().insert(authentication);
    request
}

fn ada() -> Request<String> {
    found(Authentication::authenticated(by_session("ada").scope("read").role("user")))
}

fn says(decision: Decision) -> Policy {
    Policy::predicate(move |_: &Identity, _| decision)
}

#[tokio::test]
async fn policies_combine_and_the_client_hears_what_the_first_of_them_lacks() {
    let (yes, no, unknown) = (Decision::Allow, Decision::Deny("no"), Decision::Unavailable);
    let role = || Policy::role("admin");
    let scope = || Policy::scope("write");
    let minute = Duration::from_secs(60);
    let rows = [
        ("allowed", says(yes), 200),
        ("denied", says(no), 403),
        ("cannot be told", says(unknown), 503),
        ("and", says(yes).and(says(no)), 403),
        ("a denial beside an outage", says(unknown).and(says(no)), 403),
        ("an outage beside what allows", says(unknown).and(says(yes)), 503),
        ("or", says(no).or(says(yes)), 200),
        ("or, the other way round", says(yes).or(says(no)), 200),
        ("an outage does not matter", says(unknown).or(says(yes)), 200),
        ("an outage matters", says(no).or(says(unknown)), 503),
        ("neither", role().or(scope()), 403),
        ("one of three", role().or(scope()).or(Policy::role("user")), 200),
        ("not", !says(no), 200),
        ("not, when it is so", !Policy::role("user"), 403),
        ("not an outage", !says(unknown), 503),
        ("either, not both", Policy::role("user").and(!Policy::scope("read")), 403),
        ("nested", (Policy::role("user").and(scope())).or(!Policy::method(AuthMethod::Session)), 403),
        ("not fresh or an admin", Policy::fresh(minute).or(role()), 401),
        ("somebody", Policy::authenticated(), 200),
    ];
    for (name, policy, expected) in rows {
        let handler = Handler::default();
        let service = RequireLayer::authenticated().policy(policy).layer(handler.clone());
        assert_eq!(answer(&service, ada()).await.status(), expected, "{name}");
        assert_eq!(handler.calls(), usize::from(expected == 200), "{name}");
    }
    let lacks = |policy| {
        let service = RequireLayer::authenticated().policy(policy).layer(Handler::default());
        async move { answer(&service, ada()).await.extensions().get::<Rejection>().cloned() }
    };
    assert_eq!(lacks(role().or(scope())).await, Some(Rejection::forbidden(Lack::Role)));
    let scope_lacks = Some(Rejection::forbidden(Lack::Scope(vec!["write".into()])));
    assert_eq!(lacks(scope().or(role())).await, scope_lacks);
}

#[test]
fn a_predicate_sees_the_caller_and_the_head_and_the_reason_is_only_logged() {
    let lines = logged(async {
        let own = RequireLayer::authenticated().predicate(|who: &Identity, head| {
            if head.uri.path().trim_start_matches("/users/") == who.subject() {
                Decision::Allow
            } else {
                Decision::Deny("somebody else's page")
            }
        });
        let service = own.layer(Handler::default());
        for (path, expected) in [("/users/ada", 200), ("/users/grace", 403)] {
            let mut request = ada();
            *request.uri_mut() = path.parse().unwrap();
            let response = answer(&service, request).await;
            assert_eq!(response.status(), expected, "{path}");
            let told = format!("{:?} {:?}", response.headers(), response.extensions().get::<Rejection>());
            assert!(!told.contains("somebody"), "{told}");
        }
    });
    assert!(lines.iter().any(|line| line.contains("somebody else's page")), "{lines:?}");
}

#[tokio::test]
async fn a_predicate_of_another_realm_is_a_mistake_and_neither_a_denial_nor_a_success() {
    let one = |policy: Policy| RequireLayer::authenticated().policy(policy).realm::<Staff>();
    let allow = || says(Decision::Allow);
    for (name, layer) in
        [("plain", one(allow())), ("not", one(!allow())), ("or", one(says(Decision::Allow).or(allow())))]
    {
        let service = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(Finds::identity(by_session("grace"))).realm::<Staff>())
            .layer(layer)
            .service(Handler::default());
        assert_eq!(answer(&service, get_request()).await.status(), 500, "{name}");
    }
}

#[tokio::test]
async fn a_predicate_of_the_guards_own_realm_is_asked() {
    let layer = RequireLayer::authenticated().realm::<Staff>().predicate(|who: &Identity<Staff>, _| {
        if who.subject() == "grace" { Decision::Allow } else { Decision::Deny("not grace") }
    });
    for (subject, expected) in [("grace", 200), ("ada", 403)] {
        let service = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(Finds::identity(by_session(subject))).realm::<Staff>())
            .layer(layer.clone())
            .service(Handler::default());
        assert_eq!(answer(&service, get_request()).await.status(), expected, "{subject}");
    }
}

#[tokio::test]
async fn a_step_up_tells_at_once_all_that_signing_in_again_takes() {
    let minute = Duration::from_secs(60);
    let policies = RequireLayer::authenticated()
        .role("user")
        .policy(Policy::fresh(minute * 5).and(Policy::acr(["gold", "silver"])))
        .fresh(minute);
    let stale = by_bearer("ada").role("user");
    let clock = ManualClock::default();
    let fresh = stale.clone().authenticated_at(clock.now());
    let step_up =
        r#"Bearer error="insufficient_user_authentication", error_description="sign in again to do this""#;
    let both = format!(r#"{step_up}, acr_values="gold silver", max_age="60""#);
    let acr = format!(r#"{step_up}, acr_values="gold silver""#);
    for (name, who, expected) in [("stale and weak", stale, &both), ("weak", fresh, &acr)] {
        let service = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(Finds::identity(who).scheme("Bearer")))
            .layer(policies.clone().clock(clock.clone()))
            .service(Handler::default());
        let response = answer(&service, get_request()).await;
        assert_eq!(
            (response.status().as_u16(), all(&response, "www-authenticate")),
            (401, vec![expected.as_str()]),
            "{name}"
        );
    }
    // A caller with a cookie, where no tokens are configured, is told of what is.
    let service = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_session("ada")).scheme("Cookie")))
        .layer(RequireLayer::authenticated().fresh(minute))
        .service(Handler::default());
    assert_eq!(all(&answer(&service, get_request()).await, "www-authenticate"), ["Cookie"]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_waits_has_a_budget_and_an_outage_is_no_denial() {
    let policy = |decision: Option<Decision>| {
        AuthorizeLayer::new(move |who: &Identity, _: Head<'_>| {
            assert_eq!(who.subject(), "ada");
            async move {
                match decision {
                    Some(decision) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        decision
                    }
                    None => pending().await,
                }
            }
        })
        .budget(Duration::from_millis(100))
    };
    let rows = [
        ("allows", Some(Decision::Allow), ada(), 200, 20),
        ("denies", Some(Decision::Deny("no")), ada(), 403, 20),
        ("cannot tell", Some(Decision::Unavailable), ada(), 503, 20),
        ("hangs", None, ada(), 503, 100),
        ("nobody", Some(Decision::Allow), found(Authentication::anonymous()), 401, 0),
        ("store away", Some(Decision::Allow), found(Authentication::unavailable(Duration::ZERO)), 503, 0),
        ("nobody has looked", Some(Decision::Allow), get_request(), 500, 0),
    ];
    for (name, decision, request, expected, millis) in rows {
        let (handler, begun) = (Handler::default(), tokio::time::Instant::now());
        let response = answer(&policy(decision).layer(handler.clone()), request).await;
        assert_eq!(response.status(), expected, "{name}");
        assert_eq!(handler.calls(), usize::from(expected == 200), "{name}");
        let took = begun.elapsed().as_millis();
        assert!((millis..=millis + 2).contains(&took), "{name}: {took}");
        if expected == 200 {
            assert_eq!(response.body(), "ada", "whoever was found before is still found");
        }
    }
}

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
