//! `SessionLayer` on `portcullis-redis`.

use http::{Request, Response};
use portcullis::identity::IdentityExt as _;
use portcullis::session::SessionKey;
use portcullis::{Identity, Session, SessionLayer};
use portcullis_redis::{RedisBackend, RedisConfig};
use tower::{Layer as _, service_fn};

use super::{Contender, Work, next, somebody};
use crate::Failure;
use crate::harness::json;

pub(super) const NAME: &str = "Redis: SessionLayer";
pub(super) const ON_A_CLUSTER: &str = "Redis: SessionLayer, on a cluster";

const VISITS: SessionKey<i64> = SessionKey::new("visits").keep_on_login();

/// On whatever the URL says.
pub(super) fn contender(name: &'static str, url: &str) -> Result<Contender, Failure> {
    let backend = RedisBackend::connect(RedisConfig::from_url(url)?)?;
    Ok(Contender::new(name, SessionLayer::new(backend).layer(service_fn(handle))))
}

async fn handle(request: Request<()>) -> Result<Response<()>, Failure> {
    let session: &Session = request.extensions().get().ok_or("SessionLayer is missing")?;
    match Work::of(&request)? {
        Work::Look => {}
        Work::Begin | Work::Write => session.set(&VISITS, &next())?,
        Work::Login => {
            session.login(Identity::new(somebody()).role("customer").scope("orders")).await?;
        }
        Work::Read => {
            request.identity().ok_or("nobody is signed in")?;
            session.get(&VISITS)?.ok_or("the value is gone")?;
        }
        Work::Logout => session.logout().await?,
    }
    Ok(json())
}
