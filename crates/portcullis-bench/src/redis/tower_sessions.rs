//! tower-sessions on its Redis store, which is made of fred.

use http::{Request, Response};
use tower::{Layer as _, service_fn};
use tower_sessions_0_14::{Session, SessionManagerLayer};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{Client, ClientLike as _, Config};

use super::{Contender, Work, next, somebody};
use crate::Failure;
use crate::harness::json;

pub(super) const NAME: &str = "Redis: tower-sessions";

pub(crate) const USER: &str = "user";
pub(crate) const VISITS: &str = "visits";

pub(super) async fn contender(url: &str) -> Result<Contender, Failure> {
    let layer = SessionManagerLayer::new(store(url).await?);
    Ok(Contender::new(NAME, layer.layer(service_fn(handle))))
}

/// One connection, as ours has; commands of several requests go out together.
pub(crate) async fn store(url: &str) -> Result<RedisStore<Client>, Failure> {
    let client = Client::new(Config::from_url(url)?, None, None, None);
    client.init().await?;
    Ok(RedisStore::new(client))
}

async fn handle(request: Request<()>) -> Result<Response<()>, Failure> {
    let session: &Session = request.extensions().get().ok_or("SessionManagerLayer is missing")?;
    match Work::of(&request)? {
        Work::Look => {}
        Work::Begin | Work::Write => session.insert(VISITS, next()).await?,
        Work::Login => {
            session.cycle_id().await?;
            session.insert(USER, (somebody(), ["customer"], ["orders"])).await?;
        }
        Work::Read => {
            let user: Option<(String, [String; 1], [String; 1])> = session.get(USER).await?;
            user.ok_or("nobody is signed in")?;
            session.get::<i64>(VISITS).await?.ok_or("the value is gone")?;
        }
        Work::Logout => session.flush().await?,
    }
    Ok(json())
}
