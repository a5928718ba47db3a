//! axum-login, on the same store as tower-sessions. Its users are found without waiting, which no database can.

use std::convert::Infallible;

use axum_login::{AuthManagerLayer, AuthManagerLayerBuilder, AuthUser, AuthnBackend};
use http::{Request, Response};
use tower::{Layer as _, service_fn};
use tower_sessions_0_14::{SessionManagerLayer, SessionStore};

use super::tower_sessions::{VISITS, store};
use super::{Contender, Work, next, somebody};
use crate::Failure;
use crate::harness::json;

pub(super) const NAME: &str = "Redis: axum-login";

type AuthSession = axum_login::AuthSession<Users>;

#[derive(Clone, Debug)]
pub(crate) struct Users;

#[derive(Clone, Debug)]
pub(crate) struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"a hash of a password, as long as one"
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = ();
    type Error = Infallible;

    async fn authenticate(&self, (): ()) -> Result<Option<User>, Infallible> {
        Ok(None)
    }

    async fn get_user(&self, id: &String) -> Result<Option<User>, Infallible> {
        Ok(Some(User(id.clone())))
    }
}

pub(super) async fn contender(url: &str) -> Result<Contender, Failure> {
    Ok(Contender::new(NAME, layer(store(url).await?).layer(service_fn(handle))))
}

pub(crate) fn layer<S: SessionStore>(store: S) -> AuthManagerLayer<Users, S> {
    AuthManagerLayerBuilder::new(Users, SessionManagerLayer::new(store)).build()
}

pub(crate) async fn handle(mut request: Request<()>) -> Result<Response<()>, Failure> {
    let work = Work::of(&request)?;
    let auth: &mut AuthSession = request.extensions_mut().get_mut().ok_or("AuthManagerLayer is missing")?;
    match work {
        Work::Look => {}
        Work::Begin | Work::Write => auth.session.insert(VISITS, next()).await?,
        Work::Login => auth.login(&User(somebody())).await?,
        Work::Read => {
            auth.user.as_ref().ok_or("nobody is signed in")?;
            auth.session.get::<i64>(VISITS).await?.ok_or("the value is gone")?;
        }
        Work::Logout => {
            auth.logout().await?;
        }
    }
    Ok(json())
}
