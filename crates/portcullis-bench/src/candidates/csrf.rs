//! `CsrfLayer` by headers and by token, behind a layer that has found somebody signed in by a cookie.

use std::sync::{Arc, Mutex, PoisonError};

use http::header::ORIGIN;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use portcullis::csrf::{CsrfKeys, CsrfToken};
use portcullis::identity::Authentication;
use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis::{CsrfLayer, Identity, Session};
use tokio::runtime::Builder;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{browser, cookie_of, ours, peers};
use crate::Failure;
use crate::harness::{Bound, Bounds, Candidate, bare, json};

const BY_HEADERS: Bounds = Bounds {
    promised: Some(Bound { nanos: 30.0, allocations: 0 }),
    aim: Some(Bound { nanos: 20.0, allocations: 0 }),
};

const BY_TOKEN: Bounds = Bounds {
    promised: Some(Bound { nanos: 400.0, allocations: 0 }),
    aim: Some(Bound { nanos: 400.0, allocations: 0 }),
};

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let row = |name, peer, request| {
        let service = CsrfLayer::new().layer(service_fn(bare));
        Candidate::new(ours(name, Some(peer), BY_HEADERS), request, service)
    };
    let by_token = ours("CsrfLayer, POST with a token", Some(peers::CSRF_TOKEN), BY_TOKEN);
    let tokens = with_tokens()?;
    let request = with_a_token(&tokens)?;
    Ok(vec![
        row("CsrfLayer, POST of one's own page", peers::CSRF_POST, signed_in(Method::POST)?),
        row("CsrfLayer, GET", peers::CSRF_GET, signed_in(Method::GET)?),
        Candidate::new(by_token, request, tokens.layer(service_fn(bare))),
    ])
}

/// A request as it comes out of a session layer.
pub(super) fn signed_in(method: Method) -> Result<Request<()>, Failure> {
    let mut request = browser(method, Some("__Host-id=0"))?;
    request.extensions_mut().insert(Authentication::authenticated(Identity::new("ada")));
    Ok(request)
}

fn with_tokens() -> Result<CsrfLayer, Failure> {
    Ok(CsrfLayer::new().tokens(CsrfKeys::new([7; 32]))?)
}

/// A request as it comes out of a session layer, that a token alone proves, as an old browser's.
fn with_a_token(tokens: &CsrfLayer) -> Result<Request<()>, Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let sessions = SessionLayer::new(MemoryBackend::new());
    let sign_in = sessions.layer(service_fn(|request: Request<()>| async move {
        let session = request.extensions().get::<Session>().ok_or("there is no session")?;
        session.login(Identity::new("ada")).await?;
        Ok::<_, Failure>(json())
    }));
    let cookie = cookie_of(&runtime.block_on(sign_in.oneshot(Request::new(())))?)?;

    let page = sessions.layer(tokens.layer(service_fn(|request: Request<()>| async move {
        let token = CsrfToken::of(request.extensions()).ok_or("there is no token")?.value();
        let mut page = Response::new(());
        page.headers_mut().insert(&X_CSRF_TOKEN, HeaderValue::try_from(token)?);
        Ok::<_, Failure>(page)
    })));
    let mut page = runtime.block_on(page.oneshot(browser(Method::GET, Some(&cookie))?))?;

    let kept: Arc<Mutex<Option<Request<()>>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let form = sessions.layer(service_fn(move |request: Request<()>| {
        *keep.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        async { Ok::<_, Failure>(Response::new(())) }
    }));
    let mut request = browser(Method::POST, Some(&cookie))?;
    request.headers_mut().insert(ORIGIN, HeaderValue::from_static("null"));
    request.headers_mut().remove("sec-fetch-site");
    let token = page.headers_mut().remove(&X_CSRF_TOKEN).ok_or("the page has no token")?;
    request.headers_mut().insert(&X_CSRF_TOKEN, token);
    runtime.block_on(form.oneshot(request))?;
    let request = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(request.ok_or("nothing was kept")?)
}

static X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
