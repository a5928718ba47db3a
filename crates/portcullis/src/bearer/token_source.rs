//! [`TokenSource`]: where a token may stand besides `Authorization`, how it is found there, and taken off.

mod sources;

use http::header::{COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

pub(super) use self::sources::Sources;
use super::error::{BuildError, BuildErrorKind};
use super::token::{Malformed, Offered};
use crate::cookie_line;
use crate::identity::Carrier;

/// Where a token may stand besides `Authorization`, for [`BearerLayer::add_source`](super::BearerLayer::add_source).
///
/// A request with tokens in two places, or two in one, is refused with 400.
///
/// ```
/// use portcullis::bearer::TokenSource;
///
/// let for_browsers = TokenSource::cookie("__Host-access")?;
/// let for_websockets = TokenSource::websocket();
/// # let _ = (for_browsers, for_websockets);
/// # Ok::<(), portcullis::bearer::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Cookie(Box<str>),
    WebSocket,
    Query(Box<str>),
}

/// Where a token stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Authorization,
    /// There as well, by the scheme `DPoP`.
    Dpop,
    Cookie,
    WebSocket,
    Query,
}

/// The subprotocol that says that the next one is a token.
const SUBPROTOCOL: &str = "bearer";

impl TokenSource {
    /// The value of this cookie, for a browser application whose pages must not see the token. An empty value is no token.
    ///
    /// Browsers send cookies by themselves, also with what another site makes them send. So whoever is recognised by it
    /// counts as [`Carrier::Ambient`], and `CsrfLayer` asks them where a request comes from. Name it `__Host-...`, make it
    /// `HttpOnly` and `Secure`, and let it end no later than the token: one that is over is refused with 401 on every path
    /// that the layer guards.
    ///
    /// # Errors
    /// When the name is not an RFC 9110 token, as cookie names are (RFC 6265, section 4.1.1).
    pub fn cookie(name: impl Into<String>) -> Result<Self, BuildError> {
        let name = name.into();
        let is_token = !name.is_empty() && name.bytes().all(super::token::is_token_char);
        if is_token { Ok(Self(Kind::Cookie(name.into()))) } else { Err(BuildErrorKind::BadSource.into()) }
    }

    /// The subprotocol behind `bearer` in `Sec-WebSocket-Protocol`, because pages can set no other header of a WebSocket's
    /// handshake: `new WebSocket(url, ["chat", "bearer", token])`.
    ///
    /// Both are taken off the request, whether the layer [strips](super::BearerLayer::strip_token) tokens or not, so that
    /// nobody further in chooses one of them or sends the token back. When the service chooses no subprotocol, `bearer` is
    /// answered, without which browsers close the connection.
    pub const fn websocket() -> Self {
        Self(Kind::WebSocket)
    }

    /// The value of this parameter in the URI's query, `access_token` by RFC 6750, section 2.3.
    ///
    /// Insecure: URIs stand in logs, in browsers' histories and in `Referer`, and a token with them. A successful response
    /// gets `Cache-Control: private` unless it has another. The value is compared as it stands, without percent-decoding.
    ///
    /// # Errors
    /// When the name is not made of letters, digits, `-`, `.`, `_` and `~`, which need no encoding (RFC 3986, section 2.3).
    pub fn insecure_query(name: impl Into<String>) -> Result<Self, BuildError> {
        let name = name.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let sound = !name.is_empty() && name.bytes().all(plain);
        if sound { Ok(Self(Kind::Query(name.into()))) } else { Err(BuildErrorKind::BadSource.into()) }
    }

    /// What stands there.
    fn find<'a>(&self, uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<Offered<'a>>, Malformed> {
        let found = match &self.0 {
            Kind::Cookie(name) => only(cookies(headers, name))?,
            Kind::WebSocket => {
                only(protocols(headers))?.map(|token| token.ok_or(Malformed::Syntax)).transpose()?
            }
            Kind::Query(name) => only(parameters(uri, name))?,
        };
        Ok(found.map(|bytes| Offered::new(bytes, self.place())))
    }

    const fn place(&self) -> Place {
        match self.0 {
            Kind::Cookie(_) => Place::Cookie,
            Kind::WebSocket => Place::WebSocket,
            Kind::Query(_) => Place::Query,
        }
    }

    fn header(&self) -> Option<HeaderName> {
        match self.0 {
            Kind::Cookie(_) => Some(COOKIE),
            Kind::WebSocket => Some(SEC_WEBSOCKET_PROTOCOL),
            Kind::Query(_) => None,
        }
    }

    /// Takes off what stands there.
    fn strip<B>(&self, request: &mut Request<B>) {
        match &self.0 {
            Kind::Cookie(name) => strip_cookie(request.headers_mut(), name),
            Kind::WebSocket => strip_protocols(request.headers_mut()),
            Kind::Query(name) => strip_parameter(request.uri_mut(), name),
        }
    }
}

impl Place {
    /// Whether a browser has put it there of its own accord.
    pub(super) const fn carrier(self) -> Carrier {
        match self {
            Self::Cookie => Carrier::Ambient,
            Self::Authorization | Self::Dpop | Self::WebSocket | Self::Query => Carrier::Explicit,
        }
    }
}

/// The subprotocol that is answered when the service has chosen none.
pub(super) const fn subprotocol() -> HeaderValue {
    HeaderValue::from_static(SUBPROTOCOL)
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Malformed> {
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Malformed::Twice),
        (value, None) => Ok(value),
    }
}

/// The values of the cookies of this name that are not empty.
fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(COOKIE).into_iter();
    let pairs = lines.flat_map(|line| cookie_line::pairs(line.as_bytes()));
    pairs.filter_map(move |pair| cookie_line::value(pair, name)).filter(|value| !value.is_empty())
}

fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    let lines = lists(headers, &COOKIE, b';', |pair| cookie_line::value(pair, name).is_none());
    replace(headers, &COOKIE, lines, b"; ");
}

/// What stands behind each `bearer`; `None` if nothing does.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = Option<&[u8]>> {
    let mut offered = list(headers);
    std::iter::from_fn(move || {
        offered.by_ref().find(|&name| name == SUBPROTOCOL.as_bytes())?;
        Some(offered.next())
    })
}

/// The subprotocols that a client offers, a list over all lines (RFC 6455, section 11.3.4).
fn list(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

fn strip_protocols(headers: &mut HeaderMap) {
    let mut is_token = false;
    let lines = lists(headers, &SEC_WEBSOCKET_PROTOCOL, b',', |name| {
        let is_marker = name == SUBPROTOCOL.as_bytes();
        !std::mem::replace(&mut is_token, is_marker) && !is_marker
    });
    replace(headers, &SEC_WEBSOCKET_PROTOCOL, lines, b", ");
}

/// The elements of each line that are kept.
fn lists(
    headers: &HeaderMap,
    name: &HeaderName,
    separator: u8,
    mut keep: impl FnMut(&[u8]) -> bool,
) -> Vec<Vec<Vec<u8>>> {
    let elements = |line: &HeaderValue| {
        line.as_bytes()
            .split(|&byte| byte == separator)
            .map(<[u8]>::trim_ascii)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let lines = headers.get_all(name).iter();
    lines.map(|line| elements(line).into_iter().filter(|element| keep(element)).collect()).collect()
}

/// These lines in place of those that there are, each as sensitive as they.
fn replace(headers: &mut HeaderMap, name: &HeaderName, lines: Vec<Vec<Vec<u8>>>, separator: &[u8]) {
    headers.remove(name);
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        // Of the bytes of a header's value.
        if let Ok(mut value) = HeaderValue::from_bytes(&line.join(separator)) {
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
}

fn pairs(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().into_iter().flat_map(|query| query.split('&'))
}

/// The values of the parameters of this name.
fn parameters<'a>(uri: &'a Uri, name: &str) -> impl Iterator<Item = &'a [u8]> {
    pairs(uri).filter_map(move |pair| parameter(pair, name)).map(str::as_bytes)
}

/// A name without a value has an empty one.
fn parameter<'a>(pair: &'a str, name: &str) -> Option<&'a str> {
    let (held, value) = pair.split_once('=').unwrap_or((pair, ""));
    (held == name).then_some(value)
}

fn strip_parameter(uri: &mut Uri, name: &str) {
    let kept: Vec<_> = pairs(uri).filter(|pair| parameter(pair, name).is_none()).collect();
    let separator = if kept.is_empty() { "" } else { "?" };
    let rest = format!("{}{separator}{}", uri.path(), kept.join("&"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(rest).ok();
    // Of a part of what was a URI. Should it be none, better none at all than one with a token.
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

#[cfg(test)]
mod tests;
