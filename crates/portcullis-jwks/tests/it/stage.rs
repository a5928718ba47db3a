//! A service that trusts a fake provider, and what is asked of it.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use portcullis::BearerLayer;
use portcullis::bearer::{Audience, Issuer, KeySource, KeyState};
use portcullis::identity::IdentityExt;
use portcullis_jwks::RemoteJwks;
use portcullis_testkit::idp::FakeIdp;
use serde_json::json;
use tower::ServiceExt;

/// A service, and the provider that it trusts.
pub(crate) struct Stage {
    pub(crate) idp: FakeIdp,
    pub(crate) source: RemoteJwks,
    pub(crate) layer: BearerLayer,
    pub(crate) app: Router,
}

impl Stage {
    /// The provider is there, and has been asked once.
    pub(crate) async fn warm() -> Self {
        let stage = Self::of(FakeIdp::start("api").await);
        stage.layer.ready().await.unwrap();
        assert_eq!(stage.idp.fetches(), 1);
        stage
    }

    pub(crate) fn of(idp: FakeIdp) -> Self {
        let source = RemoteJwks::builder(idp.jwks_url()).insecure_http().build().unwrap();
        Self::with(idp, source)
    }

    pub(crate) fn with(idp: FakeIdp, source: RemoteJwks) -> Self {
        let issuer = Issuer::new(idp.url(), Audience::one_of(["api"])).keys(source.clone());
        let layer = BearerLayer::new([issuer]).unwrap();
        let app = Router::new().route("/", get(me)).layer(layer.clone());
        Self { idp, source, layer, app }
    }

    /// A token that is good at the moment.
    pub(crate) fn token(&self) -> String {
        self.idp.token(json!({}))
    }

    /// A token that names a key which the provider does not have.
    pub(crate) fn stray(&self, kid: &str) -> String {
        self.idp.issuer().token(json!({})).header("kid", kid).to_string()
    }

    pub(crate) async fn send(&self, token: &str) -> Response<Body> {
        self.send_as(token, "application/json").await
    }

    pub(crate) async fn send_as(&self, token: &str, content_type: &str) -> Response<Body> {
        let request = Request::get("/")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, content_type);
        self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// The status that a token gets.
    pub(crate) async fn status(&self, token: &str) -> u16 {
        self.send(token).await.status().as_u16()
    }

    /// The token is good, and its user known.
    pub(crate) async fn admits(&self, token: &str) {
        let response = self.send(token).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!((status.as_u16(), &body[..]), (200, &b"ada"[..]));
    }

    pub(crate) fn state(&self) -> KeyState {
        self.source.health().state
    }
}

async fn me(request: Request<Body>) -> String {
    request.identity().map_or("nobody", |me| me.subject()).to_owned()
}

/// Waits until it is so. Of what happens in the source's own time there is nothing to be notified by.
pub(crate) async fn until<F: Future<Output = bool>>(mut so: impl FnMut() -> F) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it never comes to that");
}

pub(crate) fn retry_after(response: &Response<Body>) -> u64 {
    response.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap()
}
