//! Policies of an application's own: predicates, combinations, policies that wait.

use std::future::pending;
use std::time::Duration;

use http::Request;
use portcullis::authenticate::AuthenticateLayer;
use portcullis::guard::Head;
use portcullis::identity::{AuthMethod, Authentication};
use portcullis::rejection::{Lack, Rejection};
use portcullis::require::{AuthorizeLayer, Decision, Policy};
use portcullis::{Identity, Realm, RequireLayer};
use portcullis_store::{Clock, ManualClock};
use tower::{Layer, ServiceBuilder};

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
        ("two of three", says(yes).and(Policy::role("user")).and(scope()), 403),
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
async fn a_step_up_asks_for_what_is_on_every_list_of_classes() {
    let service = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(Finds::identity(by_bearer("ada")).scheme("Bearer")))
        .layer(RequireLayer::authenticated().acr(["gold", "silver"]).acr(["silver", "bronze"]))
        .service(Handler::default());
    let challenges = all(&answer(&service, get_request()).await, "www-authenticate").join(", ");
    assert!(challenges.ends_with(r#"acr_values="silver""#), "{challenges}");
}

#[tokio::test]
async fn a_step_up_tells_at_once_all_that_signing_in_again_takes() {
    let minute = Duration::from_secs(60);
    let policies = RequireLayer::authenticated()
        .role("user")
        .policy(Policy::fresh(minute * 5).and(Policy::acr(["gold", "silver"])))
        .fresh(minute)
        .fresh(minute * 2);
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
