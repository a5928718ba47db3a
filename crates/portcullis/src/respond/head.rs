//! [`RequestHead`]: what a responder may know about a request. [`Protocol`]: which one its answer must speak.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Extensions, HeaderName, HeaderValue, Method, Uri};

use super::htmx::Htmx;
use crate::guard::Head;

/// What a responder may know about the request that is refused.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) protocol: Protocol,
    pub(super) accept: Option<HeaderValue>,
    /// What `Sec-Fetch-Mode` says about being a navigation, of a method that can be one.
    pub(super) navigates: Option<bool>,
    pub(super) htmx: Option<Box<Htmx>>,
    pub(super) extensions: Extensions,
}

/// Which protocol a request speaks over HTTP, by its content type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// gRPC, with the request's content type (`application/grpc`, `application/grpc+proto`, ...).
    Grpc(HeaderValue),
    /// gRPC-web, with the request's content type (`application/grpc-web`, `application/grpc-web-text`, ...).
    GrpcWeb(HeaderValue),
}

static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

impl RequestHead {
    /// Notes what a responder needs from the request's head. It copies the extensions, so it is for requests that are
    /// refused.
    #[must_use]
    pub fn of<'a>(head: impl Into<Head<'a>>) -> Self {
        let head = head.into();
        let Asked { protocol, accept, navigates } = Asked::by(head);
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            protocol,
            accept: accept.cloned(),
            navigates,
            htmx: Htmx::of(head.headers).map(Box::new),
            extensions: head.extensions.clone(),
        }
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request's URI as the refusing layer saw it; under a nested axum router its prefix is stripped.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What layers outside the refusing one, and the framework, have left with the request. Empty where a session could
    /// not be saved after the handler had run.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    pub(super) fn htmx(&self) -> Option<&Htmx> {
        self.htmx.as_deref()
    }

    /// The protocol that the answer must speak.
    #[must_use]
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The request's `Accept`.
    #[must_use]
    pub fn accept(&self) -> Option<&str> {
        self.accept.as_ref()?.to_str().ok()
    }

    /// Whether a person is on the way to a page: a GET or HEAD with `Sec-Fetch-Mode: navigate`, or, from a browser
    /// too old to say so, with `text/html` in `Accept`.
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        let by_accept = || self.accept().is_some_and(|accept| accept.contains("text/html"));
        self.navigates.unwrap_or_else(by_accept)
    }
}

/// What a request's headers say of the answer that it asks for.
pub(super) struct Asked<'a> {
    pub(super) protocol: Protocol,
    pub(super) accept: Option<&'a HeaderValue>,
    pub(super) navigates: Option<bool>,
}

impl<'a> Asked<'a> {
    /// One pass over a dozen headers costs less than looking three names up.
    pub(super) fn by(head: Head<'a>) -> Self {
        // A navigation that can be repeated elsewhere is a GET or HEAD.
        let can_navigate = matches!(*head.method, Method::GET | Method::HEAD);
        let navigates = if can_navigate { None } else { Some(false) };
        let mut asked = Self { protocol: Protocol::Http, accept: None, navigates };
        for (name, value) in head.headers {
            if *name == CONTENT_TYPE {
                asked.protocol = Protocol::of(value);
            } else if *name == ACCEPT {
                asked.accept.get_or_insert(value);
            } else if can_navigate && *name == SEC_FETCH_MODE {
                asked.navigates = Some(value == "navigate");
            }
        }
        asked
    }
}

impl Protocol {
    /// Of the answer in gRPC or gRPC-web.
    pub(super) fn content_type(&self) -> Option<&HeaderValue> {
        match self {
            Self::Http => None,
            Self::Grpc(content_type) | Self::GrpcWeb(content_type) => Some(content_type),
        }
    }

    fn of(content_type: &HeaderValue) -> Self {
        let bytes = content_type.as_bytes();
        // A base name ends where a suffix (+proto) or a parameter (;charset) begins.
        let is = |name: &[u8]| match bytes.split_at_checked(name.len()) {
            Some((base, rest)) => {
                base.eq_ignore_ascii_case(name) && matches!(rest.first(), None | Some(b'+' | b';'))
            }
            None => false,
        };
        if is(b"application/grpc") {
            Self::Grpc(content_type.clone())
        } else if is(b"application/grpc-web") || is(b"application/grpc-web-text") {
            Self::GrpcWeb(content_type.clone())
        } else {
            Self::Http
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(content_type: Option<&str>) -> RequestHead {
        let mut request = http::Request::post("/svc/Method");
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        RequestHead::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_protocol_is_read_off_the_content_type() {
        let rows = [
            ("none", None, "http"),
            ("json", Some("application/json"), "http"),
            ("text that pretends", Some("text/plain; application/grpc"), "http"),
            ("grpc", Some("application/grpc"), "grpc"),
            ("grpc with a codec", Some("application/grpc+proto"), "grpc"),
            ("grpc in capitals", Some("Application/GRPC"), "grpc"),
            ("grpc-web", Some("application/grpc-web+proto"), "web"),
            ("grpc-web-text", Some("application/grpc-web-text"), "web"),
            ("a longer name", Some("application/grpcfoo"), "http"),
        ];
        for (name, content_type, expected) in rows {
            let found = match head(content_type).protocol() {
                Protocol::Http => "http",
                Protocol::Grpc(_) => "grpc",
                Protocol::GrpcWeb(_) => "web",
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn navigations_are_told_from_scripts() {
        let navigation = |method: &str, name: &'static str, value: &str| {
            let request = http::Request::builder().method(method).header(name, value).body(()).unwrap();
            RequestHead::of(&request.into_parts().0).is_navigation()
        };
        assert!(navigation("GET", "sec-fetch-mode", "navigate"));
        assert!(navigation("GET", "accept", "text/html,*/*"));
        assert!(!navigation("POST", "sec-fetch-mode", "navigate"));
        assert!(!navigation("GET", "sec-fetch-mode", "cors"));
        assert!(!navigation("GET", "accept", "application/json"));
    }
}
