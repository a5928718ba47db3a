//! Opaque tokens, of which the server that has issued them is asked (RFC 7662).

mod outages;
mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use portcullis::BearerLayer;
use portcullis::bearer::{
    Algorithm, Audience, BuildErrorKind, ClientCertificate, ClientCertificates, Introspection,
    IntrospectionErrorKind, Issuer, MemoryTokenBackend, OpaqueTokens, Revocations, Tenants, TokenCache,
    TokenSource,
};
use portcullis::identity::{AuthMethod, Carrier, Identity};
use portcullis_store::{Clock, ManualClock};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use self::server::{Failure, Server};
use crate::mint::{ES256, ISSUER, Signer, claims, handler, jwks};
use crate::proof::{ADA, Replays, request};
use crate::store::Mood;

fn issuer() -> Issuer {
    Issuer::new(ISSUER, Audience::one_of(["api"]))
}

struct Stage {
    clock: ManualClock,
    server: Server,
    layer: BearerLayer,
}

impl Stage {
    fn new() -> Self {
        Self::with(|introspection| introspection)
    }

    fn with(set: impl FnOnce(Introspection) -> Introspection) -> Self {
        let (clock, server) = (ManualClock::default(), Server::default());
        let introspection = set(Introspection::new(issuer(), server.clone()));
        let layer = BearerLayer::opaque(introspection).unwrap().clock(clock.clone());
        Self { clock, server, layer }
    }

    async fn status(&self, token: &str) -> u16 {
        send(&self.layer, token).await.status().as_u16()
    }
}

async fn send(layer: &BearerLayer, token: &str) -> Response<String> {
    call(layer, request(&format!("Bearer {token}"), &[])).await
}

async fn call(layer: &BearerLayer, request: Request<String>) -> Response<String> {
    layer.layer(service_fn(handler)).oneshot(request).await.unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn whom_the_server_names_is_let_in_and_nobody_else() {
    let stage = Stage::new();
    let now = stage.clock.now().as_secs();
    let answer = json!({ "sub": "ada", "scope": "read write", "exp": now + 300, "client_id": "cli", "org": { "name": "AE" } });
    stage.server.knows("good", answer);
    let response = send(&stage.layer, "good").await;
    let me = response.extensions().get::<Identity>().unwrap();
    assert_eq!((me.subject(), me.issuer(), me.method()), ("ada", Some(ISSUER), AuthMethod::Bearer));
    assert!(me.scopes().eq(["read", "write"]));
    assert_eq!(me.expires_at().map(|at| at.as_secs()), Some(now + 300));
    assert_eq!(me.claims::<Value>().unwrap()["org"]["name"], "AE");

    let response = send(&stage.layer, "bad").await;
    assert_eq!(response.status(), 401);
    let challenge =
        r#"Bearer realm="api", error="invalid_token", error_description="the token is not active""#;
    assert_eq!(response.headers()["www-authenticate"], challenge);
    assert_eq!(call(&stage.layer, Request::new(String::new())).await.body(), "nobody");
    assert_eq!(call(&stage.layer.clone().required(), Request::new(String::new())).await.status(), 401);
    assert_eq!(call(&stage.layer, request("Bearer a b", &[])).await.status(), 400);
    assert_eq!(stage.status(&"a".repeat(8 * 1024 + 1)).await, 401, "too large to ask about");
    assert_eq!(stage.server.asked(), 2);
}

#[tokio::test]
async fn what_the_server_says_is_held_to_the_rules_of_the_issuer() {
    let stage = Stage::new();
    let now = stage.clock.now().as_secs();
    for (name, answer, expected) in [
        ("who and for whom", json!({ "sub": "ada" }), 200),
        (
            "all of it",
            json!({ "sub": "ada", "iss": ISSUER, "aud": ["api"], "exp": now + 1, "iat": now }),
            200,
        ),
        ("another issuer", json!({ "sub": "ada", "iss": "https://evil.example" }), 401),
        ("another audience", json!({ "sub": "ada", "aud": "other" }), 401),
        ("expired", json!({ "sub": "ada", "exp": now - 5 }), 401),
        ("not begun", json!({ "sub": "ada", "nbf": now + 6 }), 401),
        ("nobody", json!({}), 401),
        ("a refresh token", json!({ "sub": "ada", "typ": "Refresh" }), 401),
        ("bound to what nobody checks", json!({ "sub": "ada", "cnf": { "jkt": ADA.jkt() } }), 401),
    ] {
        let token = name.replace(' ', "-");
        stage.server.knows(&token, answer);
        for time in ["new", "known"] {
            assert_eq!(stage.status(&token).await, expected, "{name}, {time}");
        }
        assert_eq!(stage.server.asked(), 1, "{name}");
    }
}

#[tokio::test]
async fn what_the_issuer_requires_is_required_of_what_the_server_says() {
    let used = issuer().require_claim("use", "access");
    let party = Issuer::new(ISSUER, Audience::claim("azp", ["web"]));
    type Set = fn(Introspection) -> Introspection;
    let (of, lax): (Set, Set) = (|it| it, Introspection::insecure_accept_without_audience);
    for (name, issuer, set, answer, expected) in [
        ("its value", &used, of, json!({ "sub": "ada", "aud": "api", "use": "access" }), 200),
        ("another value", &used, of, json!({ "sub": "ada", "aud": "api", "use": "id" }), 401),
        ("no value", &used, of, json!({ "sub": "ada", "aud": "api" }), 401),
        ("the party", &party, lax, json!({ "sub": "ada", "azp": "web" }), 200),
        ("another party", &party, lax, json!({ "sub": "ada", "azp": "other" }), 401),
        ("no party", &party, lax, json!({ "sub": "ada" }), 401),
    ] {
        let server = Server::default();
        server.knows_only("token", answer);
        let introspection = set(Introspection::new(issuer.clone(), server));
        let layer = BearerLayer::opaque(introspection).unwrap().clock(ManualClock::default());
        assert_eq!(send(&layer, "token").await.status(), expected, "{name}");
    }
}

/// What `oidc-provider` 9 says of an access token for a service, of a refresh token, and of an access token that was asked
/// for without a resource and is for its own userinfo endpoint.
#[tokio::test]
async fn a_token_that_the_server_does_not_say_is_for_us_is_refused() {
    let strict = Stage::new();
    let lax = Stage::with(Introspection::insecure_accept_without_audience);
    let now = strict.clock.now().as_secs();
    let of = |more: Value| {
        let mut answer =
            json!({ "sub": "ada", "client_id": "web", "iat": now, "iss": ISSUER, "scope": "openid read" });
        answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        answer
    };
    for (token, answer, by_default, if_asked_for) in [
        ("access", of(json!({ "exp": now + 600, "aud": "api", "token_type": "Bearer" })), 200, 200),
        ("refresh", of(json!({ "exp": now + 1_209_600 })), 401, 200),
        ("userinfo", of(json!({ "exp": now + 600, "token_type": "Bearer" })), 401, 200),
        ("another", of(json!({ "exp": now + 600, "aud": "other", "token_type": "Bearer" })), 401, 401),
    ] {
        for (stage, expected) in [(&strict, by_default), (&lax, if_asked_for)] {
            stage.server.knows_only(token, answer.clone());
            assert_eq!(stage.status(token).await, expected, "{token}");
        }
    }
}

/// What `oidc-provider` 9 says of a token that a client was given for itself.
#[tokio::test]
async fn a_clients_own_token_is_accepted_where_it_is_expected() {
    for (stage, expected) in
        [(Stage::new(), None), (Stage::with(Introspection::client_is_subject), Some("job"))]
    {
        let answer = json!({ "client_id": "job", "scope": "read", "token_type": "Bearer" });
        stage.server.knows("own", answer);
        stage.server.knows("users", json!({ "sub": "ada", "client_id": "job" }));
        let response = send(&stage.layer, "own").await;
        assert_eq!(response.status(), if expected.is_some() { 200 } else { 401 });
        assert_eq!(response.extensions().get::<Identity>().map(Identity::subject), expected);
        let response = send(&stage.layer, "users").await;
        assert_eq!(response.extensions().get::<Identity>().map(Identity::subject), Some("ada"));
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_a_minute_and_never_past_the_token() {
    let stage = Stage::new();
    let now = stage.clock.now().as_secs();
    stage.server.knows("long", json!({ "sub": "ada", "exp": now + 3600 }));
    stage.server.knows("short", json!({ "sub": "ada", "exp": now + 10 }));
    for token in ["long", "short", "long", "short"] {
        assert_eq!(stage.status(token).await, 200);
    }
    assert_eq!(stage.server.asked(), 2);
    stage.clock.advance(Duration::from_millis(14_999));
    assert_eq!((stage.status("short").await, stage.server.asked()), (200, 0), "within the leeway");
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!((stage.status("short").await, stage.server.asked()), (401, 1), "it is over");
    stage.server.forgets("long");
    stage.clock.advance(MINUTE - Duration::from_millis(15_001));
    assert_eq!((stage.status("long").await, stage.server.asked()), (200, 0), "for a minute");
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!((stage.status("long").await, stage.server.asked()), (401, 1), "and no more");
    stage.server.knows("long", json!({ "sub": "ada" }));
    stage.clock.advance(Duration::from_millis(4_999));
    assert_eq!((stage.status("long").await, stage.server.asked()), (401, 0), "a refusal, for a short time");
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!((stage.status("long").await, stage.server.asked()), (200, 1));
    stage.clock.set(ManualClock::default().now());
    assert_eq!((stage.status("long").await, stage.server.asked()), (200, 1), "a clock that was set back");
}

#[tokio::test]
async fn a_layer_may_keep_nothing() {
    let stage = Stage::with(|it| it.max_age(Duration::ZERO).max_age_of_refusals(Duration::ZERO));
    stage.server.knows("good", json!({ "sub": "ada" }));
    for token in ["good", "bad", "good", "bad"] {
        stage.status(token).await;
    }
    assert_eq!(stage.server.asked(), 4);
    let none = Stage::with(|it| it.cache(TokenCache::default().max_tokens(0)));
    none.server.knows("good", json!({ "sub": "ada" }));
    assert_eq!((none.status("good").await, none.status("good").await, none.server.asked()), (200, 200, 2));
}

#[tokio::test]
async fn however_many_bring_a_token_the_server_is_asked_once() {
    let stage = Arc::new(Stage::new());
    stage.server.knows("good", json!({ "sub": "ada" }));
    stage.server.fails(Failure::Waits);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let stage = Arc::clone(&stage);
        requests.spawn(async move { stage.status("good").await });
    }
    // Whoever has asked goes away, and the others are answered all the same.
    let asker = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move { stage.status("other").await }
    });
    let follower = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move {
            tokio::task::yield_now().await;
            stage.status("other").await
        }
    });
    while stage.server.0.asked.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    asker.abort();
    assert!(asker.await.is_err());
    stage.server.0.gate.notify_waiters();
    assert_eq!(requests.join_all().await, [200; 100]);
    assert_eq!(follower.await.unwrap(), 401);
    assert_eq!(stage.server.asked(), 2);
}

#[tokio::test]
async fn a_token_in_a_cookie_is_ambient_although_the_server_was_asked_about_it_in_a_header() {
    let stage = Stage::new();
    let layer = Arc::new(stage.layer.add_source(TokenSource::cookie("token").unwrap()));
    let (server, carrier) = (stage.server, |response: &Response<String>| {
        response.extensions().get::<Identity>().map(Identity::carrier)
    });
    server.knows("good", json!({ "sub": "ada" }));
    server.fails(Failure::Waits);
    let mut in_cookie = Request::new(String::new());
    in_cookie.headers_mut().insert("cookie", "token=good".parse().unwrap());
    let sent = |request: Request<String>| {
        let layer = Arc::clone(&layer);
        tokio::spawn(async move { call(&layer, request).await })
    };
    let under_way = [sent(request("Bearer good", &[])), sent(in_cookie.clone())];
    while server.0.asked.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    server.0.gate.notify_waiters();
    let expected = [Some(Carrier::Explicit), Some(Carrier::Ambient)];
    for (sent, expected) in under_way.into_iter().zip(expected) {
        assert_eq!(carrier(&sent.await.unwrap()), expected, "at once");
    }
    server.fails(None);
    for _ in 0..2 {
        for (request, expected) in [request("Bearer good", &[]), in_cookie.clone()].into_iter().zip(expected)
        {
            assert_eq!(carrier(&call(&layer, request).await), expected, "known");
        }
    }
}

#[tokio::test]
async fn a_token_is_a_jwt_or_opaque_and_never_tried_as_the_other() {
    let server = Server::default();
    let mixed = |which| {
        let layer = BearerLayer::new([ES256.issuer()]).unwrap().clock(ManualClock::default());
        layer.introspection(which, Introspection::new(issuer(), server.clone())).unwrap()
    };
    let (good, forged) = (ES256.token(&claims()), Signer::new(Algorithm::ES256).token(&claims()));
    server.knows("opq_good", json!({ "sub": "grace" }));
    server.knows(&forged, json!({ "sub": "eve" }));
    server.knows("opq.with.dots", json!({ "sub": "grace" }));
    for (name, layer, rows) in [
        (
            "by prefix",
            mixed(OpaqueTokens::with_prefix("opq_")),
            [
                (&*good, 200, 0),
                (&*forged, 401, 0),
                ("opq_good", 200, 1),
                ("opq.with.dots", 401, 0),
                ("else", 401, 0),
            ],
        ),
        (
            "without dots",
            mixed(OpaqueTokens::without_dots()),
            [
                (&*good, 200, 0),
                (&*forged, 401, 0),
                ("opq_good", 200, 1),
                ("opq.with.dots", 401, 0),
                ("else", 401, 1),
            ],
        ),
    ] {
        for (token, status, asked) in rows {
            let response = send(&layer, token).await;
            assert_eq!((response.status().as_u16(), server.asked()), (status, asked), "{name}: {token}");
        }
    }
    // A signature of ours is nothing to the server, and its failure nothing to the keys.
    server.fails(Failure::Kind(IntrospectionErrorKind::Unavailable));
    let layer = mixed(OpaqueTokens::without_dots());
    assert_eq!(send(&layer, &good).await.status(), 200);
    assert_eq!(send(&layer, "opaque").await.status(), 503);
    let plain = BearerLayer::new([ES256.issuer()]).unwrap().clock(ManualClock::default());
    assert_eq!(send(&plain, "opaque").await.status(), 401, "nobody is asked where that is not configured");
}

#[tokio::test]
async fn a_known_opaque_token_that_is_taken_back_is_refused_on_the_next_request() {
    let (clock, server) = (ManualClock::default(), Server::default());
    let revocations = Revocations::new(MemoryTokenBackend::with_clock(clock.clone())).clock(clock.clone());
    let layer = BearerLayer::opaque(Introspection::new(issuer(), server.clone())).unwrap();
    let layer = layer.clock(clock.clone()).revocation(&revocations);
    let now = clock.now().as_secs();
    server.knows("good", json!({ "sub": "ada", "jti": "j", "iat": now, "exp": now + 300 }));
    server.knows("endless", json!({ "sub": "ada", "jti": "k", "iat": now }));
    server.knows("nameless", json!({ "sub": "ada", "iat": now, "exp": now + 300 }));
    server.knows("another", json!({ "sub": "ada", "iat": now, "exp": now + 300 }));
    server.knows("timeless", json!({ "sub": "ada", "exp": now + 300 }));
    assert_eq!(send(&layer, "good").await.status(), 200);
    assert_eq!(send(&layer, "endless").await.status(), 401, "it would outlive its revocation");
    assert_eq!(send(&layer, "timeless").await.status(), 401, "it could not be revoked with all of its user");
    revocations.revoke_token(ISSUER, "ada", "j", None).await.unwrap();
    assert_eq!(send(&layer, "good").await.status(), 401);

    let response = send(&layer, "nameless").await;
    assert_eq!((response.status(), send(&layer, "another").await.status()), (StatusCode::OK, StatusCode::OK));
    revocations.revoke(response.extensions().get::<Identity>().unwrap()).await.unwrap(); // a logout
    assert_eq!(send(&layer, "nameless").await.status(), 401);
    assert_eq!(send(&layer, "another").await.status(), 200);
    revocations.revoke_user(ISSUER, "ada").await.unwrap();
    assert_eq!(send(&layer, "another").await.status(), 401);
    assert_eq!(server.asked(), 5);
}

#[tokio::test]
async fn an_opaque_token_that_is_bound_is_proved_each_time() {
    let server = Server::default();
    let layer = BearerLayer::opaque(Introspection::new(issuer(), server.clone())).unwrap();
    let layer = layer.clock(ManualClock::default()).certificates(ClientCertificates::of_connection());
    let layer = layer.dpop(Replays::new(Mood::Waits).dpop()).unwrap();
    server.knows("bound", json!({ "sub": "ada", "cnf": { "jkt": ADA.jkt() } }));
    let certificate = ClientCertificate::from_der("Ada's");
    let print = crate::mint::b64(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"Ada's").as_ref());
    server.knows("tls", json!({ "sub": "ada", "cnf": { "x5t#S256": print } }));
    for time in ["new", "known"] {
        let proof = ADA.proof("bound");
        let with = |proofs: &[&str]| request("DPoP bound", proofs);
        assert_eq!(call(&layer, with(&[&proof])).await.status(), 200, "{time}");
        assert_eq!(call(&layer, with(&[&proof])).await.status(), 401, "{time}, again");
        assert_eq!(call(&layer, with(&[])).await.status(), 401, "{time}, without");
        assert_eq!(send(&layer, "bound").await.status(), 401, "{time}, as Bearer");
        let mut tls = request("Bearer tls", &[]);
        assert_eq!(call(&layer, tls.clone()).await.status(), 401, "{time}, no certificate");
        tls.extensions_mut().insert(certificate);
        assert_eq!(call(&layer, tls).await.status(), 200, "{time}, its certificate");
    }
    assert_eq!(server.asked(), 2);
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() {
    use BuildErrorKind::*;
    let of = |issuer| Introspection::new(issuer, Server::default());
    let named = |name: &str| Issuer::new(name, Audience::one_of(["api"]));
    let over = Duration::from_secs(61);
    for (name, introspection, expected) in [
        ("keys", of(named(ISSUER).keys(jwks([ES256.jwk("k")]))), BadIntrospection),
        ("algorithms", of(named(ISSUER).algorithms([Algorithm::ES256])), BadIntrospection),
        ("no name", of(named("")), BadIntrospection),
        (
            "many names",
            of(Issuer::templated(
                "https://idp.example/{tid}",
                Tenants::list(["t"]),
                Audience::one_of(["api"]),
            )),
            BadIntrospection,
        ),
        ("no audience", of(Issuer::new(ISSUER, Audience::one_of([""]))), BadAudience),
        ("a long leeway", of(named(ISSUER).leeway(Duration::from_secs(301))), LeewayTooLong),
        ("an old answer", of(named(ISSUER)).max_age(over), BadIntrospection),
        ("an old refusal", of(named(ISSUER)).max_age_of_refusals(over), BadIntrospection),
        ("no calls", of(named(ISSUER)).max_calls(0), BadIntrospection),
    ] {
        assert_eq!(BearerLayer::opaque(introspection).unwrap_err().kind(), expected, "{name}");
    }
    let layer = BearerLayer::new([ES256.issuer()]).unwrap();
    let refused = layer.introspection(OpaqueTokens::with_prefix(""), of(named(ISSUER))).unwrap_err();
    assert_eq!(refused.kind(), BadIntrospection);
}
