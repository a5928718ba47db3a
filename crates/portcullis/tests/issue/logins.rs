//! One login, one logout: session, refresh tokens, access tokens and job tickets end together.

use axum::Router;
use axum::routing::post;
use http::header::{COOKIE, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use portcullis::bearer::TokenSource;
use portcullis::issue::{
    Grant, JobRequest, JobTickets, RefreshRequest, TicketErrorKind, TokenCookies, TokenPair,
};
use portcullis::session::{Limit, MemoryBackend, Sessions, User};
use portcullis::{BearerLayer, CsrfLayer, Identity, Session, SessionLayer};
use portcullis_store::StoreErrorKind;
use std::sync::{Arc, Mutex};
use tower::{Layer, ServiceExt};

use crate::common::ISSUER;
use crate::refresh::Stage;

struct App {
    stage: Arc<Stage>,
    sessions: Sessions,
    router: Router,
    pairs: Arc<Mutex<Vec<TokenPair>>>,
}

impl App {
    fn new(limit: Option<u32>) -> Self {
        let stage = Arc::new(Stage::new());
        let mut layer = SessionLayer::builder(MemoryBackend::with_clock(stage.clock.clone()))
            .clock(stage.clock.clone())
            .issuer(ISSUER)
            .dependents(stage.revocations.clone());
        if let Some(max) = limit {
            layer = layer.limit(Limit::evict_oldest(max));
        }
        let layer = layer.build().unwrap();
        let pairs: Arc<Mutex<Vec<TokenPair>>> = Arc::default();
        let (kept, refresh) = (Arc::clone(&pairs), stage.refresh.clone());
        let login = move |session: Session| {
            let (kept, refresh) = (Arc::clone(&kept), refresh.clone());
            async move {
                session.login(Identity::new("ada").scope("read").build()).await.unwrap();
                let sid = session.session_ref().unwrap();
                let grant = Grant::new("ada", "web").scope("read").sid(sid);
                let pair = refresh.begin(&grant).await.unwrap();
                kept.lock().unwrap().push(pair);
            }
        };
        let logout = async |session: Session| match session.logout().await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let jobs = JobTickets::builder(stage.refresh.issuer(), "jobs").build().unwrap();
        let job = move |me: Identity| {
            let jobs = jobs.clone();
            async move { jobs.issue(&JobRequest::of(&me)).await.unwrap().as_str().to_owned() }
        };
        let router = Router::new()
            .route("/job", post(job))
            .route("/login", post(login))
            .route("/logout", post(logout))
            .route(
                "/everywhere",
                post(async |session: Session| session.devices().revoke_all().await.unwrap()),
            )
            .route(
                "/elsewhere",
                post(async |session: Session| session.devices().revoke_others().await.unwrap()),
            )
            .layer(layer.clone());
        Self { stage, sessions: Sessions::of(&layer), router, pairs }
    }

    async fn post(&self, path: &str, cookie: Option<&str>) -> Response<axum::body::Body> {
        let mut request = Request::post(path);
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        self.router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap()
    }

    /// Signs in, over a session if there is one; the cookie, and the tokens.
    async fn login(&self, cookie: Option<&str>) -> (String, TokenPair) {
        let response = self.post("/login", cookie).await;
        assert_eq!(response.status(), 200);
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        (cookie, self.pairs.lock().unwrap().last().unwrap().clone())
    }

    async fn is_alive(&self, pair: &TokenPair) -> bool {
        let accepted = self.stage.accepts(pair).await;
        let request = RefreshRequest::new(pair.refresh_token(), "web");
        let refreshed = self.stage.refresh.refresh(request).await.is_ok();
        assert_eq!(accepted, refreshed, "access and refresh token live and end together");
        accepted
    }
}

#[tokio::test]
async fn whatever_ends_a_session_ends_its_tokens_and_no_others() {
    for way in ["logout", "revoke", "durable_revoke", "elsewhere", "another login", "limit"] {
        let app = App::new((way == "limit").then_some(2));
        let (cookie, pair) = app.login(None).await;
        app.stage.clock.advance(crate::common::secs(1));
        let (elsewhere, other) = app.login(None).await;
        assert!(app.is_alive(&pair).await && app.is_alive(&other).await);
        let user = User::new("ada").issuer(ISSUER);
        match way {
            "logout" => assert_eq!(app.post("/logout", Some(&cookie)).await.status(), 204),
            "revoke" => app.sessions.revoke(&user, pair.sid()).await.unwrap(),
            "durable_revoke" => _ = app.sessions.durable_revoke(&user, pair.sid(), 0).await.unwrap(),
            "elsewhere" => assert_eq!(app.post("/elsewhere", Some(&elsewhere)).await.status(), 200),
            "another login" => _ = app.login(Some(&cookie)).await,
            _ => _ = app.login(None).await,
        }
        assert!(!app.is_alive(&pair).await, "{way}");
        assert!(app.is_alive(&other).await, "{way}");
    }
}

#[tokio::test]
async fn whatever_ends_all_of_a_user_ends_tokens_without_a_session_too() {
    for way in ["everywhere", "revoke_all", "durable_revoke_all", "bump"] {
        let app = App::new(None);
        let (cookie, pair) = app.login(None).await;
        let alone = app.stage.login().await;
        let user = User::new("ada").issuer(ISSUER);
        match way {
            "everywhere" => assert_eq!(app.post("/everywhere", Some(&cookie)).await.status(), 200),
            "revoke_all" => _ = app.sessions.revoke_all(&user).await.unwrap(),
            "durable_revoke_all" => _ = app.sessions.durable_revoke_all(&user, 0).await.unwrap(),
            _ => app.sessions.bump(&user).await.unwrap(),
        }
        for pair in [&pair, &alone] {
            assert!(!app.is_alive(pair).await, "{way}");
        }
        let (_, next) = app.login(None).await;
        assert!(app.is_alive(&next).await, "{way}: who signs in again");
    }
}

#[tokio::test]
async fn a_session_whose_tokens_cannot_be_ended_goes_on_and_says_so() {
    let app = App::new(None);
    let (cookie, pair) = app.login(None).await;
    app.stage.store.fail(Some(StoreErrorKind::Unavailable));
    assert_eq!(app.post("/logout", Some(&cookie)).await.status(), 503);
    app.stage.store.fail(None);
    assert!(app.is_alive(&pair).await);
    assert_eq!(app.sessions.list(&User::new("ada").issuer(ISSUER)).await.unwrap().len(), 1);
    assert_eq!(app.post("/logout", Some(&cookie)).await.status(), 204);
    assert!(!app.is_alive(&pair).await);
}

#[tokio::test]
async fn revoking_tokens_leaves_the_session_above_them() {
    let app = App::new(None);
    let (_, pair) = app.login(None).await;
    app.stage.revocations.revoke_family(ISSUER, "ada", pair.sid()).await.unwrap();
    assert!(!app.is_alive(&pair).await);
    assert_eq!(app.sessions.list(&User::new("ada").issuer(ISSUER)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_of_a_session_is_void_when_the_session_ends() {
    let app = App::new(None);
    let jobs = JobTickets::builder(app.stage.refresh.issuer(), "jobs").build().unwrap();
    let (cookie, _) = app.login(None).await;
    let response = app.post("/job", Some(&cookie)).await;
    assert_eq!(response.status(), 200);
    let ticket = response.into_body().collect().await.unwrap().to_bytes();
    let ticket = std::str::from_utf8(&ticket).unwrap();
    assert_eq!(jobs.accept(ticket).await.unwrap().subject(), "ada");
    app.post("/logout", Some(&cookie)).await;
    assert_eq!(jobs.accept(ticket).await.unwrap_err().kind(), TicketErrorKind::Revoked);
}

/// A client in a browser: its access token is in a cookie, so other sites could have it sent.
#[tokio::test]
async fn tokens_in_cookies_are_ambient_and_need_proof_of_origin() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut answered = Response::new(());
    TokenCookies::set(&login, answered.headers_mut());
    let set: Vec<_> = answered.headers().get_all(SET_COOKIE).iter().map(|it| it.to_str().unwrap()).collect();
    assert_eq!(set.len(), 2);
    for (cookie, start, same_site, age) in
        [(set[0], "__Host-access=ey", "Lax", 600), (set[1], "__Host-refresh=rt1.", "Strict", 7 * 24 * 3600)]
    {
        assert!(cookie.starts_with(start), "{cookie}");
        assert!(
            cookie.ends_with(&format!("; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={age}")),
            "{cookie}"
        );
    }
    assert_eq!(answered.headers()["cache-control"], "no-store");
    let jar: Vec<_> = set.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();

    let source = TokenSource::cookie(TokenCookies::ACCESS).unwrap();
    let bearer: BearerLayer = stage.bearer.clone().add_source(source);
    let inner = Router::new().route("/", post(async |me: Identity| me.subject().to_owned()));
    let service = bearer.layer(CsrfLayer::new().layer(inner));
    let send = async |origin: Option<&str>| {
        let mut request = Request::post("/").header(COOKIE, jar.join("; ")).header("host", "app.example");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let response =
            service.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    };
    assert_eq!(send(Some("https://app.example")).await, (200, "ada".into()));
    assert_eq!(send(Some("https://evil.example")).await.0, 403);
    assert_eq!(send(None).await.0, 403);
}
