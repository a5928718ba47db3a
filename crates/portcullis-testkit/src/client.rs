//! [`Client`]: a browser in the test process, for any tower service, without a socket.
//!
//! * It keeps cookies as browsers do (RFC 6265bis): [`Jar`] says how.
//! * It sends `Origin` and `Sec-Fetch-*` as browsers do (Fetch, "append a request Origin header"; Fetch Metadata): a
//!   request comes from the app's own page unless it says [`from_origin`](Request::from_origin).
//! * `get` and `post_form` are navigations (links, forms); `post_json` and the others are a script's `fetch`, with
//!   credentials included. [`Request::fetch`] and its siblings choose otherwise.
//! * It does what an attacker's page can make a browser do, and does not ask before: there are no CORS preflights,
//!   and no response is withheld from the test.
//! * Redirects are followed when a request says so.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use axum::{Router, http::{HeaderMap, header::COOKIE}, routing::{get, post}};
//! use portcullis_testkit::client::Client;
//!
//! let app = Router::new()
//!     .route("/login", post(async || [("set-cookie", "__Host-id=42; Secure; Path=/; SameSite=Lax")]))
//!     .route("/account", get(async |headers: HeaderMap| format!("{:?}", headers.get(COOKIE))));
//!
//! let client = Client::new(app);
//! client.post_form("/login", &[("username", "ada")]).await.assert_status(200);
//! assert_eq!(client.get("/account").await.text(), "Some(\"__Host-id=42\")");
//!
//! let image = client.get("/account").from_origin("https://evil.example").subresource("image").await;
//! assert_eq!(image.text(), "None"); // SameSite=Lax
//! # });
//! ```

mod cause;
mod jar;
mod origin;
mod request;
mod response;

pub use jar::Jar;
pub use request::Request;
pub use response::Response;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use portcullis_store::{Clock, SystemClock};
use serde::Serialize;

use self::cause::Mode;
use self::origin::{Origin, Url};
use crate::percent::percent_encoded;

/// A browser that talks to the service `S`, whose requests have bodies of type `B`.
///
/// A clone is another tab: it shares the cookies. [`another`](Self::another) is another browser.
pub struct Client<S, B = Full<Bytes>> {
    service: S,
    base: Origin,
    jar: Jar,
    clock: Arc<dyn Clock>,
    http2: bool,
    body: PhantomData<fn() -> B>,
}

impl<S> Client<S> {
    /// A browser at `https://app.example`, for a service that takes any body, as an `axum::Router` does, or takes
    /// `Full<Bytes>`.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self::with_body(service)
    }
}

impl<S, B> Client<S, B> {
    /// The same for a service whose requests have bodies of type `B`: `Client::<_, axum::body::Body>::with_body(..)`.
    #[must_use]
    pub fn with_body(service: S) -> Self {
        Self {
            service,
            base: Url::parse("https://app.example").origin,
            jar: Jar::default(),
            clock: Arc::new(SystemClock),
            http2: false,
            body: PhantomData,
        }
    }

    /// The origin where the service is: `base("http://localhost:3000")`.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn base(mut self, origin: &str) -> Self {
        self.base = Url::parse(origin).origin;
        self
    }

    /// The clock by which cookies expire. The operating system's by default.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Requests are of HTTP/2: the host stands in the URI (`:authority`), and there is no `Host` header.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Uses these cookies, and shares them with the other holders of the jar.
    #[must_use]
    pub fn with_jar(mut self, jar: Jar) -> Self {
        self.jar = jar;
        self
    }

    /// The cookies.
    #[must_use]
    pub const fn jar(&self) -> &Jar {
        &self.jar
    }
}

impl<S: Clone, B> Client<S, B> {
    /// Another browser, with no cookies, for the same service.
    #[must_use]
    pub fn another(&self) -> Self {
        self.clone().with_jar(Jar::default())
    }

    /// A request with a method of your choice, by a script's `fetch`.
    ///
    /// `url` is a path on this client's origin, or an absolute URL, which the same service is asked for.
    ///
    /// # Panics
    /// When `url` is neither.
    #[must_use = "a request does nothing until it is awaited"]
    #[track_caller]
    pub fn request(&self, method: Method, url: &str) -> Request<S, B> {
        let url = if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() };
        Request::new(self.clone(), method, Url::parse(&url))
    }

    /// A navigation by a link on the app's own page.
    ///
    /// # Panics
    /// As [`request`](Self::request).
    #[must_use = "a request does nothing until it is awaited"]
    #[track_caller]
    pub fn get(&self, url: &str) -> Request<S, B> {
        self.request(Method::GET, url).navigate()
    }

    /// A navigation by a form on the app's own page.
    ///
    /// # Panics
    /// As [`request`](Self::request).
    #[must_use = "a request does nothing until it is awaited"]
    #[track_caller]
    pub fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Request<S, B> {
        let pair =
            |(name, value): &(&str, &str)| format!("{}={}", percent_encoded(name), percent_encoded(value));
        let form = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        let request = self.request(Method::POST, url).navigate();
        request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
    }

    /// A script's `fetch` with a JSON body.
    ///
    /// # Panics
    /// As [`request`](Self::request), and when `value` cannot be JSON.
    #[must_use = "a request does nothing until it is awaited"]
    #[track_caller]
    pub fn post_json(&self, url: &str, value: &(impl Serialize + ?Sized)) -> Request<S, B> {
        let json = serde_json::to_vec(value).expect("the value can be JSON");
        self.request(Method::POST, url).header(CONTENT_TYPE, "application/json").body(json)
    }

    /// A script's `fetch` of a POST without a body.
    ///
    /// # Panics
    /// As [`request`](Self::request).
    #[must_use = "a request does nothing until it is awaited"]
    #[track_caller]
    pub fn post(&self, url: &str) -> Request<S, B> {
        self.request(Method::POST, url)
    }

    /// A WebSocket's opening request (RFC 6455, section 4.1).
    ///
    /// # Panics
    /// As [`request`](Self::request).
    #[must_use = "a request does nothing until it is awaited"]
    #[track_caller]
    pub fn websocket(&self, url: &str) -> Request<S, B> {
        self.request(Method::GET, url)
            .mode(Mode::WebSocket)
            .header(http::header::CONNECTION, "Upgrade")
            .header(http::header::UPGRADE, "websocket")
            .header(http::header::SEC_WEBSOCKET_VERSION, "13")
            .header(http::header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
    }
}

impl<S: Clone, B> Clone for Client<S, B> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            base: self.base.clone(),
            jar: self.jar.clone(),
            clock: self.clock.clone(),
            http2: self.http2,
            body: PhantomData,
        }
    }
}

impl<S, B> fmt::Debug for Client<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).field("jar", &self.jar).finish_non_exhaustive()
    }
}
