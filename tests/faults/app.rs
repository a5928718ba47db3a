//! [`Service`]: a small service on the real layers, with the defaults that users get, and requests to it.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use http::header::{COOKIE, SET_COOKIE};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis::session::{SessionError, SessionKey, SessionLayer, Sessions, User};
use portcullis::{Identity, Session};
use portcullis_redis::{RedisBackend, RedisConfig};
use tower::ServiceExt;

use crate::ledger::Applied;

/// What a request without a session is answered.
pub(crate) const NOBODY: &str = "nobody";
const COUNT: SessionKey<i64> = SessionKey::new("count");
const APPLIED: SessionKey<Applied> = SessionKey::new("applied");

const PATIENCE: Duration = Duration::from_secs(20);

/// A service. A clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    app: Router,
    pub(crate) sessions: Sessions,
    pub(crate) backend: RedisBackend,
}

/// What the service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200, with this text.
    Ok(String),
    /// 503.
    Unavailable,
    /// Anything else, which is never right.
    Wrong(StatusCode, String),
}

/// A session, as a browser has it: the locator and the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie(String);

/// What a steady user's session holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) count: i64,
    pub(crate) applied: Applied,
}

impl Service {
    /// A process of its own, with connections of its own.
    pub(crate) fn new(config: &RedisConfig) -> Self {
        let backend = RedisBackend::connect(config.clone()).unwrap();
        Self::with(SessionLayer::new(backend.clone()), backend)
    }

    /// For what is about something else than time.
    pub(crate) fn patient(config: &RedisConfig) -> Self {
        let config = config.clone().budget(PATIENCE).attempt_timeout(PATIENCE);
        let backend = RedisBackend::connect(config).unwrap();
        Self::with(SessionLayer::builder(backend.clone()).budget(PATIENCE).build().unwrap(), backend)
    }

    pub(crate) fn with(layer: SessionLayer, backend: RedisBackend) -> Self {
        let sessions = Sessions::of(&layer);
        let app = Router::new()
            .route("/me", post(me))
            .route("/login/{user}", post(login))
            .route("/write/{operation}", post(write))
            .route("/holding", post(holding))
            .route("/logout", post(async |session: Session| session.logout().await))
            .route("/revoke-all", post(async |session: Session| session.devices().revoke_all().await))
            .route("/revoke/{user}", post(revoke))
            .route("/revoke-durably/{user}", post(revoke_durably))
            .with_state(sessions.clone())
            .layer(layer);
        Self { app, sessions, backend }
    }

    /// Asks as a browser that has this cookie, or none. Gives the cookie that came back, too.
    pub(crate) async fn ask_for_cookie(
        &self,
        cookie: Option<&Cookie>,
        path: &str,
    ) -> (Answer, Option<Cookie>) {
        let mut request = Request::post(format!("https://app.example{path}"));
        if let Some(Cookie(cookie)) = cookie {
            request = request.header(COOKIE, format!("__Host-id={cookie}"));
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let issued =
            response.headers().get(SET_COOKIE).and_then(|field| Cookie::issued(field.to_str().unwrap()));
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let answer = match status {
            StatusCode::OK => Answer::Ok(text),
            StatusCode::SERVICE_UNAVAILABLE => Answer::Unavailable,
            _ => Answer::Wrong(status, text),
        };
        (answer, issued)
    }

    pub(crate) async fn ask(&self, cookie: Option<&Cookie>, path: &str) -> Answer {
        self.ask_for_cookie(cookie, path).await.0
    }

    /// Signs in, if the store can be reached.
    pub(crate) async fn sign_in(&self, user: &str) -> (Answer, Option<Cookie>) {
        self.ask_for_cookie(None, &format!("/login/{user}")).await
    }

    /// What the session of this cookie holds. It is there.
    pub(crate) async fn holding(&self, cookie: &Cookie) -> Holding {
        match self.ask(Some(cookie), "/holding").await {
            Answer::Ok(json) => {
                let (count, applied) = serde_json::from_str(&json).unwrap();
                Holding { count, applied }
            }
            other @ (Answer::Unavailable | Answer::Wrong(..)) => {
                panic!("the session {} cannot be read: {other:?}", cookie.locator())
            }
        }
    }
}

impl Cookie {
    fn issued(field: &str) -> Option<Self> {
        let value = field.strip_prefix("__Host-id=")?.split(';').next()?;
        (!value.is_empty()).then(|| Self(value.to_owned()))
    }

    /// The session's name, which is no secret.
    pub(crate) fn locator(&self) -> &str {
        self.0.split('.').next().unwrap()
    }

    /// The name of its key in Redis.
    pub(crate) fn key(&self) -> String {
        format!("p:default:s:{}", self.locator())
    }
}

async fn me(me: Option<Identity>) -> String {
    me.map_or_else(|| NOBODY.to_owned(), |me| me.subject().to_owned())
}

async fn login(session: Session, Path(user): Path<String>) -> Result<String, SessionError> {
    session.login(Identity::new(user.as_str())).await?;
    Ok(user)
}

/// Counts, and notes which operation has been applied: a count that is right by two mistakes is found out.
async fn write(
    me: Option<Identity>,
    session: Session,
    Path(operation): Path<u32>,
) -> Result<String, SessionError> {
    let Some(me) = me else { return Ok(NOBODY.to_owned()) };
    session.increment(&COUNT, 1)?;
    session.update(&APPLIED, move |held: Option<Applied>| Some(held.unwrap_or_default().with(operation)))?;
    session.commit().await?;
    Ok(me.subject().to_owned())
}

async fn holding(session: Session) -> Result<String, SessionError> {
    let holding = (session.get(&COUNT)?.unwrap_or_default(), session.get(&APPLIED)?.unwrap_or_default());
    Ok(serde_json::to_string(&holding).unwrap())
}

/// What an administrator does, who is somebody else.
async fn revoke(State(sessions): State<Sessions>, Path(user): Path<String>) -> Result<(), SessionError> {
    sessions.revoke_all(&User::new(user)).await.map(drop)
}

/// The same, confirmed by a replica. Says how many have.
async fn revoke_durably(
    State(sessions): State<Sessions>,
    Path(user): Path<String>,
) -> Result<String, SessionError> {
    Ok(sessions.durable_revoke_all(&User::new(user), 1).await?.replicas.to_string())
}
