//! `RequireLayer`: who may pass.

use std::time::Duration;

use http::Request;
use portcullis::identity::{AuthMethod, Authentication};
use portcullis::rejection::Rejection;
use portcullis::respond::RequestHead;
use portcullis::{Identity, RequireLayer};
use portcullis_store::{Clock, ManualClock};
use tower::{Layer, ServiceBuilder};

use crate::common::{Finds, Handler, answer, by_bearer, by_session, get, logged};

fn found(authentication: Authentication) -> Request<String> {
    let mut request = get();
    request.extensions_mut().insert(authentication);
    request
}

#[tokio::test]
async fn every_requirement_has_those_who_meet_it_and_those_who_do_not() {
    let clock = ManualClock::default();
    let minute = Duration::from_secs(60);
    let at = |age: Duration| clock.now().saturating_sub(age);
    let require = RequireLayer::authenticated;
    let rows = [
        ("anybody", require(), by_session("ada"), 200),
        ("scope", require().scope("read"), by_session("ada").scope("read"), 200),
        ("no scope", require().scope("read"), by_session("ada"), 403),
        ("a longer scope", require().scope("read"), by_session("ada").scope("read:all"), 403),
        ("scope in capitals", require().scope("read"), by_session("ada").scope("READ"), 403),
        ("one of two scopes", require().scope("a").scope("b"), by_session("ada").scope("a"), 403),
        ("both scopes", require().scope("a").scope("b"), by_session("ada").scopes(["b", "a"]), 200),
        ("any of two", require().any_scope(["a", "b"]), by_session("ada").scope("b"), 200),
        ("none of two", require().any_scope(["a", "b"]), by_session("ada").scope("c"), 403),
        ("any of none", require().any_scope::<&str>([]), by_session("ada").scope("c"), 403),
        ("role", require().role("admin"), by_session("ada").role("admin"), 200),
        ("a role is no scope", require().role("admin"), by_session("ada").scope("admin"), 403),
        ("a scope is no role", require().scope("admin"), by_session("ada").role("admin"), 403),
        ("fresh", require().fresh(minute), by_session("ada").authenticated_at(at(minute)), 200),
        ("stale", require().fresh(minute), by_session("ada").authenticated_at(at(minute * 2)), 401),
        ("of unknown age", require().fresh(minute), by_session("ada"), 401),
        ("acr", require().acr(["gold", "silver"]), by_session("ada").acr("silver"), 200),
        ("weaker acr", require().acr(["gold"]), by_session("ada").acr("silver"), 401),
        ("no acr", require().acr(["gold"]), by_session("ada"), 401),
        ("method", require().method(AuthMethod::Bearer), by_bearer("ada"), 200),
        ("another method", require().method(AuthMethod::Bearer), by_session("ada"), 403),
        ("all but one", require().role("a").scope("s"), by_session("ada").role("a"), 403),
    ];
    for (name, layer, who, expected) in rows {
        let handler = Handler::default();
        let service = layer.clock(clock.clone()).layer(handler.clone());
        let response = answer(&service, found(Authentication::authenticated(who))).await;
        assert_eq!(response.status(), expected, "{name}");
        assert_eq!(handler.calls(), usize::from(expected == 200), "{name}");
    }
}

#[tokio::test]
async fn a_sign_in_goes_stale_as_time_passes() {
    let clock = ManualClock::default();
    let layer = RequireLayer::authenticated().fresh(Duration::from_secs(60)).clock(clock.clone());
    let service = layer.layer(Handler::default());
    let who = by_session("ada").authenticated_at(clock.now()).build();
    let ask = async || answer(&service, found(Authentication::authenticated(who.clone()))).await.status();
    assert_eq!(ask().await, 200);
    clock.advance(Duration::from_secs(60));
    assert_eq!(ask().await, 200);
    clock.advance(Duration::from_millis(1));
    assert_eq!(ask().await, 401);
}

#[tokio::test]
async fn outage_misassembly_and_anonymity_are_three_things() {
    let handler = Handler::default();
    let service = RequireLayer::authenticated().layer(handler.clone());
    let anonymous = answer(&service, found(Authentication::anonymous())).await;
    assert_eq!(anonymous.status(), 401);
    let away = answer(&service, found(Authentication::unavailable(Duration::from_secs(7)))).await;
    assert_eq!((away.status().as_u16(), &away.headers()["retry-after"]), (503, &"7".parse().unwrap()));
    let mut forgotten = get();
    forgotten.extensions_mut().insert(Identity::new("somebody").build());
    assert_eq!(answer(&service, forgotten).await.status(), 500);
    assert_eq!(handler.calls(), 0);
}

#[test]
fn a_missing_layer_is_logged_with_the_path() {
    let service = RequireLayer::authenticated().layer(Handler::default());
    let lines = logged(async {
        let request = Request::get("/admin/users?token=s3cret").body(String::new()).unwrap();
        assert!(answer(&service, request).await.body().is_empty());
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["ERROR", "SessionLayer", "/admin/users"] {
        assert!(lines[0].contains(part), "{part} in {lines:?}");
    }
    assert!(!lines[0].contains("s3cret"));
}

#[tokio::test]
async fn a_refusal_says_what_would_do_to_those_who_may_know() {
    let challenges = async |layer: RequireLayer, who: Finds| {
        let authenticate = portcullis::authenticate::AuthenticateLayer::new(who.scheme("Bearer"));
        let stack = ServiceBuilder::new().layer(authenticate).layer(layer).service(Handler::default());
        let response = answer(&stack, get()).await;
        response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned())
    };
    let scopes = RequireLayer::authenticated().scope("a").scope("b");
    let step_up = RequireLayer::authenticated().acr(["gold"]);
    let rows = [
        ("nobody", &scopes, Finds::nobody(), Some("Bearer")),
        (
            "token without scope",
            &scopes,
            Finds::identity(by_bearer("ada")),
            Some(r#"Bearer error="insufficient_scope", error_description="a scope is missing", scope="a b""#),
        ),
        ("session without scope", &scopes, Finds::identity(by_session("ada")), None),
        (
            "step-up",
            &step_up,
            Finds::identity(by_bearer("ada")),
            Some(
                r#"Bearer error="insufficient_user_authentication", error_description="sign in again to do this", acr_values="gold""#,
            ),
        ),
    ];
    for (name, layer, who, expected) in rows {
        assert_eq!(challenges(layer.clone(), who).await.as_deref(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_responder_of_ones_own_answers_refusals() {
    let teapot = |rejection: &Rejection, _: &RequestHead| {
        http::Response::builder().status(418).body(rejection.label().to_owned()).unwrap()
    };
    let service = RequireLayer::authenticated().responder(teapot).layer(Handler::default());
    let response = answer(&service, found(Authentication::anonymous())).await;
    assert_eq!((response.status().as_u16(), response.body().as_str()), (418, "unauthenticated"));
    assert_eq!(response.headers()["cache-control"], "no-store");
}
