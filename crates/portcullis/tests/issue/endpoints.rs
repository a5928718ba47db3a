//! The endpoints: what clients are answered, good and bad.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Request, Response};
use http_body_util::Full;
use portcullis::bearer::Algorithm;
use portcullis::issue::{
    Checking, Clients, EndpointService, RefreshRequest, StaticClients, TokenEndpoints, TokenPair,
};
use portcullis_store::{Clock, StoreError, StoreErrorKind};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::{ISSUER, key, part, secs};
use crate::refresh::Stage;

type Body = Full<Bytes>;

struct Endpoints {
    stage: Stage,
    token: EndpointService<Bytes>,
    revocation: EndpointService<Bytes>,
    introspection: EndpointService<Bytes>,
}

const SECRET: &str = "a secret of+reports%";

impl Endpoints {
    fn new() -> Self {
        let stage = Stage::new();
        Self::with(stage, clients())
    }

    fn with(stage: Stage, clients: impl Clients) -> Self {
        let endpoints = TokenEndpoints::new(&stage.refresh, clients).unwrap();
        Self {
            token: endpoints.token_service(),
            revocation: endpoints.revocation_service(),
            introspection: endpoints.introspection_service(),
            stage,
        }
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        let form = format!("grant_type=refresh_token&client_id=web&refresh_token={token}");
        answer(post(&self.token, &form).await)
    }

    async fn introspect(&self, token: &str) -> Value {
        let (status, body) =
            answer(post_as(&self.introspection, &format!("token={token}"), &reports()).await);
        assert_eq!(status, 200);
        body
    }
}

fn clients() -> StaticClients {
    let clients = StaticClients::new().public("web").public("mobile").confidential("reports", SECRET);
    clients.confidential("reports: daily", SECRET)
}

fn reports() -> String {
    // Both halves are encoded like values of a form.
    basic("reports", "a+secret+of%2Breports%25")
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn form(text: &str) -> Request<Body> {
    let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(Full::new(Bytes::from(text.to_owned()))).unwrap()
}

async fn post(service: &EndpointService<Bytes>, text: &str) -> Response<Bytes> {
    service.clone().oneshot(form(text)).await.unwrap()
}

async fn post_as(service: &EndpointService<Bytes>, text: &str, authorization: &str) -> Response<Bytes> {
    let mut request = form(text);
    request.headers_mut().insert(AUTHORIZATION, authorization.parse().unwrap());
    service.clone().oneshot(request).await.unwrap()
}

/// Status and document; every answer is for its client alone.
fn answer(response: Response<Bytes>) -> (u16, Value) {
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[PRAGMA], "no-cache", "RFC 6749, section 5.1");
    let document = if response.body().is_empty() {
        Value::Null
    } else {
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        serde_json::from_slice(response.body()).unwrap()
    };
    (response.status().as_u16(), document)
}

fn error(name: &str) -> (u16, Value) {
    (400, json!({ "error": name }))
}

#[tokio::test]
async fn a_refresh_answers_as_rfc_6749_says() {
    let endpoints = Endpoints::new();
    let login = endpoints.stage.login().await;
    let (status, document) = endpoints.refresh(login.refresh_token()).await;
    assert_eq!(status, 200);
    let next = document["refresh_token"].as_str().unwrap();
    assert_ne!(next, login.refresh_token());
    assert_eq!(
        document,
        json!({
            "access_token": document["access_token"],
            "token_type": "Bearer",
            "expires_in": 600,
            "refresh_token": next,
            "scope": "read write",
        })
    );
    let narrow = format!("grant_type=refresh_token&client_id=web&refresh_token={next}&scope=read");
    let (status, document) = answer(post(&endpoints.token, &narrow).await);
    assert_eq!((status, &document["scope"]), (200, &json!("read")));
}

#[tokio::test]
async fn everything_bad_has_its_error() {
    let endpoints = Endpoints::new();
    let stage = &endpoints.stage;
    let login = stage.login().await;
    let token = login.refresh_token();
    let good = format!("grant_type=refresh_token&client_id=web&refresh_token={token}");
    let unknown_client = (401, json!({ "error": "invalid_client" }));
    for (name, form, expected) in [
        ("no grant type", format!("client_id=web&refresh_token={token}"), error("invalid_request")),
        ("another grant type", good.replace("refresh_token&", "password&"), error("unsupported_grant_type")),
        ("no token", "grant_type=refresh_token&client_id=web".into(), error("invalid_request")),
        (
            "an empty token",
            "grant_type=refresh_token&client_id=web&refresh_token=".into(),
            error("invalid_request"),
        ),
        ("a parameter twice", format!("{good}&client_id=web"), error("invalid_request")),
        ("a malformed form", format!("{good}&x=%f"), error("invalid_request")),
        ("more scope", format!("{good}&scope=admin"), error("invalid_scope")),
        ("another client", good.replace("=web", "=mobile"), error("invalid_grant")),
        ("a changed token", format!("{good}x"), error("invalid_grant")),
        ("an access token", good.replace(token, login.access().as_str()), error("invalid_grant")),
        ("an unknown client", good.replace("=web", "=nobody"), unknown_client.clone()),
        ("no client", good.replace("client_id=web&", ""), unknown_client.clone()),
        ("a public client with a secret", format!("{good}&client_secret=x"), unknown_client.clone()),
        ("a confidential one without", good.replace("=web", "=reports"), unknown_client),
        (
            "too long",
            format!("{good}&x={}", "y".repeat(16 * 1024)),
            (413, json!({ "error": "invalid_request" })),
        ),
    ] {
        assert_eq!(answer(post(&endpoints.token, &form).await), expected, "{name}");
    }
    let mut json_body = form(&good);
    json_body.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    let refused = endpoints.token.clone().oneshot(json_body).await.unwrap();
    assert_eq!(answer(refused), error("invalid_request"), "no form");
    let read =
        endpoints.token.clone().oneshot(Request::get("/?".to_owned() + &good).body(Body::default()).unwrap());
    let read = read.await.unwrap();
    assert_eq!((read.status().as_u16(), &read.headers()[ALLOW]), (405, &"POST".parse().unwrap()));

    assert_eq!(endpoints.refresh(token).await.0, 200, "after all of it the token is as good as before");
    stage.clock.advance(secs(10));
    assert_eq!(endpoints.refresh(token).await, error("invalid_grant"), "it was used");
}

#[tokio::test]
async fn clients_prove_themselves_by_header_or_form_and_not_by_both() {
    let endpoints = Endpoints::new();
    let ask = async |form: &str, authorization: Option<&str>| match authorization {
        Some(authorization) => post_as(&endpoints.introspection, form, authorization).await,
        None => post(&endpoints.introspection, form).await,
    };
    let good_of = |id: &str| basic(id, "a+secret+of%2Breports%25");
    let good = reports();
    let in_form = "token=x&client_id=reports&client_secret=a+secret+of%2Breports%25";
    for (name, form, authorization, expected) in [
        ("by header", "token=x", Some(&*good), 200),
        ("by header, named twice", "token=x&client_id=reports", Some(&good), 200),
        ("a colon in the name", "token=x", Some(&*good_of("reports%3A+daily")), 200),
        ("by form", in_form, None, 200),
        ("by both", in_form, Some(&good), 400),
        ("two names", "token=x&client_id=web", Some(&good), 400),
        ("a wrong secret", "token=x", Some(&*basic("reports", "wrong")), 401),
        ("an empty secret", "token=x", Some(&*basic("reports", "")), 401),
        ("nobody", "token=x", Some(&*basic("nobody", "x")), 401),
        ("no base64", "token=x", Some("Basic ***"), 401),
        ("another scheme", "token=x", Some("Bearer x"), 401),
        ("another scheme before the same", "token=x", Some(&*good.replace("Basic", "Token")), 401),
    ] {
        let response = ask(form, authorization).await;
        assert_eq!(response.status().as_u16(), expected, "{name}");
        let challenged = response.headers().contains_key(WWW_AUTHENTICATE);
        assert_eq!(challenged, expected == 401, "{name}: a challenge");
    }
    let mut twice = form("token=x");
    twice.headers_mut().append(AUTHORIZATION, good.parse().unwrap());
    twice.headers_mut().append(AUTHORIZATION, good.parse().unwrap());
    assert_eq!(endpoints.introspection.clone().oneshot(twice).await.unwrap().status(), 400);
    let short = StaticClients::new().confidential("reports", "short");
    let short = Endpoints::with(Stage::new(), short);
    let response = post_as(&short.introspection, "token=x", &basic("reports", "short")).await;
    assert_eq!(response.status(), 401, "a short secret is none");
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_the_family_and_an_access_token_itself() {
    let endpoints = Endpoints::new();
    let stage = &endpoints.stage;
    let revoke = async |token: &str, client: &str| {
        answer(post(&endpoints.revocation, &format!("client_id={client}&token={token}")).await)
    };
    let login = stage.login().await;
    for (name, token) in [("nonsense", "x"), ("forged", &*format!("{}x", login.refresh_token()))] {
        assert_eq!(revoke(token, "web").await, (200, Value::Null), "{name}");
    }
    for token in [login.refresh_token(), login.access().as_str()] {
        assert_eq!(revoke(token, "mobile").await, (200, Value::Null), "of another client");
    }
    assert!(stage.accepts(&login).await);

    let pair = stage.login().await;
    assert_eq!(revoke(pair.access().as_str(), "web").await, (200, Value::Null));
    assert!(!stage.accepts(&pair).await, "the access token itself");
    assert_eq!(endpoints.refresh(pair.refresh_token()).await.0, 200, "and not its family");

    assert_eq!(revoke(login.refresh_token(), "web").await, (200, Value::Null));
    assert!(!stage.accepts(&login).await);
    assert_eq!(endpoints.refresh(login.refresh_token()).await, error("invalid_grant"));
    assert_eq!(revoke(login.refresh_token(), "web").await, (200, Value::Null), "once more");
    assert_eq!(answer(post(&endpoints.revocation, "client_id=web").await), error("invalid_request"));
}

#[tokio::test]
async fn introspection_tells_confidential_clients_what_a_good_token_says() {
    let endpoints = Endpoints::new();
    let stage = &endpoints.stage;
    let login = stage.login().await;
    let claims = endpoints.introspect(login.access().as_str()).await;
    assert_eq!(
        (&claims["active"], &claims["sub"], &claims["scope"]),
        (&json!(true), &json!("ada"), &json!("read write"))
    );
    assert_eq!((&claims["iss"], &claims["jti"]), (&json!(ISSUER), &json!(login.access().id())));

    let grant = portcullis::issue::Grant::new("ada", "reports").scope("read");
    let own: TokenPair = stage.refresh.begin(&grant).await.unwrap();
    let claims = endpoints.introspect(own.refresh_token()).await;
    assert_eq!(
        (&claims["active"], &claims["client_id"], &claims["sid"]),
        (&json!(true), &json!("reports"), &json!(own.sid()))
    );
    let lasts = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(end, begun)| end - begun);
    assert_eq!(lasts, Some(7 * 24 * 3600), "as it is if nobody uses it");

    let inactive = json!({ "active": false });
    let next = stage.refresh.refresh(RefreshRequest::new(own.refresh_token(), "reports")).await.unwrap();
    assert_eq!(endpoints.introspect(own.refresh_token()).await, inactive, "used, if within the grace");
    let own = next;
    assert_eq!(endpoints.introspect(own.refresh_token()).await["active"], true);
    assert_eq!(endpoints.introspect("x").await, inactive);
    assert_eq!(endpoints.introspect(login.refresh_token()).await, inactive, "another client's refresh token");
    stage.revocations.revoke_family(ISSUER, "ada", login.sid()).await.unwrap();
    assert_eq!(endpoints.introspect(login.access().as_str()).await, inactive, "revoked");
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    assert_eq!(endpoints.introspect(own.refresh_token()).await, inactive, "revoked with its user");
    let public = answer(post(&endpoints.introspection, "client_id=web&token=x").await);
    assert_eq!(public, (401, json!({ "error": "invalid_client" })));
}

#[tokio::test]
async fn what_a_later_key_for_another_algorithm_has_signed_is_looked_up_and_revoked_like_any() {
    let (stage, ring) = Stage::with_ring();
    let endpoints = Endpoints::with(stage, clients());
    let stage = &endpoints.stage;
    ring.add_at(key(Algorithm::EdDSA), stage.clock.now()).unwrap();
    let login = stage.login().await;
    let token = login.access().as_str();
    assert_eq!(part(token, 0)["alg"], "EdDSA");
    assert!(stage.accepts(&login).await);
    assert_eq!(endpoints.introspect(token).await["active"], true);
    let revoked = answer(post(&endpoints.revocation, &format!("client_id=web&token={token}")).await);
    assert_eq!(revoked, (200, Value::Null));
    assert!(!stage.accepts(&login).await, "and not only said to be");
}

#[tokio::test]
async fn while_the_store_is_away_every_endpoint_answers_503() {
    let endpoints = Endpoints::new();
    let login = endpoints.stage.login().await;
    endpoints.stage.store.fail(Some(StoreErrorKind::Timeout));
    let token = login.refresh_token();
    let refresh =
        post(&endpoints.token, &format!("grant_type=refresh_token&client_id=web&refresh_token={token}"))
            .await;
    assert_eq!(refresh.headers()[RETRY_AFTER], "1");
    let revoke = post(&endpoints.revocation, &format!("client_id=web&token={token}")).await;
    let introspect =
        post_as(&endpoints.introspection, &format!("token={}", login.access().as_str()), &reports()).await;
    let access = format!("client_id=web&token={}", login.access().as_str());
    let revoke_access = post(&endpoints.revocation, &access).await;
    for response in [refresh, revoke, revoke_access, introspect] {
        assert_eq!(answer(response).0, 503);
    }
    endpoints.stage.store.fail(None);
    assert_eq!(endpoints.refresh(token).await.0, 200);
}

/// Clients in a database that is away.
struct Away;

impl Clients for Away {
    fn check<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> Checking<'a> {
        Checking::Pending(Box::pin(async { Err(StoreError::new(StoreErrorKind::Unavailable)) }))
    }
}

#[tokio::test]
async fn while_it_is_not_known_who_the_clients_are_it_is_503() {
    let endpoints = Endpoints::with(Stage::new(), Away);
    assert_eq!(endpoints.refresh("x").await.0, 503);
}
