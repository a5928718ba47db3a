//! What others make for the same work: tower-sessions, tower-http's csrf and axum_csrf.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{Method, Request, Response};
use tokio::runtime::Builder;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, SessionStore as _};

use super::session::answer;
use super::{axum_csrf, browser, cookie_of, csrf};
use crate::Failure;
use crate::harness::{Bounds, Candidate, Label, bare, json};
use crate::threads::{Concurrent, Job};

pub(super) const SESSION_ANONYMOUS: &str = "tower-sessions, anonymous";
pub(super) const SESSION_READ: &str = "tower-sessions, one value read";
pub(super) const SESSION_WRITE: &str = "tower-sessions, one value written";
pub(super) const CSRF_POST: &str = "tower-http csrf, POST of one's own page";
pub(super) const CSRF_GET: &str = "tower-http csrf, GET";
pub(super) const CSRF_TOKEN: &str = "axum_csrf, a token verified";

const VISITS: &str = "visits";

static NEXT: AtomicI64 = AtomicI64::new(1);

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let store = MemoryStore::default();
    let anonymous = browser(Method::GET, None)?;
    let with_session = browser(Method::GET, Some(&begun(&store)?))?;
    let layer = SessionManagerLayer::new(store);
    Ok(vec![
        Candidate::new(peer(SESSION_ANONYMOUS), anonymous, layer.layer(service_fn(bare))),
        Candidate::new(peer(SESSION_READ), with_session.clone(), layer.layer(service_fn(read))),
        Candidate::new(peer(SESSION_WRITE), with_session, layer.layer(service_fn(write))),
        checked(CSRF_POST, Method::POST)?,
        checked(CSRF_GET, Method::GET)?,
        axum_csrf::candidate()?,
    ])
}

pub(super) fn concurrent() -> Result<Vec<Concurrent>, Failure> {
    let store = MemoryStore::default();
    let cookies = [begun(&store)?, begun(&store)?];
    let layer = SessionManagerLayer::new(store.clone());
    let loads = cookies.iter().map(|cookie| loads(&store, cookie)).collect::<Result<_, _>>()?;
    let reads = cookies.iter().map(|cookie| reads(&layer, cookie)).collect::<Result<_, _>>()?;
    Ok(vec![
        Concurrent { name: "tower-sessions MemoryStore, load", at_least: None, jobs: loads },
        Concurrent { name: SESSION_READ, at_least: None, jobs: reads },
    ])
}

pub(super) fn peer(name: &'static str) -> Label {
    Label { name, peer: None, bounds: Bounds::default() }
}

fn checked(name: &'static str, method: Method) -> Result<Candidate, Failure> {
    let service = tower_http::csrf::CsrfLayer::new().layer(service_fn(bare));
    Ok(Candidate::new(peer(name), csrf::signed_in(method)?, service))
}

/// Loads one session over and over.
fn loads(store: &MemoryStore, cookie: &str) -> Result<Job, Failure> {
    let (runtime, store) = (Builder::new_current_thread().build()?, store.clone());
    let id = cookie.trim_start_matches("id=").parse()?;
    Ok(Box::new(move || match runtime.block_on(store.load(&id))? {
        Some(_) => Ok(()),
        None => Err("the session is gone".into()),
    }))
}

/// Answers one session's request over and over.
fn reads(layer: &SessionManagerLayer<MemoryStore>, cookie: &str) -> Result<Job, Failure> {
    let runtime = Builder::new_current_thread().build()?;
    let request = browser(Method::GET, Some(cookie))?;
    let mut service = layer.layer(service_fn(read));
    Ok(Box::new(move || answer(&runtime, &mut service, request.clone())))
}

/// The cookie of a session that holds what one of ours does: who is signed in, and a value.
fn begun(store: &MemoryStore) -> Result<String, Failure> {
    let sign_in = service_fn(async |request| {
        session(&request)?.insert("user", ("ada", ["customer"], ["orders"])).await?;
        write(request).await
    });
    let service = SessionManagerLayer::new(store.clone()).layer(sign_in);
    let runtime = Builder::new_current_thread().build()?;
    cookie_of(&runtime.block_on(service.oneshot(Request::new(())))?)
}

async fn read(request: Request<()>) -> Result<Response<()>, Failure> {
    session(&request)?.get::<i64>(VISITS).await?.ok_or("the value is gone")?;
    Ok(json())
}

async fn write(request: Request<()>) -> Result<Response<()>, Failure> {
    session(&request)?.insert(VISITS, NEXT.fetch_add(1, Ordering::Relaxed)).await?;
    Ok(json())
}

fn session(request: &Request<()>) -> Result<&Session, Failure> {
    request.extensions().get().ok_or_else(|| "SessionManagerLayer is missing".into())
}
