//! [`Request`]: one request, as a browser would send it, and what a test changes about it.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Extensions, HeaderMap, Method, StatusCode, Version};
use http_body::Body;
use tower_service::Service;

use super::cause::{Cause, Initiator, Mode};
use super::jar::Visit;
use super::origin::{Relation, Url};
use super::{Client, Response};

/// A request in the making. Await it, or [`send`](Self::send) it.
#[must_use = "a request does nothing until it is awaited"]
pub struct Request<S, B> {
    client: Client<S, B>,
    method: Method,
    url: Url,
    cause: Cause,
    browser: bool,
    cookies: bool,
    follow: bool,
    headers: HeaderMap,
    without: Vec<HeaderName>,
    extensions: Extensions,
    body: Bytes,
}

/// What changes from one redirect to the next.
struct Hop {
    url: Url,
    method: Method,
    body: Bytes,
    relation: Relation,
}

const MOST_REDIRECTS: usize = 20;

impl<S, B> Request<S, B> {
    pub(super) fn new(client: Client<S, B>, method: Method, url: Url) -> Self {
        let cause = Cause::fetch_by(client.base.clone());
        Self {
            client,
            method,
            url,
            cause,
            browser: true,
            cookies: true,
            follow: false,
            headers: HeaderMap::new(),
            without: Vec::new(),
            extensions: Extensions::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn mode(mut self, mode: Mode) -> Self {
        self.cause.set_mode(mode);
        self
    }

    /// It comes from a page of this origin: `from_origin("https://evil.example")`. `null` is an opaque origin, that
    /// of a sandboxed frame.
    ///
    /// # Panics
    /// When it is no origin.
    #[track_caller]
    pub fn from_origin(mut self, origin: &str) -> Self {
        self.cause.initiator =
            if origin == "null" { Initiator::Opaque } else { Initiator::Page(Url::parse(origin).origin) };
        self
    }

    /// It comes from nobody's page: the user typed the address, or opened a bookmark.
    pub fn typed(mut self) -> Self {
        self.cause.initiator = Initiator::User;
        self.navigate()
    }

    /// A link or a form: the response becomes the page.
    pub fn navigate(self) -> Self {
        self.mode(Mode::Navigate)
    }

    /// A script's `fetch`, with credentials.
    pub fn fetch(self) -> Self {
        self.mode(Mode::Cors)
    }

    /// A part of a page, such as an `image`, `script` or `iframe`; the name goes into `Sec-Fetch-Dest`.
    pub fn subresource(self, destination: &'static str) -> Self {
        let mode = if destination == "iframe" { Mode::Navigate } else { Mode::NoCors };
        let mut request = self.mode(mode);
        request.cause.destination = destination;
        request
    }

    /// It comes from a program and not from a browser: no cookies, no `Origin`, no `Sec-Fetch-*`.
    pub fn without_browser(mut self) -> Self {
        self.browser = false;
        self.without_cookies()
    }

    /// Cookies are neither sent nor taken.
    pub const fn without_cookies(mut self) -> Self {
        self.cookies = false;
        self
    }

    /// Adds a header field. It stands in place of what the client would have sent under this name.
    ///
    /// # Panics
    /// When name or value are not legal.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: fmt::Debug>,
        V: TryInto<HeaderValue, Error: fmt::Debug>,
    {
        let name = name.try_into().expect("a legal name of a header field");
        let value = value.try_into().expect("a legal value of a header field");
        self.headers.append(name, value);
        self
    }

    /// Sends no header field of this name, such as `sec-fetch-site`, which old browsers do not send.
    ///
    /// # Panics
    /// When the name is not legal.
    #[track_caller]
    pub fn without_header(mut self, name: &str) -> Self {
        let name = name.parse().unwrap_or_else(|_| panic!("not the name of a header field: {name:?}"));
        self.without.push(name);
        self
    }

    /// `Authorization: Bearer` and this token (RFC 6750, section 2.1).
    ///
    /// # Panics
    /// When it cannot stand in a header.
    #[track_caller]
    pub fn bearer(self, token: impl fmt::Display) -> Self {
        self.header(header::AUTHORIZATION, format!("Bearer {token}"))
    }

    /// The body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// An extension, as a server would add: axum's `ConnectInfo`, a TLS peer's certificate.
    pub fn extension(mut self, value: impl Clone + Send + Sync + 'static) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Redirects are followed, up to 20; the response is the last one.
    pub const fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// The header fields that a browser adds of itself.
    fn own_headers(&self, hop: &Hop) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.client.http2 {
            let host = hop.url.origin.authority().parse().expect("a URL's host is a legal value");
            headers.insert(header::HOST, host);
        }
        if self.browser {
            headers.extend(self.cause.headers(&hop.url, &hop.method, hop.relation));
        }
        if let Some(cookies) = self.cookies.then(|| self.client.jar.header(&self.visit(hop))).flatten() {
            headers.insert(header::COOKIE, cookies);
        }
        headers
    }

    fn visit<'a>(&self, hop: &'a Hop) -> Visit<'a> {
        self.cause.visit(&hop.url, &hop.method, self.client.clock.now())
    }
}

impl<S, B, R> Request<S, B>
where
    S: Service<http::Request<B>, Response = http::Response<R>, Error: fmt::Debug>,
    B: From<Bytes>,
    R: Body<Error: fmt::Debug>,
{
    /// Sends it and reads the whole response. The same as awaiting it, also where the service's future is not `Send`.
    ///
    /// # Panics
    /// When the service or the body fails, or redirects do not end.
    pub async fn send(mut self) -> Response {
        let relation = self.cause.relation(&self.url);
        let mut hop = Hop {
            url: self.url.clone(),
            method: self.method.clone(),
            body: std::mem::take(&mut self.body),
            relation,
        };
        for _ in 0..=MOST_REDIRECTS {
            let response = self.exchange(&hop).await;
            let next = if self.follow { self.next_hop(&hop, &response) } else { None };
            match next {
                Some(next) => hop = next,
                None => return response,
            }
        }
        panic!(
            "more than {MOST_REDIRECTS} redirects, the last to {}{}",
            hop.url.origin, hop.url.path_and_query
        )
    }

    async fn exchange(&mut self, hop: &Hop) -> Response {
        let request = self.build(hop);
        let service = &mut self.client.service;
        poll_fn(|context| service.poll_ready(context)).await.expect("the service is ready");
        let (head, body) = service.call(request).await.expect("the service answers").into_parts();
        let response = Response::read(head, body).await;
        if self.cookies {
            self.client.jar.take_all(&response.headers, &self.visit(hop));
        }
        response
    }

    fn build(&self, hop: &Hop) -> http::Request<B> {
        let mut request = http::Request::new(B::from(hop.body.clone()));
        *request.method_mut() = hop.method.clone();
        *request.extensions_mut() = self.extensions.clone();
        let target = &hop.url.path_and_query;
        let uri = if self.client.http2 { format!("{}{target}", hop.url.origin) } else { target.clone() };
        *request.uri_mut() = uri.parse().expect("a URL has a legal target");
        *request.version_mut() = if self.client.http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let mut headers = self.own_headers(hop);
        for name in self.headers.keys() {
            headers.remove(name);
        }
        headers.extend(self.headers.clone());
        for name in &self.without {
            headers.remove(name);
        }
        *request.headers_mut() = headers;
        request
    }

    /// Where a redirect leads (Fetch, section 4.4, "HTTP-redirect fetch").
    fn next_hop(&mut self, hop: &Hop, response: &Response) -> Option<Hop> {
        let url = hop.url.join(response.header("location")?)?;
        let becomes_get = match response.status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => hop.method == Method::POST,
            StatusCode::SEE_OTHER => hop.method != Method::HEAD,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return None,
        };
        if becomes_get {
            self.headers.remove(header::CONTENT_TYPE);
        }
        if url.origin != hop.url.origin {
            self.headers.remove(header::AUTHORIZATION);
        }
        let (method, body) =
            if becomes_get { (Method::GET, Bytes::new()) } else { (hop.method.clone(), hop.body.clone()) };
        // Sec-Fetch-Site tells the worst relation on the way.
        let relation = hop.relation.max(self.cause.relation(&url));
        Some(Hop { url, method, body, relation })
    }
}

impl<S, B, R> IntoFuture for Request<S, B>
where
    S: Service<http::Request<B>, Response = http::Response<R>, Error: fmt::Debug, Future: Send>
        + Send
        + 'static,
    B: From<Bytes> + Send + 'static,
    R: Body<Data: Send, Error: fmt::Debug> + Send + 'static,
{
    type Output = Response;
    type IntoFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<S, B> fmt::Debug for Request<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}
