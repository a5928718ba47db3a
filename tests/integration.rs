//! Every place where a layer can be put, on real servers: what is protected there, and what beside it is not.

mod axum;
mod beside;
mod hyper;
pub mod wire;

use std::net::{Ipv4Addr, SocketAddr};

use ::axum::Router;
use ::axum::routing::get;
use portcullis::bearer::{Audience, BearerLayer, Issuer, StaticKeys};
use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis::{AuthLayer, CsrfLayer, Identity, Session};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use serde_json::json;
use tokio::net::TcpListener;

use self::wire::{Answer, Wire};

const ISSUER: &str = "https://idp.example";

/// A service's layer, and what is good with it.
struct Stage {
    issuer: TestIssuer,
    auth: AuthLayer,
}

impl Stage {
    fn new() -> Self {
        let issuer = TestIssuer::new(ISSUER, "api");
        let keys = StaticKeys::jwks(&issuer.jwks_of(&[Algorithm::Es256])).unwrap();
        let bearer = BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)]).unwrap();
        let auth = AuthLayer::builder()
            .session(SessionLayer::new(MemoryBackend::new()))
            .bearer(bearer)
            .csrf(CsrfLayer::new())
            .build()
            .unwrap();
        Self { issuer, auth }
    }

    fn good(&self) -> String {
        format!("Bearer {}", self.issuer.token(json!({ "sub": "ada" })))
    }

    fn bad(&self) -> String {
        format!("Bearer {}", self.issuer.token(json!({ "sub": "ada" })).tampered())
    }

    /// Asserts what anybody reads at `/me` below `prefix`, over HTTP/1.1 and HTTP/2.
    async fn assert_protected(&self, name: &str, address: SocketAddr, prefix: &str) {
        for wire in [Wire::h1(address), Wire::h2(address)] {
            let me = format!("{prefix}/me");
            let nobody = wire.get(&me, &[]).await;
            assert_eq!((nobody.status, nobody.all("www-authenticate").len()), (401, 2), "{name}: {nobody:?}");
            assert_eq!(nobody.all("cache-control"), ["no-store"], "{name}");
            let bad = wire.get(&me, &[("authorization", &self.bad())]).await;
            assert_eq!(bad.status, 401, "{name}");
            assert!(bad.all("www-authenticate")[0].contains("invalid_token"), "{name}: {bad:?}");
            let good = wire.get(&me, &[("authorization", &self.good())]).await;
            assert_eq!((good.status, good.text.as_str()), (200, "ada"), "{name}");

            let cookie = sign_in(&wire, &format!("{prefix}/login")).await;
            let by_cookie = wire.get(&me, &[("cookie", &cookie)]).await;
            assert_eq!((by_cookie.status, by_cookie.text.as_str()), (200, "grace"), "{name}");
            let evil = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
            assert_eq!(wire.post(&me, &evil).await.status, 403, "{name}");
            let own = format!("http://{address}");
            let posted = wire.post(&me, &[("cookie", &cookie), ("origin", &own)]).await;
            assert_eq!((posted.status, posted.text.as_str()), (200, "posted"), "{name}");
        }
    }
}

async fn sign_in(wire: &Wire, path: &str) -> String {
    let answer: Answer = wire.get(path, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.all("set-cookie")[0].split(';').next().unwrap().to_owned()
}

/// `/me`, which somebody is asked for, and `/login`.
fn routes() -> Router {
    let login = async |session: Session| session.login(Identity::new("grace")).await;
    Router::new().route("/me", get(me).post(async |_: Identity| "posted")).route("/login", get(login))
}

async fn me(me: Identity) -> String {
    me.subject().to_owned()
}

/// Serves until the test ends.
pub async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { ::axum::serve(listener, app).await });
    address
}
