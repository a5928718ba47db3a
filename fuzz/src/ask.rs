//! [`ask`]: sends a request through a layer, and says what came of it.

use std::convert::Infallible;

use futures_util::FutureExt as _;
use http::{Request, Response};
use portcullis::identity::IdentityExt as _;
use tower::{Layer, Service, ServiceExt as _, service_fn};

/// Status, and the subject if somebody was recognised.
pub(crate) type Answer = (u16, Option<String>);

/// Nothing here has to be waited for: keys and sessions are in memory.
///
/// # Panics
/// When the answer is not at hand, or is a 5xx.
pub(crate) fn ask<L, S>(layer: &L, request: Request<()>) -> Answer
where
    L: Layer<Inner, Service = S>,
    S: Service<Request<()>, Response = Response<Option<String>>, Error = Infallible>,
{
    let inner: Inner = service_fn(tell);
    let response = layer.layer(inner).oneshot(request).now_or_never();
    let response = response.expect("the answer is at hand").unwrap_or_else(|never| match never {});
    let status = response.status().as_u16();
    assert!(status < 500, "{status}");
    (status, response.into_body())
}

/// A handler that says who is calling.
pub(crate) type Inner = tower::util::ServiceFn<
    fn(Request<()>) -> std::future::Ready<Result<Response<Option<String>>, Infallible>>,
>;

fn tell(request: Request<()>) -> std::future::Ready<Result<Response<Option<String>>, Infallible>> {
    std::future::ready(Ok(Response::new(request.identity().map(|me| me.subject().to_owned()))))
}
