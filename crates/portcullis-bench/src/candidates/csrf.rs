//! `CsrfLayer` by headers, behind a layer that has found somebody signed in by a cookie.

use http::{Method, Request};
use portcullis::identity::Authentication;
use portcullis::{CsrfLayer, Identity};
use tower::{Layer as _, service_fn};

use super::{browser, ours, peers};
use crate::Failure;
use crate::harness::{Bound, Bounds, Candidate, bare};

const BOUNDS: Bounds = Bounds {
    promised: Some(Bound { nanos: 30.0, allocations: 0 }),
    aim: Some(Bound { nanos: 20.0, allocations: 0 }),
};

pub(super) fn candidates() -> Result<Vec<Candidate>, Failure> {
    let row = |name, peer, request| {
        Candidate::new(ours(name, Some(peer), BOUNDS), request, CsrfLayer::new().layer(service_fn(bare)))
    };
    Ok(vec![
        row("CsrfLayer, POST of one's own page", peers::CSRF_POST, signed_in(Method::POST)?),
        row("CsrfLayer, GET", peers::CSRF_GET, signed_in(Method::GET)?),
    ])
}

/// A request as it comes out of a session layer.
pub(super) fn signed_in(method: Method) -> Result<Request<()>, Failure> {
    let mut request = browser(method, Some("__Host-id=0"))?;
    request.extensions_mut().insert(Authentication::authenticated(Identity::new("ada")));
    Ok(request)
}
