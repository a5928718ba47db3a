//! axum_session on its Redis pool.

use std::convert::Infallible;
use std::fmt::Debug;

use axum_session::{DatabasePool, Session, SessionConfig, SessionLayer, SessionStore};
use axum_session_redispool::SessionRedisPool;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use redis_pool::SingleRedisPool;
use tower::{Service, ServiceBuilder, service_fn};

use super::{Contender, Work, next, somebody};
use crate::Failure;

pub(super) const NAME: &str = "Redis: axum_session";

const USER: &str = "user";
const VISITS: &str = "visits";

/// Without the copy in memory, which would serve a session for an hour after another process has ended it.
pub(super) async fn contender(url: &str) -> Result<Contender, Failure> {
    let pool = SessionRedisPool::from(SingleRedisPool::from(redis::Client::open(url)?));
    let config = SessionConfig::default().with_memory_lifetime(time::Duration::ZERO);
    let layer = SessionLayer::new(SessionStore::new(Some(pool), config).await?);
    Ok(Contender::new(NAME, service(layer)))
}

/// It wants services that cannot fail and bodies that hold something.
pub(crate) fn service<P: Pool>(layer: SessionLayer<P>) -> impl Target {
    ServiceBuilder::new()
        .map_response(|response: Response<Full<Bytes>>| response.map(drop))
        .map_err(|never: Infallible| match never {})
        .layer(layer)
        .service(service_fn(async |request| Ok(handle::<P>(&request).unwrap_or_else(refused))))
}

/// A service as the harness wants it.
pub(crate) trait Target:
    Service<Request<()>, Response = Response<()>, Error = Failure, Future: Send> + Clone + Send + 'static
{
}

impl<S> Target for S where
    S: Service<Request<()>, Response = Response<()>, Error = Failure, Future: Send> + Clone + Send + 'static
{
}

/// A store as axum_session wants it.
pub(crate) trait Pool: DatabasePool + Clone + Debug + Send + Sync + 'static {}

impl<P: DatabasePool + Clone + Debug + Send + Sync + 'static> Pool for P {}

fn handle<P: Pool>(request: &Request<()>) -> Result<Response<Full<Bytes>>, Failure> {
    let session: &Session<P> = request.extensions().get().ok_or("SessionLayer is missing")?;
    match Work::of(request)? {
        Work::Look => {}
        Work::Begin | Work::Write => session.set(VISITS, next()),
        Work::Login => {
            session.renew();
            session.set(USER, (somebody(), ["customer"], ["orders"]));
        }
        Work::Read => {
            let user: Option<(String, [String; 1], [String; 1])> = session.get(USER);
            user.ok_or("nobody is signed in")?;
            session.get::<i64>(VISITS).ok_or("the value is gone")?;
        }
        Work::Logout => session.destroy(),
    }
    let mut response = Response::new(Full::default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn refused(_: Failure) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
