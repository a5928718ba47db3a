//! The layers on frameworks besides those of the examples, over sockets.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: what goes wrong is a failed test"
)]

mod salvo;
mod warp;

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use portcullis::bearer::{Audience, BearerLayer, Issuer, StaticKeys};
use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis::{AuthLayer, CsrfLayer};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde_json::json;

const ISSUER: &str = "https://idp.example";

fn auth(issuer: &TestIssuer) -> AuthLayer {
    let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
    let bearer = BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)]).unwrap();
    let session = SessionLayer::new(MemoryBackend::new());
    AuthLayer::builder().session(session).bearer(bearer).csrf(CsrfLayer::new()).build().unwrap()
}

/// Nobody is refused with a challenge of each scheme, a bad token is, and whoever has a good one gets in.
async fn assert_protected(address: SocketAddr, issuer: &TestIssuer) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let ask = async |token: Option<String>| {
        let mut request = Request::get(format!("http://{address}/me"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        client.request(request.body(Full::default()).unwrap()).await.unwrap()
    };
    let nobody = ask(None).await;
    assert_eq!(nobody.status(), 401);
    assert_eq!(nobody.headers().get_all("www-authenticate").iter().count(), 2, "{nobody:?}");
    let good = || issuer.token(json!({ "sub": "ada" }));
    assert_eq!(ask(Some(good().tampered().to_string())).await.status(), 401);
    assert_eq!(ask(Some(good().to_string())).await.status(), 200);
}
