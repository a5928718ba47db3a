//! Behind a proxy that ends TLS: https is required by the proxy's word, and pages are known by their public origin.
//!
//! ```sh
//! PROXY=127.0.0.1 cargo run --example behind_proxy          # PORT, or 3011; ORIGIN, or https://www.example.com
//! URL=http://localhost:3011
//! curl -i $URL/                                             # 308 to https://www.example.com/
//! curl -i $URL/ -H 'X-Forwarded-Proto: https'               # as the proxy says it: 200, Strict-Transport-Security
//! curl -i $URL/ -H 'Forwarded: proto=https'                 # 308: not the header that the proxy sets
//! curl -i $URL/visit -d '' -H 'X-Forwarded-Proto: https' -H 'Origin: https://www.example.com'   # 200, a cookie
//! ```
//!
//! A proxy sets `X-Forwarded-Proto` on every request, whatever came in; in nginx:
//! `proxy_set_header X-Forwarded-Proto $scheme;`.
#![allow(clippy::print_stdout, reason = "a program says where to go")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

mod start;

use std::env;
use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use portcullis::https::ProxyHeader;
use portcullis::session::{MemoryBackend, SessionError, SessionKey};
use portcullis::{AuthLayer, CsrfLayer, RequireHttpsLayer, Session, SessionLayer};

use self::start::{Failure, listen};

type BoxError = Box<dyn Error + Send + Sync>;

const VISITS: SessionKey<i64> = SessionKey::new("visits");

/// A service at `origin`, behind a proxy at this address or in this network.
pub(crate) fn app(origin: &str, proxy: &str) -> Result<Router, BoxError> {
    let https = RequireHttpsLayer::builder(origin)
        .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.ip()))
        .behind(ProxyHeader::XForwardedProto, [proxy])
        .build()?;
    // The proxy may rewrite Host, so pages of this service are told by the origin that browsers know.
    let csrf = CsrfLayer::new().public_origin(origin)?.always();
    let sessions = SessionLayer::new(MemoryBackend::new());
    let auth = AuthLayer::builder().https(https).session(sessions).csrf(csrf).build()?;
    Ok(Router::new().route("/", get(async || "welcome\n")).route("/visit", post(visit)).layer(auth))
}

async fn visit(session: Session) -> Result<String, SessionError> {
    session.increment(&VISITS, 1)?;
    Ok(format!("visit {}\n", session.get(&VISITS)?.unwrap_or_default()))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let origin = env::var("ORIGIN").unwrap_or_else(|_| "https://www.example.com".to_owned());
    let proxy =
        env::var("PROXY").map_err(|_| "PROXY names the proxy's address or network: 127.0.0.1, 10.0.0.0/8")?;
    // So that layers know who has connected.
    let service = app(&origin, &proxy)?.into_make_service_with_connect_info::<SocketAddr>();
    let listener = listen(3011).await?;
    let port = listener.local_addr()?.port();
    println!("Listening on http://localhost:{port}/, as {origin} behind the proxy {proxy}");
    axum::serve(listener, service).await?;
    Ok(())
}
