//! A small application that does to its session what the URL says, and a [`World`] to run it in.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use portcullis::session::{
    CredentialVersion, Login, SessionError, SessionKey, SessionLayer, SessionLayerBuilder, Sessions,
};
use portcullis::{Identity, Session};
use portcullis_store::ManualClock;
use portcullis_testkit::client::Client;
use portcullis_testkit::spy::Spy;
use serde::Deserialize;
use tokio::sync::Notify;

use super::store::{AnyStore, PATIENCE};

pub const A: SessionKey<String> = SessionKey::new("a");
pub const B: SessionKey<String> = SessionKey::new("b");
pub const KEPT: SessionKey<String> = SessionKey::new("kept").keep_on_login();
pub const COUNT: SessionKey<i64> = SessionKey::new("count");
/// The same name as [`A`], of another type.
pub const A_NUMBER: SessionKey<u64> = SessionKey::new("a");

pub type Browser = Client<Router>;

/// An application on a store, with a clock that stands still and a spy in between.
pub struct World {
    pub clock: ManualClock,
    pub spy: Spy<AnyStore>,
    pub store: AnyStore,
    pub sessions: Sessions,
    pub gate: Arc<Gate>,
    pub app: Router,
}

/// Lets a test hold a handler between load and save.
#[derive(Debug, Default)]
pub struct Gate {
    /// The handler is there.
    pub reached: Notify,
    /// It may go on.
    pub open: Notify,
    /// A handle that is kept beyond its request.
    held: Mutex<Option<Session>>,
}

impl World {
    pub fn new(store: &AnyStore, clock: &ManualClock) -> Self {
        Self::with(store, clock, |layer| layer)
    }

    pub fn with(
        store: &AnyStore,
        clock: &ManualClock,
        configure: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
    ) -> Self {
        let spy = Spy::new(store.clone());
        let gate = Arc::new(Gate::default());
        let builder = SessionLayer::builder(spy.clone()).clock(clock.clone()).budget(PATIENCE);
        let layer = configure(builder).build().unwrap();
        let sessions = Sessions::of(&layer);
        let app = app(Arc::clone(&gate)).layer(layer);
        Self { clock: clock.clone(), spy, store: store.clone(), sessions, gate, app }
    }

    pub fn browser(&self) -> Browser {
        Client::new(self.app.clone()).clock(self.clock.clone())
    }

    /// The handle of a request of this browser's, when its response is there, as a stream may keep it.
    pub async fn held_by(&self, browser: &Browser) -> Session {
        browser.get("/hold").await.assert_status(200);
        self.held().unwrap()
    }

    /// The handle that a request has kept.
    pub fn held(&self) -> Option<Session> {
        self.gate.held.lock().unwrap().take()
    }

    /// The same browser, as it talks to this process.
    pub fn through(&self, browser: &Browser) -> Browser {
        self.browser().with_jar(browser.jar().clone())
    }

    /// Another process on the same store.
    pub fn another(&self) -> Self {
        Self::new(&self.store.another(), &self.clock)
    }
}

/// Runs `test` on each kind of store.
pub async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    let clock = now();
    for store in AnyStore::each(&clock) {
        println!("on {store:?}");
        test(World::new(&store, &clock)).await;
    }
}

/// A clock that agrees with the redis-server's, and stands still.
pub fn now() -> ManualClock {
    use portcullis_store::{Clock, SystemClock};
    ManualClock::at(SystemClock.now())
}

#[derive(Deserialize)]
struct LoginQuery {
    user: String,
    role: Option<String>,
    note: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    remember: bool,
    version: Option<u64>,
    device: Option<String>,
    network: Option<IpAddr>,
}

fn app(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/", get(async || "untouched"))
        .route("/me", get(me))
        .route("/set/{key}/{value}", get(set))
        .route("/get/{key}", get(read))
        .route(
            "/remove/{key}",
            get(async |session: Session, Path(key): Path<String>| session.remove(&key_of(&key))),
        )
        .route("/clear", get(async |session: Session| session.clear()))
        .route("/login", get(login))
        .route("/login-slowly/{user}", get(login_slowly))
        .route("/logout", get(async |session: Session| session.logout().await))
        .route("/rotate", get(async |session: Session| session.rotate().await))
        .route("/reauthenticated", get(async |session: Session| session.reauthenticated().await))
        .route("/count", get(count))
        .route("/count-stubbornly", get(count_stubbornly))
        .route("/count-carelessly", get(count_carelessly))
        .route(
            "/count-stubbornly-and-carelessly",
            get(async |session: Session| count_stubbornly(session).await.unwrap_or_default()),
        )
        .route("/append/{text}", get(append))
        .route("/set-then-logout", get(set_then_logout))
        .route("/fail-then-login", get(fail_then_login))
        .route("/slow-commit-then-login", get(slow_commit_then_login))
        .route("/commit-in-a-task-and-write", get(commit_in_a_task_and_write))
        .route("/rotate-and-say-how-it-went", get(rotate_and_say_how_it_went))
        .route("/fresh", get(fresh))
        .route("/take/{key}", get(take))
        .route("/clear-and-write", get(clear_and_write))
        .route("/slow/{value}", get(slow))
        .route("/hold", get(hold))
        .route("/as-number", get(as_number))
        .route("/big/{len}", get(big))
        .route("/last-seen", get(last_seen))
        .route("/devices", get(devices))
        .route("/labels", get(labels))
        .route("/networks", get(networks))
        .route("/revoke/{session_ref}", get(revoke))
        .route("/revoke-others", get(async |session: Session| session.devices().revoke_others().await))
        .route("/revoke-all", get(async |session: Session| session.devices().revoke_all().await))
        .layer(axum::Extension(gate))
}

fn key_of(name: &str) -> SessionKey<String> {
    match name {
        "a" => A,
        "b" => B,
        "kept" => KEPT,
        other => panic!("no key {other}"),
    }
}

async fn me(me: Option<Identity>) -> String {
    me.map_or("nobody".to_owned(), |me| {
        format!("{} {}", me.subject(), me.roles().collect::<Vec<_>>().join(","))
    })
    .trim()
    .to_owned()
}

async fn set(session: Session, Path((key, value)): Path<(String, String)>) -> Result<(), SessionError> {
    session.set(&key_of(&key), &value)
}

async fn read(session: Session, Path(key): Path<String>) -> Result<String, SessionError> {
    Ok(session.get(&key_of(&key))?.unwrap_or_else(|| "none".to_owned()))
}

async fn login(session: Session, Query(login): Query<LoginQuery>) -> Result<StatusCode, SessionError> {
    if let Some(note) = login.note {
        session.set(&A, &note)?;
    }
    let mut who = Login::new(Identity::new(login.user).roles(login.role));
    if let Some(version) = login.version {
        who = who.credential_version(CredentialVersion(version));
    }
    if let Some(label) = login.device {
        who = who.device(label);
    }
    if let Some(peer) = login.network {
        who = who.network(peer);
    }
    session.login(if login.remember { who.remember() } else { who }).await?;
    Ok(login.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK))
}

/// Signs in, has more to do at the gate before it answers, and keeps the handle.
async fn login_slowly(
    session: Session,
    Path(user): Path<String>,
    gate: axum::Extension<Arc<Gate>>,
) -> Result<(), SessionError> {
    session.login(Identity::new(user)).await?;
    gate.reached.notify_one();
    gate.open.notified().await;
    *gate.held.lock().unwrap() = Some(session);
    Ok(())
}

async fn count(session: Session) -> Result<String, SessionError> {
    session.increment(&COUNT, 1)?;
    session.commit().await?;
    Ok(session.get(&COUNT)?.unwrap_or_default().to_string())
}

/// Commits once more when the first commit failed.
async fn count_stubbornly(session: Session) -> Result<String, SessionError> {
    session.increment(&COUNT, 1)?;
    if session.commit().await.is_err() {
        session.commit().await?;
    }
    Ok(session.get(&COUNT)?.unwrap_or_default().to_string())
}

/// Does not look whether the commit failed.
async fn count_carelessly(session: Session) -> Result<(), SessionError> {
    session.increment(&COUNT, 1)?;
    let _ = session.commit().await;
    Ok(())
}

async fn append(session: Session, Path(text): Path<String>) -> Result<(), SessionError> {
    session.update(&A, move |held| Some(held.unwrap_or_default() + &text))
}

async fn set_then_logout(session: Session) -> Result<(), SessionError> {
    session.set(&A, &"left behind".to_owned())?;
    session.logout().await
}

async fn fail_then_login(session: Session) -> Result<&'static str, SessionError> {
    session.set(&A, &"lost".to_owned())?;
    assert!(session.commit().await.is_err());
    session.login(Identity::new("grace")).await?;
    Ok("signed in")
}

/// The session may end at the gate.
async fn slow_commit_then_login(
    session: Session,
    gate: axum::Extension<Arc<Gate>>,
) -> Result<String, SessionError> {
    session.set(&A, &"late".to_owned())?;
    gate.reached.notify_one();
    gate.open.notified().await;
    let committed = session.commit().await.map_err(|error| error.kind());
    session.login(Identity::new("grace")).await?;
    Ok(format!("{committed:?}"))
}

/// A commit of one value is under way in a task when the handler writes another and returns.
async fn commit_in_a_task_and_write(
    session: Session,
    gate: axum::Extension<Arc<Gate>>,
) -> Result<(), SessionError> {
    session.set(&A, &"one".to_owned())?;
    let committing = session.clone();
    tokio::spawn(async move { committing.commit().await });
    gate.reached.notified().await;
    session.set(&B, &"two".to_owned())
}

async fn rotate_and_say_how_it_went(session: Session) -> String {
    format!("{:?}", session.rotate().await.map_err(|error| error.kind()))
}

/// Whether the handle shows the proof that was just given.
async fn fresh(session: Session) -> Result<String, SessionError> {
    let before = session.identity().and_then(|me| me.authenticated_at());
    session.reauthenticated().await?;
    let after = session.identity().and_then(|me| me.authenticated_at());
    Ok((after > before).to_string())
}

async fn take(session: Session, Path(key): Path<String>) -> Result<String, SessionError> {
    Ok(session.take(&key_of(&key)).await?.unwrap_or_else(|| "none".to_owned()))
}

async fn clear_and_write(session: Session) -> Result<(), SessionError> {
    session.logout().await?;
    session.set(&A, &"again".to_owned())
}

/// Waits at the gate between load and save.
async fn slow(
    session: Session,
    Path(value): Path<String>,
    gate: axum::Extension<Arc<Gate>>,
) -> Result<(), SessionError> {
    session.set(&A, &value)?;
    gate.reached.notify_one();
    gate.open.notified().await;
    Ok(())
}

async fn hold(session: Session, gate: axum::Extension<Arc<Gate>>) {
    *gate.held.lock().unwrap() = Some(session);
}

async fn as_number(session: Session) -> (StatusCode, String) {
    match session.get(&A_NUMBER) {
        Ok(number) => (StatusCode::OK, format!("{number:?}")),
        Err(error) => (StatusCode::CONFLICT, format!("{:?} {error}", error.kind())),
    }
}

async fn big(session: Session, Path(len): Path<usize>) -> Result<(), (StatusCode, String)> {
    session
        .set(&A, &"x".repeat(len))
        .map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, format!("{:?}", error.kind())))
}

async fn devices(session: Session) -> Result<Json<Vec<String>>, SessionError> {
    let devices = session.devices().list().await?;
    Ok(Json(devices.into_iter().map(|device| device.session_ref).collect()))
}

async fn labels(session: Session) -> Result<Json<Vec<Option<String>>>, SessionError> {
    let devices = session.devices().list().await?;
    Ok(Json(devices.into_iter().map(|device| device.label).collect()))
}

async fn networks(session: Session) -> Result<Json<Vec<Option<String>>>, SessionError> {
    let devices = session.devices().list().await?;
    Ok(Json(devices.into_iter().map(|device| Some(device.network?.to_string())).collect()))
}

async fn last_seen(session: Session) -> Result<String, SessionError> {
    let devices = session.devices().list().await?;
    Ok(devices.first().map_or(0, |device| device.last_seen.as_millis()).to_string())
}

async fn revoke(session: Session, Path(session_ref): Path<String>) -> Result<(), (StatusCode, String)> {
    let revoked = session.devices().revoke(&session_ref).await;
    revoked.map_err(|error| (StatusCode::NOT_FOUND, format!("{:?}", error.kind())))
}

/// Waits until a claim about what goes on behind the responses is true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within two seconds: {what}");
}
