//! The service under stress: does what a [`Call`] says and reports what the handler saw. Real layers, real requests.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use portcullis::session::{
    EncryptionKeys, Lifetime, Limit, Login, SessionError, SessionErrorKind, SessionKey, SessionLayer,
    Sessions, User,
};
use portcullis::{Identity, Session};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::SessionBackend;

use crate::history::{Call, Held, Report, SLOTS, now};

pub(crate) const USER: &str = "ada";
const INCREMENTS: SessionKey<i64> = SessionKey::new("increments").keep_on_login();
const UPDATES: SessionKey<u64> = SessionKey::new("updates").keep_on_login();
const VALUES: [SessionKey<u64>; SLOTS] = [
    SessionKey::new("zero").keep_on_login(),
    SessionKey::new("one").keep_on_login(),
    SessionKey::new("two").keep_on_login(),
];

/// Short, so that sessions do expire while the test runs.
pub(crate) const USER_LIFE: Lifetime = lifetime(400, 2500);
pub(crate) const REMEMBERED_LIFE: Lifetime = lifetime(800, 3500);
pub(crate) const ANONYMOUS_LIFE: Lifetime = lifetime(400, 1800);
/// Fewer than there are browsers.
pub(crate) const LIMIT: u32 = 3;

const PATIENCE: Duration = Duration::from_secs(20);

const fn lifetime(idle: u64, absolute: u64) -> Lifetime {
    Lifetime { idle: Duration::from_millis(idle), absolute: Duration::from_millis(absolute) }
}

/// The service on this backend; encrypted if `sealed`.
pub(crate) fn app(backend: impl SessionBackend, sealed: bool) -> Router {
    let mut builder = SessionLayer::builder(backend)
        .lifetime(USER_LIFE)
        .remembered_lifetime(REMEMBERED_LIFE)
        .anonymous_lifetime(ANONYMOUS_LIFE)
        .limit(Limit::evict_oldest(LIMIT))
        .renew_every(Duration::from_secs(1))
        .budget(PATIENCE);
    if sealed {
        builder = builder.encrypt(EncryptionKeys::new(&[7; 32]));
    }
    let layer = builder.build().unwrap();
    let sessions = Sessions::of(&layer);
    Router::new().route("/", post(act)).with_state(sessions).layer(layer)
}

/// A connection to this server, for a machine that may be busy with others.
pub(crate) fn redis(url: &str) -> RedisBackend {
    let config = RedisConfig::standalone(url).unwrap().budget(PATIENCE).attempt_timeout(PATIENCE);
    RedisBackend::connect(config).unwrap()
}

/// The members of the user's index.
pub(crate) async fn members(backend: &(impl SessionBackend + Clone)) -> BTreeSet<String> {
    let sessions = Sessions::of(&SessionLayer::new(backend.clone()));
    let listed = sessions.list(&User::new(USER)).await.unwrap();
    listed.into_iter().map(|device| device.session_ref).collect()
}

/// Nothing was done because there is no session.
struct Gone;

async fn act(State(sessions): State<Sessions>, session: Session, Json(call): Json<Call>) -> Response {
    let seen = session.session_ref();
    match done(&sessions, &session, call, seen.clone()).await {
        Ok(Ok(report)) => Json(report).into_response(),
        Ok(Err(Gone)) => (StatusCode::GONE, Json(seen)).into_response(),
        Err(error) => match error.kind() {
            SessionErrorKind::Ended
            | SessionErrorKind::SignedOut
            | SessionErrorKind::LimitReached
            | SessionErrorKind::StaleCredential => (StatusCode::GONE, Json(seen)).into_response(),
            _ => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:?}")).into_response(),
        },
    }
}

async fn done(
    sessions: &Sessions,
    session: &Session,
    call: Call,
    seen: Option<String>,
) -> Result<Result<Report, Gone>, SessionError> {
    let mut report = Report { seen, ..Report::default() };
    match call {
        Call::RevokeUser => _ = sessions.revoke_all(&User::new(USER)).await?,
        Call::Bump => sessions.bump(&User::new(USER)).await?,
        Call::Start { value } if report.seen.is_none() => {
            session.increment(&INCREMENTS, 1)?;
            session.set(&VALUES[0], &value)?;
            session.commit().await?;
        }
        Call::Login { remember } => {
            let checked = sessions.credential_version(&User::new(USER)).await?;
            report.checked = Some(now());
            session.increment(&INCREMENTS, 1)?;
            let login = Login::new(Identity::new(USER)).credential_version(checked);
            session.login(if remember { login.remember() } else { login }).await?;
        }
        _ if report.seen.is_none() => return Ok(Err(Gone)),
        Call::Start { .. } | Call::Read => {}
        Call::Take { slot } => report.taken = session.take(&VALUES[slot]).await?,
        Call::Rotate => session.rotate().await?,
        Call::Logout => session.logout().await?,
        Call::RevokeOthers => session.devices().revoke_others().await?,
        Call::RevokeAll => session.devices().revoke_all().await?,
        Call::Increment | Call::Update | Call::Set { .. } | Call::Remove { .. } => {
            record(session, call)?;
            session.commit().await?;
        }
    }
    report.now = session.session_ref();
    report.held = held(session)?;
    Ok(Ok(report))
}

fn record(session: &Session, call: Call) -> Result<(), SessionError> {
    match call {
        Call::Increment => session.increment(&INCREMENTS, 1),
        Call::Update => session.update(&UPDATES, |held| Some(held.unwrap_or(0) + 1)),
        Call::Set { slot, value } => session.set(&VALUES[slot], &value),
        Call::Remove { slot } => session.remove(&VALUES[slot]),
        _ => Ok(()),
    }
}

fn held(session: &Session) -> Result<Held, SessionError> {
    let mut held = Held {
        increments: session.get(&INCREMENTS)?.map(|count| u64::try_from(count).unwrap()),
        updates: session.get(&UPDATES)?,
        slots: [None; SLOTS],
    };
    for (slot, key) in held.slots.iter_mut().zip(&VALUES) {
        *slot = session.get(key)?;
    }
    Ok(held)
}
