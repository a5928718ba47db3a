//! The layers together, on one axum router: session, bearer, CSRF, and guards per route; one by one, and as `AuthLayer`.

mod misassembly;
mod return_to;

use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis::bearer::{Audience, Issuer, StaticKeys};
use portcullis::session::{SessionKey, SessionLayer};
use portcullis::{AuthLayer, BearerLayer, CsrfLayer, Identity, RequireLayer, Session};
use portcullis_testkit::client::Client;
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde_json::json;

use crate::support::app::now;
use crate::support::store::{AnyStore, PATIENCE};

const ISSUER: &str = "https://app.example";
const MOVED: SessionKey<i64> = SessionKey::new("moved");

/// How the layers are put around the routes.
#[derive(Clone, Copy, Debug)]
enum Assembly {
    OneByOne,
    Composite,
    /// Around the routes, and once more around all of it.
    Twice,
}

fn app(store: &AnyStore, issuer: &TestIssuer, assembly: Assembly) -> Router {
    let clock = now();
    let session =
        SessionLayer::builder(store.clone()).clock(clock).issuer(ISSUER).budget(PATIENCE).build().unwrap();
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
    let bearer = BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)]).unwrap();
    let routes = Router::new()
        .route("/login/{user}", post(login))
        .route("/me", get(me))
        .route("/transfer", post(transfer))
        .route("/moved", get(moved))
        .route("/scoped", get(async || "ok").layer(RequireLayer::authenticated().scope("admin")));
    let auth = AuthLayer::builder().csrf(CsrfLayer::new()).bearer(bearer.clone()).session(session.clone());
    let auth = auth.build().unwrap();
    match assembly {
        Assembly::OneByOne => routes.layer(CsrfLayer::new()).layer(bearer).layer(session),
        Assembly::Composite => routes.layer(auth),
        Assembly::Twice => routes.layer(auth.clone()).layer(auth),
    }
}

async fn login(
    session: Session,
    axum::extract::Path(user): axum::extract::Path<String>,
) -> Result<(), portcullis::session::SessionError> {
    session.login(Identity::new(user).role("user")).await
}

async fn me(me: Identity) -> Json<serde_json::Value> {
    let roles: Vec<&str> = me.roles().collect();
    let scopes: Vec<&str> = me.scopes().collect();
    Json(json!({
        "subject": me.subject(), "issuer": me.issuer(), "method": format!("{:?}", me.method()),
        "roles": roles, "scopes": scopes,
    }))
}

async fn transfer(session: Session, _: Identity) -> Result<(), portcullis::session::SessionError> {
    session.increment(&MOVED, 1)
}

async fn moved(session: Session) -> Result<String, portcullis::session::SessionError> {
    Ok(session.get(&MOVED)?.unwrap_or_default().to_string())
}

struct Stage {
    client: Client<Router>,
    issuer: TestIssuer,
}

impl Stage {
    /// A browser in which ada is signed in.
    async fn new(store: &AnyStore, assembly: Assembly) -> Self {
        let issuer = TestIssuer::new(ISSUER, "api");
        let client = Client::new(app(store, &issuer, assembly));
        client.post("/login/ada").await.assert_status(200);
        Self { client, issuer }
    }

    fn token(&self, subject: &str) -> String {
        self.issuer.token(json!({ "sub": subject, "scope": "read" })).to_string()
    }
}

async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(Stage) -> F) {
    for assembly in [Assembly::OneByOne, Assembly::Composite, Assembly::Twice] {
        for store in AnyStore::each(&now()) {
            println!("{assembly:?} on {store:?}");
            test(Stage::new(&store, assembly).await).await;
        }
    }
}

#[tokio::test]
async fn a_cross_site_post_with_the_cookie_is_refused_and_changes_nothing() {
    on_each_store(|stage| async move {
        // A SameSite=Lax cookie does not even come along; one that does must not help either.
        let cookie = format!("__Host-id={}", stage.client.jar().get("__Host-id").unwrap());
        let evil = stage
            .client
            .post("/transfer")
            .from_origin("https://evil.example")
            .header("cookie", cookie.as_str());
        evil.await.assert_status(403);
        assert_eq!(stage.client.get("/moved").await.text(), "0");
        stage.client.post("/transfer").await.assert_status(200);
        assert_eq!(stage.client.get("/moved").await.text(), "1");
    })
    .await;
}

#[tokio::test]
async fn the_same_post_with_a_bearer_token_passes() {
    on_each_store(|stage| async move {
        let evil = stage.client.post("/transfer").from_origin("https://evil.example").without_cookies();
        evil.bearer(stage.token("ada")).await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn a_bad_bearer_beside_a_good_session_is_401() {
    on_each_store(|stage| async move {
        let bad = stage.issuer.token(json!({ "sub": "ada" })).tampered().to_string();
        let response = stage.client.get("/me").bearer(bad).await.assert_status(401);
        let challenge = response.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains(r#"error="invalid_token""#),
            "{challenge}"
        );
        stage.client.get("/me").await.assert_status(200);
    })
    .await;
}

#[tokio::test]
async fn cookie_and_bearer_of_one_person_are_one_person_and_nothing_is_merged() {
    on_each_store(|stage| async move {
        let response = stage.client.get("/me").bearer(stage.token("ada")).await.assert_status(200);
        assert_eq!(
            response.json::<serde_json::Value>(),
            json!({ "subject": "ada", "issuer": ISSUER, "method": "Bearer", "roles": [], "scopes": ["read"] })
        );
        let response = stage.client.get("/me").await.assert_status(200);
        assert_eq!(
            response.json::<serde_json::Value>(),
            json!({ "subject": "ada", "issuer": ISSUER, "method": "Session", "roles": ["user"], "scopes": [] })
        );
    })
    .await;
}

#[tokio::test]
async fn credentials_of_two_users_are_a_conflict() {
    on_each_store(|stage| async move {
        stage.client.get("/me").bearer(stage.token("grace")).await.assert_status(400);
    })
    .await;
}

#[tokio::test]
async fn a_401_lists_every_scheme_and_names_no_scope() {
    on_each_store(|stage| async move {
        let response = stage.client.get("/scoped").without_cookies().await.assert_status(401);
        let challenges: Vec<_> = response.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges.len(), 2, "{challenges:?}");
        assert!(challenges.iter().all(|challenge| !challenge.to_str().unwrap().contains("scope=")));

        let response = stage.client.get("/scoped").without_cookies().bearer(stage.token("ada")).await;
        let challenge = response.assert_status(403);
        assert!(challenge.header("www-authenticate").unwrap().contains(r#"scope="admin""#));
    })
    .await;
}
