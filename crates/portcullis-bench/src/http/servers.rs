//! [`serve`]: the servers that are measured, each an axum application with one page and a way to sign in.

use std::io::Read as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use portcullis::bearer::TokenCache;
use portcullis::session::{SessionCache, SessionKey};
use portcullis::{Identity, Session, SessionLayer};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_testkit::jwt::{Algorithm, TestIssuer};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tower_sessions_0_14::{Session as TheirSession, SessionManagerLayer};

use super::grpc;
use crate::Failure;
use crate::candidates::tokens;
use crate::redis::tower_sessions;

const VISITS: SessionKey<i64> = SessionKey::new("visits").keep_on_login();

type Page = ([(HeaderName, &'static str); 1], &'static str);

/// Runs the server of this name, tells its port on standard output, and goes on until standard input ends.
pub(crate) fn serve(name: &str, redis: &str) -> Result<(), Failure> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let issuer = tokens::issuer();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let token = issuer.token(tokens::claims()).to_string();
        if name.starts_with("gRPC: ") {
            say(port, &token)?;
            return grpc::serve(name, listener, &issuer).await;
        }
        let app = app(name, redis, &issuer).await?;
        say(port, &token)?;
        Ok(axum::serve(listener, app).await?)
    })
}

fn say(port: u16, token: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut output = std::io::stdout().lock();
    writeln!(output, "{port} {token}")?;
    Ok(output.flush()?)
}

async fn app(name: &str, redis: &str, issuer: &TestIssuer) -> Result<Router, Failure> {
    let looking = Router::new().route("/", get(page));
    let ours =
        || Ok::<_, Failure>(SessionLayer::builder(RedisBackend::connect(RedisConfig::from_url(redis)?)?));
    let reading = Router::new().route("/", get(read)).route("/login", get(sign_in));
    let theirs = async || Ok::<_, Failure>(SessionManagerLayer::new(tower_sessions::store(redis).await?));
    Ok(match name {
        "HTTP: bare" => looking,
        "HTTP: SessionLayer, anonymous" => looking.layer(ours()?.build()?),
        "HTTP: SessionLayer, Redis read" => reading.layer(ours()?.build()?),
        "HTTP: SessionLayer, cached read" => {
            let cache = SessionCache::new(Duration::from_secs(1));
            reading.layer(ours()?.cache(cache).build()?)
        }
        "HTTP: tower-sessions, anonymous" => looking.layer(theirs().await?),
        "HTTP: tower-sessions, Redis read" => Router::new()
            .route("/", get(read_theirs))
            .route("/login", get(sign_in_theirs))
            .layer(theirs().await?),
        "HTTP: bare, sent a token" => looking,
        "HTTP: BearerLayer, ES256, known" => {
            let bearer = tokens::layer(issuer, Algorithm::Es256)?.cache(TokenCache::default());
            Router::new().route("/", get(look)).layer(bearer)
        }
        "HTTP: BearerLayer, ES256, verified" => {
            Router::new().route("/", get(look)).layer(tokens::layer(issuer, Algorithm::Es256)?)
        }
        "HTTP: tower-oauth2-resource-server, ES256" => {
            looking.layer(tokens::resource_server(issuer, Algorithm::Es256).await?.into_layer())
        }
        _ => return Err(format!("there is no server {name:?}").into()),
    })
}

async fn page() -> Page {
    ([(CONTENT_TYPE, "application/json")], "{\"hello\":\"world\"}")
}

/// Whoever is not signed in is refused by the extractor.
async fn look(_: Identity) -> Page {
    page().await
}

async fn sign_in(session: Session) -> Result<(), StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    session.login(Identity::new("ada").role("customer").scope("orders")).await.map_err(failed)?;
    session.set(&VISITS, &1).map_err(failed)
}

async fn read(_: Identity, session: Session) -> Result<Page, StatusCode> {
    match session.get(&VISITS) {
        Ok(Some(1)) => Ok(page().await),
        _ => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn sign_in_theirs(session: TheirSession) -> Result<(), StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    session.insert(tower_sessions::USER, ("ada", ["customer"], ["orders"])).await.map_err(failed)?;
    session.insert(tower_sessions::VISITS, 1).await.map_err(failed)
}

async fn read_theirs(session: TheirSession) -> Result<Page, StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let user: Option<(String, [String; 1], [String; 1])> =
        session.get(tower_sessions::USER).await.map_err(failed)?;
    match (user, session.get::<i64>(tower_sessions::VISITS).await.map_err(failed)?) {
        (Some(_), Some(1)) => Ok(page().await),
        _ => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
