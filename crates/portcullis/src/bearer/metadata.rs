//! [`ResourceMetadata`]: what a service says of itself to clients that have no token yet (RFC 9728).

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};
use tower_service::Service;

use super::error::{BuildError, BuildErrorKind};

/// What a service says of itself: who issues tokens for it, and which scopes there are (RFC 9728, section 2).
///
/// * The document is a [service](Self::service) to put at [`path`](Self::path), where everybody can read it.
/// * [`BearerLayer::resource_metadata`](super::BearerLayer::resource_metadata) puts its [address](Self::url) into
///   challenges, so that a client that is refused finds the issuer by itself.
///
/// Everything in it is configured. Nothing is taken from a request, whose `Host` anybody can choose.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use portcullis::bearer::ResourceMetadata;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metadata = ResourceMetadata::new("https://api.example.com/v1")?
///     .authorization_servers(["https://idp.example.com"])
///     .scopes(["read", "write"]);
/// assert_eq!(metadata.path(), "/.well-known/oauth-protected-resource/v1");
///
/// // In axum: .route_service(metadata.path(), metadata.service::<axum::body::Body>())
/// let service = metadata.service::<Full<Bytes>>();
/// let response = service.oneshot(Request::get(metadata.path()).body(())?).await?;
/// assert_eq!(response.headers()["content-type"], "application/json");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ResourceMetadata {
    url: String,
    path: String,
    document: Map<String, Value>,
    max_age: Duration,
}

/// Answers with the document of a [`ResourceMetadata`], in responses with body `B`.
pub struct MetadataService<B> {
    document: Arc<Document>,
    body: PhantomData<fn() -> B>,
}

#[derive(Debug)]
struct Document {
    path: String,
    json: Bytes,
    cache_control: HeaderValue,
}

/// Where documents of this kind are (RFC 9728, section 3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

impl ResourceMetadata {
    /// The metadata of the service with this identifier, an `https` URL without query and fragment: the one that clients
    /// name as `resource` when they ask for a token (RFC 8707).
    ///
    /// # Errors
    /// When it is none.
    pub fn new(resource: impl Into<String>) -> Result<Self, BuildError> {
        let resource = resource.into();
        let (authority, path) = parts(&resource).ok_or(BuildErrorKind::BadResource)?;
        let path = format!("{WELL_KNOWN}{path}");
        let metadata = Self {
            url: format!("https://{authority}{path}"),
            path,
            document: Map::new(),
            max_age: Duration::from_secs(3600),
        };
        Ok(metadata.set("resource", resource.into()).set("bearer_methods_supported", vec!["header"].into()))
    }

    /// The issuers whose tokens are accepted (`authorization_servers`). Default: none are named.
    pub fn authorization_servers<T: Into<String>>(self, issuers: impl IntoIterator<Item = T>) -> Self {
        self.set("authorization_servers", list(issuers))
    }

    /// The scopes that a client may ask for (`scopes_supported`). Default: none are named.
    pub fn scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.set("scopes_supported", list(scopes))
    }

    /// The name that users are shown (`resource_name`). Default: none.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.set("resource_name", name.into().into())
    }

    /// Any other member, such as `resource_documentation` or `dpop_bound_access_tokens_required` (RFC 9728, section 2), in
    /// place of what it was. Default: `bearer_methods_supported` is `["header"]`.
    ///
    /// # Errors
    /// When it is `resource`, which is the identifier, or cannot be written as JSON.
    pub fn member<T: Serialize + ?Sized>(self, name: &str, value: &T) -> Result<Self, BuildError> {
        match serde_json::to_value(value) {
            Ok(value) if name != "resource" => Ok(self.set(name, value)),
            Ok(_) | Err(_) => Err(BuildErrorKind::BadResource.into()),
        }
    }

    /// For how long the document may be kept by those who have read it. Default: an hour.
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// The address of the document.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of the document on the service's host: `/.well-known/oauth-protected-resource` and the path of the
    /// identifier (RFC 9728, section 3.1).
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The service that answers with the document. It belongs outside of the layers, since who reads it has no token yet.
    ///
    /// It answers GET and HEAD with 200, other methods with 405, and other paths with 404: so it must see the path as the
    /// client has sent it, as by axum's `route_service`.
    pub fn service<B>(&self) -> MetadataService<B> {
        let cache_control = format!("public, max-age={}", self.max_age.as_secs());
        let document = Document {
            path: self.path.clone(),
            json: Value::Object(self.document.clone()).to_string().into(),
            // Of digits and letters.
            cache_control: HeaderValue::from_str(&cache_control)
                .unwrap_or_else(|_| HeaderValue::from_static("public")),
        };
        MetadataService { document: Arc::new(document), body: PhantomData }
    }

    fn set(mut self, name: &str, value: Value) -> Self {
        self.document.insert(name.to_owned(), value);
        self
    }
}

fn list<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Value {
    words.into_iter().map(Into::into).map(Value::String).collect()
}

/// Host and path of an identifier; a lone slash is no path (RFC 9728, section 3.1).
fn parts(resource: &str) -> Option<(String, String)> {
    let uri: Uri = resource.parse().ok()?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?.to_string();
    let is_sound = uri.scheme_str() == Some("https") && !resource.contains(['?', '#']);
    let path = if uri.path() == "/" { "" } else { uri.path() };
    is_sound.then(|| (authority, path.to_owned()))
}

impl Document {
    fn answer<B: Default + From<Bytes>>(&self, method: &Method, path: &str) -> Response<B> {
        if path != self.path {
            return with_status(StatusCode::NOT_FOUND);
        }
        match *method {
            Method::GET => self.found(self.json.clone().into()),
            Method::HEAD => self.found(B::default()),
            _ => {
                let mut response = with_status(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
        }
    }

    fn found<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, self.json.len().into());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        response
    }
}

fn with_status<B: Default>(status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = status;
    response
}

impl<B: Default + From<Bytes>, ReqB> Service<Request<ReqB>> for MetadataService<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        ready(Ok(self.document.answer(request.method(), request.uri().path())))
    }
}

impl<B> Clone for MetadataService<B> {
    fn clone(&self) -> Self {
        Self { document: Arc::clone(&self.document), body: PhantomData }
    }
}

impl<B> fmt::Debug for MetadataService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataService").field("path", &self.document.path).finish_non_exhaustive()
    }
}
