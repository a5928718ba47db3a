//! [`Site`]: a service with sessions, pages and forms, and browsers that use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use portcullis::axum::CsrfForm;
use portcullis::bearer::{Audience, BearerLayer, Issuer, StaticKeys};
use portcullis::csrf::{CsrfKeys, CsrfToken};
use portcullis::rejection::{CsrfReason, Rejection};
use portcullis::session::{MemoryBackend, SessionError, SessionKey, SessionLayer};
use portcullis::{CsrfLayer, Identity, Session};
use portcullis_store::SessionBackend;
use portcullis_testkit::client::{self, Client, Response};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde::Deserialize;
use serde_json::json;
use tower::ServiceBuilder;

pub(crate) const KEY: [u8; 32] = [1; 32];
pub(crate) const NOTE: SessionKey<String> = SessionKey::new("note");

pub(crate) type Browser = Client<Router>;
pub(crate) type Request = client::Request<Router, Full<Bytes>>;

/// A service, and how often its forms were acted upon.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) router: Router,
    runs: Arc<AtomicUsize>,
}

/// What a form holds; it takes no field that it does not know.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    pub(crate) to: String,
}

/// A program that signs its requests by a bearer token.
pub(crate) struct Program(TestIssuer);

impl Program {
    const ISSUER: &str = "https://idp.example";

    pub(crate) fn new() -> Self {
        Self(TestIssuer::new(Self::ISSUER, "api"))
    }

    /// What knows it.
    pub(crate) fn layer(&self) -> BearerLayer {
        let keys = StaticKeys::jwks(&self.0.jwks_of(&[Algorithm::Es256])).unwrap();
        BearerLayer::new([Issuer::new(Self::ISSUER, Audience::one_of(["api"])).keys(keys)]).unwrap()
    }

    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.token())
    }

    pub(crate) fn token(&self) -> String {
        self.0.token(json!({ "sub": "robot" })).to_string()
    }
}

pub(crate) fn layer() -> CsrfLayer {
    CsrfLayer::new().tokens(CsrfKeys::new(KEY)).unwrap()
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(MemoryBackend::new(), layer())
    }

    pub(crate) fn with(backend: impl SessionBackend, csrf: CsrfLayer) -> Self {
        let layers = ServiceBuilder::new().layer(SessionLayer::new(backend)).layer(csrf);
        let (router, runs) = routes();
        Self { router: router.layer(layers), runs }
    }

    pub(crate) fn browser(&self) -> Browser {
        Client::new(self.router.clone())
    }

    pub(crate) async fn signed_in(&self, user: &str) -> Browser {
        let browser = self.browser();
        browser.post(&format!("/login/{user}")).await.assert_status(200);
        browser
    }

    /// How often a form was acted upon since this was asked last.
    pub(crate) fn runs(&self) -> usize {
        self.runs.swap(0, Ordering::SeqCst)
    }
}

pub(crate) fn routes() -> (Router, Arc<AtomicUsize>) {
    let runs = Arc::<AtomicUsize>::default();
    let (ran, sent, sent_by_anybody) = (Arc::clone(&runs), Arc::clone(&runs), Arc::clone(&runs));
    let router = Router::new()
        .route("/page", get(page).post(page))
        .route("/plain", get(async || "no token here"))
        .route("/login/{user}", post(login))
        .route("/login-and-page/{user}", post(login_and_page))
        .route("/logout", post(async |session: Session| session.logout().await))
        .route("/logout-and-page", post(logout_and_page))
        .route("/rotate", post(async |session: Session| session.rotate().await))
        .route("/note", post(async |session: Session| session.set(&NOTE, &"mine".to_owned())))
        .route(
            "/run",
            post(async move |me: Option<Identity>| {
                ran.fetch_add(1, Ordering::SeqCst);
                name(me.as_ref())
            }),
        )
        .route(
            "/form",
            post(async move |CsrfForm(me, form): CsrfForm<Transfer>| {
                sent.fetch_add(1, Ordering::SeqCst);
                format!("{} to {}", me.subject(), form.to)
            }),
        )
        .route(
            "/anybodys-form",
            post(async move |CsrfForm(me, form): CsrfForm<Transfer, Option<Identity>>| {
                sent_by_anybody.fetch_add(1, Ordering::SeqCst);
                format!("{} to {}", name(me.as_ref()), form.to)
            }),
        );
    (router, runs)
}

pub(crate) fn name(me: Option<&Identity>) -> String {
    me.map_or("nobody", |me| me.subject()).to_owned()
}

async fn page(token: CsrfToken) -> String {
    token.value()
}

async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.login(Identity::new(user)).await
}

async fn login_and_page(
    session: Session,
    token: CsrfToken,
    Path(user): Path<String>,
) -> Result<String, SessionError> {
    session.login(Identity::new(user)).await?;
    Ok(token.value())
}

async fn logout_and_page(session: Session, token: CsrfToken) -> Result<String, SessionError> {
    session.logout().await?;
    Ok(token.value())
}

/// The token of a page that the browser has loaded.
pub(crate) async fn token(browser: &Browser) -> String {
    browser.get("/page").await.assert_status(200).text()
}

/// The request as an old browser sends it, or a proxy lets it through, which says nothing of where it comes from.
pub(crate) fn bare(request: Request) -> Request {
    request.without_header("origin").without_header("sec-fetch-site")
}

/// A script's request of an old browser that proves its origin by this token and nothing else.
pub(crate) async fn run(browser: &Browser, token: &str) -> Response {
    // An old browser that the page has told not to say where it comes from.
    let request = browser.post("/run").without_header("sec-fetch-site").header("origin", "null");
    request.header("x-csrf-token", token).await
}

pub(crate) fn reason(response: &Response) -> Option<CsrfReason> {
    match response.extensions.get::<Rejection>() {
        Some(Rejection::Csrf(reason)) => Some(*reason),
        _ => None,
    }
}

#[track_caller]
pub(crate) fn assert_refused(name: &str, response: &Response, expected: CsrfReason) {
    assert_eq!((response.status, reason(response)), (StatusCode::FORBIDDEN, Some(expected)), "{name}");
}
