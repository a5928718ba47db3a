//! [`Fetcher`]: one bounded request, and what its answer has to be like.
//!
//! * Over the transport that is allowed, and nowhere else: redirects are not followed.
//! * Connecting takes 2 seconds at most, the whole 5 seconds, the body 512 KiB; of what is asked by a form, 64 KiB.
//! * The status is 200, or 304 to a conditional request; the content is JSON, or does not say what it is.

mod freshness;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::endpoint::Endpoint;
use crate::reach::Connector;

/// What fetches.
#[derive(Clone)]
pub(crate) struct Fetcher {
    client: HttpClient,
    /// The same, and on a new connection each time.
    afresh: HttpClient,
}

type HttpClient = Client<Connector, Full<Bytes>>;

/// An answer that may be used.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The document is the one that was fetched before.
    NotModified {
        ttl: Option<Duration>,
    },
    Document(Document),
}

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) body: Bytes,
    pub(crate) etag: Option<HeaderValue>,
    /// For how long the server says that it holds.
    pub(crate) ttl: Option<Duration>,
}

/// Why there is no answer that may be used.
#[derive(Debug)]
pub(crate) struct FetchError {
    pub(crate) kind: FetchErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The classes of [`FetchError`]: a closed set, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FetchErrorKind {
    /// No connection, or no TLS.
    Connect,
    /// The connection broke.
    Broken,
    Timeout,
    Redirect,
    /// Any status but 200, 304 and those of a redirect.
    Status(StatusCode),
    ContentType,
    TooLarge,
    /// The text is not what it should be.
    Malformed,
    /// The metadata is another issuer's.
    OtherIssuer,
    /// The metadata names no address that may be fetched from.
    BadAddress,
    /// Not one key of the set can be used.
    NoUsableKey,
    /// Another process of the fleet has been asking, and was told nothing.
    Elsewhere,
}

/// How long a connection is kept on which nothing is asked. Servers close theirs after a minute, as a rule.
const IDLE: Duration = Duration::from_secs(20);

const TOTAL: Duration = Duration::from_secs(5);
const LARGEST: usize = 512 * 1024;
const LARGEST_OF_FORM: usize = 64 * 1024;

impl Fetcher {
    /// For requests that are minutes apart: a connection that is kept would be closed by then, or lead to yesterday's
    /// address.
    pub(crate) fn new(connector: Connector) -> Self {
        Self::keeping(0, connector)
    }

    /// For requests that come by the second: this many connections are kept between them.
    pub(crate) fn keeping(idle: usize, connector: Connector) -> Self {
        let client = |idle| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(idle);
            builder.build(connector.clone())
        };
        Self { client: client(idle), afresh: client(0) }
    }

    /// Sends a form, as somebody who may, and reads the answer; also one that says what is wrong with the form (400).
    ///
    /// A server may give up a connection that was kept at the moment at which the form is on its way. So what breaks is tried
    /// once more, on another: to be asked twice does no harm.
    pub(crate) async fn post(
        &self,
        endpoint: &Endpoint,
        authorization: Option<&HeaderValue>,
        form: Bytes,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let request = || form_request(endpoint, authorization, form.clone());
        let exchange = async {
            let response = match send(&self.client, request()).await {
                Err(error) if error.kind == FetchErrorKind::Broken => send(&self.afresh, request()).await?,
                sent => sent?,
            };
            let status = response.status();
            if status != StatusCode::BAD_REQUEST {
                check(&response, LARGEST_OF_FORM)?;
            }
            Ok((status, read(response, LARGEST_OF_FORM).await?))
        };
        tokio::time::timeout(TOTAL, exchange).await.unwrap_or_else(|_| Err(FetchErrorKind::Timeout.into()))
    }

    /// Fetches, unless the document is still the one of this tag.
    pub(crate) async fn get(
        &self,
        endpoint: &Endpoint,
        etag: Option<&HeaderValue>,
    ) -> Result<Answer, FetchError> {
        tokio::time::timeout(TOTAL, self.get_unbounded(endpoint, etag))
            .await
            .unwrap_or_else(|_| Err(FetchErrorKind::Timeout.into()))
    }

    async fn get_unbounded(
        &self,
        endpoint: &Endpoint,
        etag: Option<&HeaderValue>,
    ) -> Result<Answer, FetchError> {
        let response = send(&self.client, request(endpoint, etag)).await?;
        let ttl = freshness::ttl(response.headers());
        if response.status() == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(Answer::NotModified { ttl });
        }
        check(&response, LARGEST)?;
        let etag = response.headers().get(ETAG).cloned();
        let body = read(response, LARGEST).await?;
        Ok(Answer::Document(Document { body, etag, ttl }))
    }
}

async fn send(client: &HttpClient, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, FetchError> {
    client.request(request).await.map_err(|error| {
        let kind = if error.is_connect() { FetchErrorKind::Connect } else { FetchErrorKind::Broken };
        FetchError { kind, source: Some(error.into()) }
    })
}

const AGENT: &str = concat!("portcullis-jwks/", env!("CARGO_PKG_VERSION"));

fn request(endpoint: &Endpoint, etag: Option<&HeaderValue>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = endpoint.uri().clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(etag) = etag {
        headers.insert(IF_NONE_MATCH, etag.clone());
    }
    request
}

fn form_request(
    endpoint: &Endpoint,
    authorization: Option<&HeaderValue>,
    form: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(form));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.uri().clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.extend(authorization.map(|value| (AUTHORIZATION, value.clone())));
    request
}

async fn read(response: Response<Incoming>, largest: usize) -> Result<Bytes, FetchError> {
    Ok(Limited::new(response.into_body(), largest).collect().await.map_err(body_error)?.to_bytes())
}

/// Looks at the head before anything is read of the body.
fn check<B>(response: &Response<B>, largest: usize) -> Result<(), FetchError> {
    let too_large = |headers: &HeaderMap| {
        let length = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        length.is_some_and(|length| length > largest as u64)
    };
    Err(match response.status() {
        StatusCode::OK if !is_json(response.headers()) => FetchErrorKind::ContentType.into(),
        StatusCode::OK if too_large(response.headers()) => FetchErrorKind::TooLarge.into(),
        StatusCode::OK => return Ok(()),
        status if status.is_redirection() => FetchErrorKind::Redirect.into(),
        status => FetchErrorKind::Status(status).into(),
    })
}

/// JSON by its name, or bytes of no certain kind, as file servers send it.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.ends_with("+json")
        || ["application/json", "text/json", "text/plain", "application/octet-stream", "binary/octet-stream"]
            .contains(&media_type.as_str())
}

fn body_error(error: Box<dyn Error + Send + Sync>) -> FetchError {
    let kind = if error.is::<LengthLimitError>() { FetchErrorKind::TooLarge } else { FetchErrorKind::Broken };
    FetchError { kind, source: Some(error) }
}

impl FetchError {
    pub(crate) fn of(kind: FetchErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Whether the server says that there is no such document.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self.kind, FetchErrorKind::Status(StatusCode::NOT_FOUND | StatusCode::GONE))
    }
}

impl FetchErrorKind {
    /// A stable label for counters and log fields.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
            Self::ContentType => "content_type",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::OtherIssuer => "other_issuer",
            Self::BadAddress => "bad_address",
            Self::NoUsableKey => "no_usable_key",
            Self::Elsewhere => "elsewhere",
        }
    }
}

impl From<FetchErrorKind> for FetchError {
    fn from(kind: FetchErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.label())?;
        if let FetchErrorKind::Status(status) = self.kind {
            write!(f, " {}", status.as_u16())?;
        }
        let mut cause = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
