//! [`DocumentService`]: answers GET and HEAD with a JSON document that everybody may read and keep for a while.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

/// A document as it is served.
pub(super) struct Document {
    body: Bytes,
    etag: HeaderValue,
    content_type: HeaderValue,
    cache_control: HeaderValue,
}

/// A tower service that answers GET and HEAD with a JSON document: key sets and metadata.
///
/// `ETag` and `If-None-Match` save clients the document that they have (RFC 9110, section 13.1.2), `Cache-Control` says how
/// long they need not ask, and scripts of any origin may read it. Other methods are 405. It never waits, and never looks
/// at the request's body.
#[must_use]
pub struct DocumentService<B> {
    current: Arc<dyn Fn() -> Arc<Document> + Send + Sync>,
    body: PhantomData<fn() -> B>,
}

impl Document {
    /// A JWK set (RFC 7517, section 8.5.2).
    pub(super) fn jwks(json: String, age: Duration) -> Self {
        Self::new(json, HeaderValue::from_static("application/jwk-set+json"), age)
    }

    /// Any other document.
    pub(super) fn json(json: String, age: Duration) -> Self {
        Self::new(json, HeaderValue::from_static("application/json"), age)
    }

    fn new(json: String, content_type: HeaderValue, age: Duration) -> Self {
        let hash = digest::digest(&digest::SHA256, json.as_bytes());
        let tag = URL_SAFE_NO_PAD.encode(hash.as_ref().get(..16).unwrap_or_default());
        let value = |text: String| {
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("no-cache"))
        };
        Self {
            body: Bytes::from(json),
            etag: value(format!("\"{tag}\"")),
            content_type,
            cache_control: value(format!("public, max-age={}", age.as_secs())),
        }
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    fn answer<B: From<Bytes>>(&self, method: &Method, headers: &HeaderMap) -> Response<B> {
        if method != Method::GET && method != Method::HEAD {
            let mut response = Response::new(B::from(Bytes::new()));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| self.is_named_by(known));
        let is_wanted = !is_known && method == Method::GET;
        let body = if is_wanted { self.body.clone() } else { Bytes::new() };
        let mut response = Response::new(B::from(body));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(ETAG, self.etag.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }

    /// A list of tags, of which weak ones count too, or `*`.
    fn is_named_by(&self, known: &HeaderValue) -> bool {
        let tags = known.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let bare = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes();
        tags.into_iter().any(|tag| tag == b"*" || bare(tag))
    }
}

impl<B> DocumentService<B> {
    pub(super) fn new(current: impl Fn() -> Arc<Document> + Send + Sync + 'static) -> Self {
        Self { current: Arc::new(current), body: PhantomData }
    }
}

impl<T, B: From<Bytes>> Service<Request<T>> for DocumentService<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<T>) -> Self::Future {
        ready(Ok((self.current)().answer(request.method(), request.headers())))
    }
}

impl<B> Clone for DocumentService<B> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current), body: PhantomData }
    }
}

impl<B> fmt::Debug for DocumentService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentService").finish_non_exhaustive()
    }
}
