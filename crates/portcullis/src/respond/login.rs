//! [`LoginRedirect`]: sends people to sign in, and back to where they were going. [`WayBack`]: another place than the
//! address to keep where that was.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use http::header::LOCATION;
use http::{Extensions, HeaderName, HeaderValue, Response, StatusCode, Uri};

use super::{DefaultResponder, Protocol, RequestHead, Responder, SafePath};
use crate::rejection::Rejection;

/// Sends people to a page where they sign in; whoever else is refused is answered by another responder.
///
/// * Only for [`Unauthenticated`](Rejection::Unauthenticated) and [`StepUp`](Rejection::StepUp).
/// * Only people on the way to a page, by GET or HEAD ([`RequestHead::is_navigation`]): a 303. Scripts get the 401 that
///   they can tell from a page.
/// * htmx (`HX-Request`) gets the 401 with `HX-Redirect`, at which it opens the page whatever the method was.
/// * The way back is a [`SafePath`], by default in the parameter `next`: of a navigation the page that was wanted, of htmx
///   the page that it is part of (`HX-Current-URL`). Nothing else of the request is in the response.
/// * The login page itself is not redirected to itself.
///
/// Whoever has signed in is sent back by the application, which reads `next` as a `SafePath`.
///
/// ```
/// use http::{Request, Response};
/// use portcullis::identity::Authentication;
/// use portcullis::rejection::Rejection;
/// use portcullis::respond::{LoginRedirect, ProblemResponder, RequestHead, Responder};
///
/// let responder = LoginRedirect::to("/login").otherwise(ProblemResponder);
/// let nobody = Rejection::unauthenticated(&Authentication::anonymous());
///
/// let page = Request::get("/account?tab=2").header("sec-fetch-mode", "navigate").body(())?;
/// let response: Response<String> = ask(&responder, &nobody, &page);
/// assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &"/login?next=/account%3Ftab%3D2".parse()?));
///
/// let script = Request::get("/account").header("sec-fetch-mode", "cors").body(())?;
/// assert_eq!(ask(&responder, &nobody, &script).status(), 401);
/// # fn ask<R: Responder<axum::body::Body>>(responder: &R, rejection: &Rejection, request: &Request<()>) -> Response<String> {
/// #     responder.respond(rejection, &RequestHead::of(request)).map(|_| String::new())
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct LoginRedirect<R = DefaultResponder> {
    page: String,
    parameter: String,
    original_uri: Option<OriginalUri>,
    way_back: Option<Arc<dyn WayBack>>,
    otherwise: R,
}

/// Where the page that was wanted is kept while somebody signs in, other than in the address of the login page.
pub trait WayBack: Send + Sync + 'static {
    /// Keeps `wanted` for whoever sent this request, or says that it cannot; then it goes into the address.
    fn keep(&self, wanted: &SafePath, head: &RequestHead) -> bool;
}

type OriginalUri = Arc<dyn Fn(&Extensions) -> Option<&Uri> + Send + Sync>;

static HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

impl LoginRedirect {
    /// Sends people to `page`: a path, or a whole address where somebody else signs them in. What cannot stand in a
    /// header is percent-encoded.
    pub fn to(page: impl AsRef<str>) -> Self {
        Self {
            page: encoded(page.as_ref(), |byte| byte.is_ascii_graphic()),
            parameter: "next".to_owned(),
            original_uri: None,
            way_back: None,
            otherwise: DefaultResponder,
        }
    }
}

impl<R> LoginRedirect<R> {
    /// Who answers all other refusals. Default: [`DefaultResponder`].
    pub fn otherwise<T>(self, otherwise: T) -> LoginRedirect<T> {
        let Self { page, parameter, original_uri, way_back, otherwise: _ } = self;
        LoginRedirect { page, parameter, original_uri, way_back, otherwise }
    }

    /// The name of the parameter that says where to go back to. Default: `next`.
    pub fn parameter(mut self, name: impl AsRef<str>) -> Self {
        self.parameter = encoded(name.as_ref(), is_unreserved);
        self
    }

    /// Where the request's whole URI is, for layers and extractors inside routers that strip a prefix from it. Default: it
    /// is what the layer sees.
    ///
    /// Under axum's `nest`: `.original_uri(|extensions| extensions.get::<OriginalUri>().map(|uri| &uri.0))`.
    pub fn original_uri(
        mut self,
        find: impl Fn(&Extensions) -> Option<&Uri> + Send + Sync + 'static,
    ) -> Self {
        self.original_uri = Some(Arc::new(find));
        self
    }

    /// Keeps the way back elsewhere than in the address, where that is possible: `session::ReturnTo` keeps it in the
    /// session. Default: it stands in the address.
    pub fn way_back(mut self, way_back: impl WayBack) -> Self {
        self.way_back = Some(Arc::new(way_back));
        self
    }

    /// The page to go to from here; `None` when here is that page.
    fn page_for(&self, head: &RequestHead) -> Option<HeaderValue> {
        let uri = self.original_uri.as_ref().and_then(|find| find(head.extensions())).unwrap_or(head.uri());
        if head.htmx().is_none() && uri.path() == self.path() {
            return None;
        }
        let wanted = head.htmx().map_or_else(|| SafePath::of(uri).ok(), |htmx| htmx.page.clone());
        let kept = |wanted: &SafePath| self.way_back.as_ref().is_some_and(|way| way.keep(wanted, head));
        let page = match wanted.filter(|wanted| !kept(wanted)) {
            Some(wanted) => self.with(&wanted),
            None => self.page.clone(),
        };
        HeaderValue::from_str(&page).ok()
    }

    fn path(&self) -> &str {
        self.page.split(['?', '#']).next().unwrap_or_default()
    }

    fn with(&self, wanted: &SafePath) -> String {
        let (page, fragment) = match self.page.split_once('#') {
            Some((page, fragment)) => (page, format!("#{fragment}")),
            None => (self.page.as_str(), String::new()),
        };
        let separator = if page.contains('?') { '&' } else { '?' };
        let value = encoded(wanted.as_str(), |byte| is_unreserved(byte) || byte == b'/');
        format!("{page}{separator}{}={value}{fragment}", self.parameter)
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Percent-encodes each byte that may not stand as it is (RFC 3986, section 2.1).
fn encoded(text: &str, may_stand: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if may_stand(byte) {
            encoded.push(char::from(byte));
        } else {
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn is_mended_by_signing_in(rejection: &Rejection) -> bool {
    matches!(rejection, Rejection::Unauthenticated(_) | Rejection::StepUp { .. })
}

impl<B: Default, R: Responder<B>> Responder<B> for LoginRedirect<R> {
    fn respond(&self, rejection: &Rejection, head: &RequestHead) -> Response<B> {
        let is_person = head.is_navigation() || head.htmx().is_some();
        let is_asked = *head.protocol() == Protocol::Http && is_mended_by_signing_in(rejection) && is_person;
        let page = if is_asked { self.page_for(head) } else { None };
        match page {
            Some(page) if head.htmx().is_some() => {
                let mut response = self.otherwise.respond(rejection, head);
                response.headers_mut().insert(&HX_REDIRECT, page);
                response
            }
            Some(page) => {
                let mut response = Response::new(B::default());
                // Not 302 or 307: the page is fetched by GET, whatever the method was (RFC 9110, section 15.4.4).
                *response.status_mut() = StatusCode::SEE_OTHER;
                response.headers_mut().insert(LOCATION, page);
                response
            }
            None => self.otherwise.respond(rejection, head),
        }
    }
}

impl<R: fmt::Debug> fmt::Debug for LoginRedirect<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRedirect")
            .field("page", &self.page)
            .field("parameter", &self.parameter)
            .field("otherwise", &self.otherwise)
            .finish_non_exhaustive()
    }
}
