//! `SessionLayer` with the memory backend.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{Method, Request, Response};
use portcullis::session::{MemoryBackend, SessionKey, SessionLayer};
use portcullis::{Identity, Session};
use portcullis_store::{Clock as _, Key, Locator, Realm, SessionBackend as _, SystemClock};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use super::{bound, browser, cookie_of, ours, peers};
use crate::Failure;
use crate::harness::{Bounds, Candidate, bare, json};
use crate::threads::{Concurrent, Job};

const VISITS: SessionKey<i64> = SessionKey::new("visits");

/// Of which every written value is another one: the same one again would not be saved.
static NEXT: AtomicI64 = AtomicI64::new(1);

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let backend = MemoryBackend::new();
    let cookie = signed_in(&backend, "ada")?;
    let layer = || SessionLayer::new(backend.clone());
    let read_only = SessionLayer::builder(backend.clone()).read_only().build()?;
    let anonymous = browser(Method::GET, None)?;
    let with_session = browser(Method::GET, Some(&cookie))?;
    Ok(vec![
        Candidate::new(
            ours(
                "SessionLayer, anonymous, read-only",
                Some(peers::SESSION_ANONYMOUS),
                Bounds { promised: bound(300.0, 5), aim: bound(120.0, 3) },
            ),
            anonymous.clone(),
            read_only.layer(service_fn(bare)),
        ),
        Candidate::new(
            ours(
                "SessionLayer, anonymous, with a handle",
                Some(peers::SESSION_ANONYMOUS),
                Bounds { promised: bound(300.0, 5), aim: bound(240.0, 5) },
            ),
            anonymous,
            layer().layer(service_fn(bare)),
        ),
        Candidate::new(
            ours(
                "SessionLayer, signed in, one value read",
                Some(peers::SESSION_READ),
                Bounds { promised: bound(700.0, 10), aim: bound(500.0, 8) },
            ),
            with_session.clone(),
            layer().layer(service_fn(read)),
        ),
        Candidate::new(
            ours(
                "SessionLayer, signed in, one value written",
                Some(peers::SESSION_WRITE),
                Bounds { promised: None, aim: bound(1500.0, 24) },
            ),
            with_session,
            layer().layer(service_fn(write)),
        ),
    ])
}

pub(super) fn concurrent() -> Result<Vec<Concurrent>, Failure> {
    let backend = MemoryBackend::new();
    let cookies = (0..2).map(|n| signed_in(&backend, &n.to_string())).collect::<Result<Vec<_>, _>>()?;
    let layer = SessionLayer::new(backend.clone());
    let loads = cookies.iter().map(|cookie| loads(&backend, cookie)).collect::<Result<_, _>>()?;
    let reads = cookies.iter().map(|cookie| reads(&layer, cookie)).collect::<Result<_, _>>()?;
    Ok(vec![
        Concurrent { name: "MemoryBackend, load", at_least: Some(1.8), jobs: loads },
        Concurrent { name: "SessionLayer, signed in, one value read", at_least: None, jobs: reads },
    ])
}

/// Loads one session over and over.
fn loads(backend: &MemoryBackend, cookie: &str) -> Result<Job, Failure> {
    let (backend, realm) = (backend.clone(), Realm::default());
    let locator = cookie.split(['=', '.']).nth(1).and_then(Locator::parse).ok_or("no locator")?;
    Ok(Box::new(move || {
        let loaded =
            backend.load_now(Key { realm: &realm, locator }, SystemClock.now()).ok_or("it cannot wait")?;
        if loaded?.is_some() { Ok(()) } else { Err("the session is gone".into()) }
    }))
}

/// Answers one session's request over and over.
fn reads(layer: &SessionLayer, cookie: &str) -> Result<Job, Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let request = browser(Method::GET, Some(cookie))?;
    let mut service = layer.layer(service_fn(read));
    Ok(Box::new(move || answer(&runtime, &mut service, request.clone())))
}

/// Sends one request, which is to succeed.
pub(super) fn answer<S>(runtime: &Runtime, service: &mut S, request: Request<()>) -> Result<(), Failure>
where
    S: Service<Request<()>, Response = Response<()>, Error = Failure>,
{
    let response = runtime.block_on(async { service.ready().await?.call(request).await })?;
    if response.status().is_success() { Ok(()) } else { Err("a request was refused".into()) }
}

/// The cookie of somebody who is signed in and has a value.
fn signed_in(backend: &MemoryBackend, subject: &str) -> Result<String, Failure> {
    let identity = Identity::new(subject).role("customer").scope("orders").build();
    let sign_in = service_fn(move |request: Request<()>| {
        let identity = identity.clone();
        async move {
            let session = session(&request)?;
            session.login(identity).await?;
            session.set(&VISITS, &0)?;
            Ok::<_, Failure>(json())
        }
    });
    let service = SessionLayer::new(backend.clone()).layer(sign_in);
    let runtime = Builder::new_current_thread().enable_time().build()?;
    cookie_of(&runtime.block_on(service.oneshot(Request::new(())))?)
}

async fn read(request: Request<()>) -> Result<Response<()>, Failure> {
    session(&request)?.get(&VISITS)?.ok_or("the value is gone")?;
    Ok(json())
}

async fn write(request: Request<()>) -> Result<Response<()>, Failure> {
    session(&request)?.set(&VISITS, &NEXT.fetch_add(1, Ordering::Relaxed))?;
    Ok(json())
}

fn session(request: &Request<()>) -> Result<&Session, Failure> {
    request.extensions().get().ok_or_else(|| "SessionLayer is missing".into())
}
