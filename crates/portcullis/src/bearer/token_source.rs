//! [`TokenSource`]: where a token may stand besides `Authorization`, how it is found there, and taken off.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, Entry, SEC_WEBSOCKET_PROTOCOL};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

use super::dpop::DPOP;
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

/// `Authorization`, and where else to look.
#[derive(Clone, Default)]
pub(super) struct Sources(Arc<[TokenSource]>);

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

impl Sources {
    /// The same, and this one.
    pub(super) fn with(&self, source: TokenSource) -> Self {
        Self(self.0.iter().cloned().chain([source]).collect())
    }

    /// Whether browsers send a token by themselves from any of them.
    pub(super) fn are_ambient(&self) -> bool {
        self.0.iter().any(|source| source.place().carrier() == Carrier::Ambient)
    }

    /// Looks for what stands in a token's place. In two places there may not be one each.
    pub(super) fn find<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        speaks_dpop: bool,
    ) -> Result<Option<Offered<'a>>, Malformed> {
        let mut found = Offered::find(headers, speaks_dpop)?;
        for source in &*self.0 {
            if let Some(more) = source.find(uri, headers)?
                && found.replace(more).is_some()
            {
                return Err(Malformed::TwoPlaces);
            }
        }
        Ok(found)
    }

    /// Keeps the credentials out of logs: a sensitive value prints as `Sensitive`. A proof is one while it is new.
    ///
    /// Says whether there may be a token: most requests without one have nothing where it could stand.
    pub(super) fn mark_sensitive(&self, headers: &mut HeaderMap, speaks_dpop: bool) -> bool {
        let authorization = headers.get_mut(AUTHORIZATION).map(|value| value.set_sensitive(true));
        // Where no field is there twice, the first was all.
        if authorization.is_some() && headers.len() > headers.keys_len() {
            mark_all(headers, AUTHORIZATION);
        }
        let proof = speaks_dpop.then_some(DPOP);
        for name in self.0.iter().filter_map(TokenSource::header).chain(proof) {
            mark_all(headers, name);
        }
        authorization.is_some() || !self.0.is_empty()
    }

    /// Takes the credential off the request that stood there.
    pub(super) fn strip<B>(&self, place: Place, request: &mut Request<B>) {
        if matches!(place, Place::Authorization | Place::Dpop) {
            request.headers_mut().remove(AUTHORIZATION);
            request.headers_mut().remove(DPOP);
        }
        self.0.iter().filter(|source| source.place() == place).for_each(|source| source.strip(request));
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

fn mark_all(headers: &mut HeaderMap, name: HeaderName) {
    if let Entry::Occupied(mut values) = headers.entry(name) {
        values.iter_mut().for_each(|value| value.set_sensitive(true));
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

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entry(&"Authorization").entries(self.0.iter().map(|source| &source.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Option<(&'static str, Place)>, Malformed>;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
    }

    fn find(
        source: &TokenSource,
        uri: &str,
        headers: &HeaderMap,
    ) -> Result<Option<(String, Place)>, Malformed> {
        let uri: Uri = uri.parse().unwrap();
        let found = Sources::default().with(source.clone()).find(&uri, headers, false)?;
        Ok(found.map(|it| (String::from_utf8(it.as_bytes().to_vec()).unwrap(), it.place())))
    }

    fn expect(expected: Found) -> Result<Option<(String, Place)>, Malformed> {
        expected.map(|found| found.map(|(token, place)| (token.to_owned(), place)))
    }

    /// What is left when the token has been taken off.
    fn stripped(source: &TokenSource, uri: &str, headers: &HeaderMap) -> (String, Vec<String>) {
        let mut request = Request::builder().uri(uri).body(()).unwrap();
        *request.headers_mut() = headers.clone();
        Sources::default().with(source.clone()).strip(source.place(), &mut request);
        let left = request.headers().values().map(|value| value.to_str().unwrap().to_owned()).collect();
        (request.uri().to_string(), left)
    }

    #[test]
    fn every_line_of_a_credential_is_sensitive_and_no_other() {
        let sources = Sources::default().with(TokenSource::cookie("__Host-at").unwrap());
        for name in [AUTHORIZATION, COOKIE, DPOP] {
            for lines in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
                let mut headers = headers(&name, lines);
                headers.append("accept", HeaderValue::from_static("a"));
                headers.append("accept", HeaderValue::from_static("b"));
                sources.mark_sensitive(&mut headers, true);
                for (held, value) in &headers {
                    assert_eq!(value.is_sensitive(), held == name, "{held}: {value:?} of {lines:?}");
                }
            }
        }
    }

    #[test]
    fn a_cookie_is_found_wherever_it_stands_and_taken_off_alone() {
        let source = TokenSource::cookie("__Host-at").unwrap();
        let token = |token| Ok(Some((token, Place::Cookie)));
        let rows: [(&str, &[&str], Found, &[&str]); 11] = [
            ("none", &[], Ok(None), &[]),
            ("alone", &["__Host-at=t"], token("t"), &[]),
            ("among others", &["a=b; __Host-at=t;c=d"], token("t"), &["a=b; c=d"]),
            ("on a second line", &["a=b", "__Host-at=t"], token("t"), &["a=b"]),
            ("spaces around", &[" __Host-at = t ;a=b"], token("t"), &["a=b"]),
            ("empty", &["__Host-at=; a=b"], Ok(None), &["a=b"]),
            ("empty beside a full one", &["__Host-at=; __Host-at=t"], token("t"), &[]),
            ("twice", &["__Host-at=t; __Host-at=t"], Err(Malformed::Twice), &[]),
            ("twice on two lines", &["__Host-at=t", "__Host-at=u"], Err(Malformed::Twice), &[]),
            ("without a value", &["__Host-at"], Ok(None), &["__Host-at"]),
            (
                "others of like names",
                &["x__Host-at=t; __Host-at2=t"],
                Ok(None),
                &["x__Host-at=t; __Host-at2=t"],
            ),
        ];
        for (name, lines, expected, left) in rows {
            let headers = headers(&COOKIE, lines);
            assert_eq!(find(&source, "/", &headers), expect(expected), "{name}");
            assert_eq!(stripped(&source, "/", &headers).1, left, "{name}");
        }
    }

    #[test]
    fn a_subprotocol_is_found_behind_its_marker_and_taken_off_with_it() {
        let source = TokenSource::websocket();
        let token = |token| Ok(Some((token, Place::WebSocket)));
        let rows: [(&str, &[&str], Found, &[&str]); 12] = [
            ("none", &[], Ok(None), &[]),
            ("alone", &["bearer, t.t.t"], token("t.t.t"), &[]),
            ("behind others", &["chat, bearer, t"], token("t"), &["chat"]),
            ("before others", &["bearer,t,chat,soap"], token("t"), &["chat, soap"]),
            ("over two lines", &["chat, bearer", "t, soap"], token("t"), &["chat", "soap"]),
            ("others", &["chat, soap"], Ok(None), &["chat, soap"]),
            ("in capitals", &["Bearer, t"], Ok(None), &["Bearer, t"]),
            ("a name that begins alike", &["bearer.t, u"], Ok(None), &["bearer.t, u"]),
            ("without a token", &["chat, bearer"], Err(Malformed::Syntax), &["chat"]),
            ("an empty token", &["bearer, "], token(""), &[]),
            ("twice", &["bearer, t, bearer, u"], Err(Malformed::Twice), &[]),
            ("the marker as a token", &["bearer, bearer, t"], token("bearer"), &[]),
        ];
        for (name, lines, expected, left) in rows {
            let headers = headers(&SEC_WEBSOCKET_PROTOCOL, lines);
            assert_eq!(find(&source, "/", &headers), expect(expected), "{name}");
            assert_eq!(stripped(&source, "/", &headers).1, left, "{name}");
        }
    }

    #[test]
    fn a_parameter_is_found_by_its_plain_name_and_taken_off_alone() {
        let source = TokenSource::insecure_query("access_token").unwrap();
        let token = |token| Ok(Some((token, Place::Query)));
        let rows: [(&str, Found, &str); 13] = [
            ("/", Ok(None), "/"),
            ("/a?", Ok(None), "/a?"),
            ("/a?access_token=t", token("t"), "/a"),
            ("/a?b=c&access_token=t&d", token("t"), "/a?b=c&d"),
            ("https://api.example/a?access_token=t&b", token("t"), "https://api.example/a?b"),
            ("/a?access_token=t=", token("t="), "/a"),
            ("/a?access_token=", token(""), "/a"),
            ("/a?access_token", token(""), "/a"),
            ("/a?access_token=t&access_token=u", Err(Malformed::Twice), "/a"),
            ("/a?access_token=%74", token("%74"), "/a"),
            ("/a?xaccess_token=t", Ok(None), "/a?xaccess_token=t"),
            ("/a?access_token2=t", Ok(None), "/a?access_token2=t"),
            ("/a?b=access_token=t", Ok(None), "/a?b=access_token=t"),
        ];
        for (uri, expected, left) in rows {
            assert_eq!(find(&source, uri, &HeaderMap::new()), expect(expected), "{uri}");
            assert_eq!(stripped(&source, uri, &HeaderMap::new()).0, left, "{uri}");
        }
    }

    #[test]
    fn the_name_of_a_source_stands_for_itself() {
        for (name, cookie, query) in [
            ("access_token", true, true),
            ("__Host-at", true, true),
            ("a!b", true, false),
            ("a~b", true, true),
            ("", false, false),
            ("a b", false, false),
            ("a;b", false, false),
            ("a=b", false, false),
            ("a&b", true, false),
            ("a%20b", true, false),
            ("\u{e4}", false, false),
        ] {
            let kind = |error: BuildError| error.kind();
            assert_eq!(TokenSource::cookie(name).map_err(kind).is_ok(), cookie, "{name}");
            let by_query = TokenSource::insecure_query(name).map_err(kind);
            assert_eq!(by_query.is_ok(), query, "{name}");
            assert!(by_query.is_ok() || by_query == Err(BuildErrorKind::BadSource));
        }
    }
}
