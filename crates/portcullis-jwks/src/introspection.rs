//! [`RemoteIntrospection`]: asks an authorization server about opaque tokens (RFC 7662).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use portcullis::bearer::{Introspecting, IntrospectionError, IntrospectionErrorKind, TokenIntrospection};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::endpoint::Endpoint;
use crate::error::{ConfigError, ConfigErrorKind};
use crate::fetch::{FetchError, FetchErrorKind, Fetcher};
use crate::form;
use crate::reach::Reach;

/// Asks an authorization server about opaque tokens, over HTTPS (RFC 7662, section 2.1).
///
/// One POST for each question, with the token in its body, as a client that the server knows. What is answered is kept, and
/// how often is asked, by [`Introspection`](portcullis::bearer::Introspection). Redirects are not followed; the answer is
/// JSON of 64 KiB at most. Certificates are trusted as for [keys](crate#the-fetch).
///
/// A server that does not take the question (400), or says more, has not failed: that request alone is answered with 503, or
/// with 401 if the server says that the token is of a type that it does not support.
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use portcullis::BearerLayer;
/// use portcullis::bearer::{Audience, Introspection, Issuer};
/// use portcullis_jwks::RemoteIntrospection;
/// use portcullis_testkit::idp::FakeIdp;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let idp = FakeIdp::start("api").await; // in place of "https://idp.example"
/// let (id, secret) = FakeIdp::CLIENT;
///
/// let server = RemoteIntrospection::builder(idp.introspection_url()).client(id, secret).insecure_http().build()?;
/// let issuer = Issuer::new(idp.url(), Audience::one_of(["api"]));
/// let bearer = BearerLayer::opaque(Introspection::new(issuer, server))?;
///
/// let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
/// let service = bearer.layer(inner);
/// let with = |token: &str| Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(String::new());
/// let token = idp.opaque_token(serde_json::json!({ "sub": "ada" }));
/// assert_eq!(service.clone().oneshot(with(&token)?).await?.status(), 200);
/// assert_eq!(service.oneshot(with("made-up")?).await?.status(), 401);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RemoteIntrospection(Arc<Server>);

/// The settings of a [`RemoteIntrospection`]. They are checked by [`build`](Self::build).
#[must_use = "a builder does nothing until it builds"]
pub struct RemoteIntrospectionBuilder {
    url: String,
    client: Option<Client>,
    reach: Reach,
}

struct Server {
    fetcher: Fetcher,
    endpoint: Endpoint,
    credentials: Credentials,
}

/// As whom to ask: an id and a secret, and where they go.
struct Client {
    id: Zeroizing<String>,
    secret: Zeroizing<String>,
    place: Place,
}

/// How a client with a secret authenticates (RFC 6749, section 2.3.1; the names are those of RFC 7591, section 2).
enum Place {
    /// `client_secret_basic`.
    Header,
    /// `client_secret_post`.
    Form,
}

/// What each question says of who asks.
enum Credentials {
    Header(HeaderValue),
    /// The fields that follow the question's own.
    Form(Zeroizing<String>),
}

/// How many connections are kept between questions.
const IDLE_CONNECTIONS: usize = 8;

impl RemoteIntrospection {
    /// Asks at this address: the `introspection_endpoint` of the server's metadata (RFC 8414).
    pub fn builder(url: impl Into<String>) -> RemoteIntrospectionBuilder {
        RemoteIntrospectionBuilder { url: url.into(), client: None, reach: Reach::default() }
    }
}

impl RemoteIntrospectionBuilder {
    /// As whom to ask: the id and the secret of a client that may, by HTTP Basic (`client_secret_basic`: RFC 6749, section
    /// 2.3.1). There is no default: a server that answers anybody tells everybody which tokens are good.
    pub fn client(self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.asking_as(id.into(), secret.into(), Place::Header)
    }

    /// As [`client`](Self::client), for a server that knows its client by fields of the form alone: `client_id` and
    /// `client_secret` stand beside the token (`client_secret_post`: RFC 6749, section 2.3.1). Where it takes both, Basic is
    /// the better one, since logs of forms are likelier than of that header. Of the two, the last call counts.
    pub fn client_secret_post(self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.asking_as(id.into(), secret.into(), Place::Form)
    }

    fn asking_as(mut self, id: String, secret: String, place: Place) -> Self {
        self.client = Some(Client { id: id.into(), secret: secret.into(), place });
        self
    }

    /// Certificate authorities to trust besides those of the machine: one or more certificates in PEM. A server's own is none: one
    /// that `openssl req -x509` makes is an authority's, and refused as a server's.
    pub fn add_roots(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.reach.add_roots(pem.as_ref());
        self
    }

    /// Does not trust the certificate authorities that are installed on the machine, only those that are
    /// [added](Self::add_roots). Default: trusts them.
    pub const fn without_system_roots(mut self) -> Self {
        self.reach.forget_system_roots();
        self
    }

    /// Asks through this HTTP proxy; see [`RemoteJwksBuilder::proxy`](crate::RemoteJwksBuilder::proxy). Default: none.
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        self.reach.go_through(url.as_ref());
        self
    }

    /// Allows plain `http` to this machine (`localhost`, `127.0.0.1`, `[::1]`), for development and tests. Default: `https`
    /// only. There is no way to ask elsewhere without TLS: tokens and the client's secret would be there for all to read.
    pub const fn insecure_http(mut self) -> Self {
        self.reach.allow_loopback();
        self
    }

    /// The source. Nobody is asked yet; the certificates that the machine trusts are read.
    ///
    /// # Errors
    /// See [`ConfigErrorKind`].
    pub fn build(self) -> Result<RemoteIntrospection, ConfigError> {
        let Self { url, client, reach } = self;
        let endpoint = Endpoint::parse(&url, reach.transport()).ok_or(ConfigErrorKind::Url)?;
        let credentials = client.as_ref().and_then(Client::credentials).ok_or(ConfigErrorKind::Client)?;
        let fetcher = Fetcher::keeping(IDLE_CONNECTIONS, reach.connector(endpoint.is_https())?);
        Ok(RemoteIntrospection(Arc::new(Server { fetcher, endpoint, credentials })))
    }
}

impl Client {
    fn credentials(&self) -> Option<Credentials> {
        let Self { id, secret, place } = self;
        if id.is_empty() || secret.is_empty() {
            return None;
        }
        match place {
            Place::Header => basic(id, secret).map(Credentials::Header),
            Place::Form => Some(Credentials::Form(fields(id, secret))),
        }
    }
}

/// Both are written as in a form before they are joined (RFC 6749, section 2.3.1), or a colon in the id would end it.
fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let mut pair = Zeroizing::new(String::new());
    form::encode(id, &mut pair);
    pair.push(':');
    form::encode(secret, &mut pair);
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn fields(id: &str, secret: &str) -> Zeroizing<String> {
    let mut fields = Zeroizing::new(String::from("&client_id="));
    form::encode(id, &mut fields);
    fields.push_str("&client_secret=");
    form::encode(secret, &mut fields);
    fields
}

impl Credentials {
    fn header(&self) -> Option<&HeaderValue> {
        match self {
            Self::Header(value) => Some(value),
            Self::Form(_) => None,
        }
    }

    fn fields(&self) -> &str {
        match self {
            Self::Header(_) => "",
            Self::Form(fields) => fields,
        }
    }
}

impl TokenIntrospection for RemoteIntrospection {
    fn introspect(&self, token: &str) -> Introspecting {
        let server = Arc::clone(&self.0);
        let mut form = String::from("token=");
        form::encode(token, &mut form);
        form.push_str("&token_type_hint=access_token");
        form.push_str(server.credentials.fields());
        Box::pin(async move {
            let authorization = server.credentials.header();
            let answer = server.fetcher.post(&server.endpoint, authorization, Bytes::from(form)).await;
            match answer {
                Ok((StatusCode::BAD_REQUEST, body)) => not_taken(&body),
                Ok((_, body)) => Ok(body),
                Err(error) => Err(IntrospectionError::with_source(kind(&error), Failed(error))),
            }
        })
    }
}

/// What it means that the server does not take the question, by the error that it names (RFC 6749, section 5.2). Whoever brings
/// a token decides what it looks like: only what is said of the client is a failure.
fn not_taken(body: &[u8]) -> Result<Bytes, IntrospectionError> {
    let error = serde_json::from_slice::<Refused>(body).map(|Refused { error }| error).unwrap_or_default();
    let kind = match error.as_str() {
        // It is another kind of token than those that the server is asked about (RFC 7009, section 2.2.1).
        "unsupported_token_type" => return Ok(Bytes::from_static(br#"{"active":false}"#)),
        "invalid_client" | "unauthorized_client" => IntrospectionErrorKind::Unauthorized,
        _ => IntrospectionErrorKind::Rejected,
    };
    let status = FetchErrorKind::Status(StatusCode::BAD_REQUEST);
    Err(IntrospectionError::with_source(kind, Failed(status.into())))
}

/// An error response.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

fn kind(error: &FetchError) -> IntrospectionErrorKind {
    match error.kind {
        FetchErrorKind::Timeout => IntrospectionErrorKind::Timeout,
        FetchErrorKind::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            IntrospectionErrorKind::Unauthorized
        }
        FetchErrorKind::Connect
        | FetchErrorKind::Broken
        | FetchErrorKind::Status(_)
        | FetchErrorKind::Elsewhere => IntrospectionErrorKind::Unavailable,
        // Of a user with many groups there is much to say.
        FetchErrorKind::TooLarge => IntrospectionErrorKind::Rejected,
        FetchErrorKind::Redirect
        | FetchErrorKind::ContentType
        | FetchErrorKind::Malformed
        | FetchErrorKind::OtherIssuer
        | FetchErrorKind::BadAddress
        | FetchErrorKind::NoUsableKey => IntrospectionErrorKind::Malformed,
    }
}

/// What went wrong, for operators: of the request it says nothing.
#[derive(Debug)]
struct Failed(FetchError);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

impl fmt::Debug for RemoteIntrospection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteIntrospection").field(&self.0.endpoint.label()).finish()
    }
}

impl fmt::Debug for RemoteIntrospectionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteIntrospectionBuilder")
            .field("reach", &self.reach)
            .field("has_client", &self.client.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_name_and_secret_are_written_as_in_a_form() {
        // "a%3Ab:p+%25%C3%BC", by Python's urllib.parse.quote_plus and base64.
        assert_eq!(basic("a:b", "p %\u{fc}").unwrap(), "Basic YSUzQWI6cCslMjUlQzMlQkM=");
        assert!(basic("id", "secret").unwrap().is_sensitive());
        assert_eq!(fields("a&b", "p %").as_str(), "&client_id=a%26b&client_secret=p+%25");
    }

    #[test]
    fn what_a_failure_says_of_the_server_of_us_or_of_the_token_is_told_apart() {
        use IntrospectionErrorKind::{Malformed, Rejected, Timeout, Unauthorized, Unavailable};
        for (failure, expected) in [
            (FetchErrorKind::Timeout, Timeout),
            (FetchErrorKind::Connect, Unavailable),
            (FetchErrorKind::Status(StatusCode::UNAUTHORIZED), Unauthorized),
            (FetchErrorKind::Status(StatusCode::FORBIDDEN), Unauthorized),
            (FetchErrorKind::Status(StatusCode::TOO_MANY_REQUESTS), Unavailable),
            (FetchErrorKind::TooLarge, Rejected),
            (FetchErrorKind::Redirect, Malformed),
        ] {
            assert_eq!(kind(&failure.into()), expected, "{failure:?}");
        }
        for (body, expected) in [
            (r#"{"error":"invalid_client"}"#, Some(Unauthorized)),
            (r#"{"error":"unauthorized_client"}"#, Some(Unauthorized)),
            (r#"{"error":"invalid_request"}"#, Some(Rejected)),
            ("no JSON", Some(Rejected)),
            (r#"{"error":"unsupported_token_type"}"#, None),
        ] {
            assert_eq!(not_taken(body.as_bytes()).err().map(|error| error.kind()), expected, "{body}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let at = || RemoteIntrospection::builder("https://idp.example/introspect?key=hush");
        for builder in [at().client("id", "s3cret"), at().client_secret_post("id", "s3cret")] {
            assert!(!format!("{builder:?}").contains("s3cret"), "{builder:?}");
            let built = builder.build().unwrap();
            assert_eq!(format!("{built:?}"), r#"RemoteIntrospection("idp.example/introspect")"#);
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused() {
        let at = |url: &str| RemoteIntrospection::builder(url).client("id", "secret");
        for (name, builder, expected) in [
            ("plain http", at("http://idp.example/"), ConfigErrorKind::Url),
            ("plain http, elsewhere", at("http://idp.example/").insecure_http(), ConfigErrorKind::Url),
            ("a name in it", at("https://ada@idp.example/"), ConfigErrorKind::Url),
            ("nobody", RemoteIntrospection::builder("https://idp.example/"), ConfigErrorKind::Client),
            ("no secret", at("https://idp.example/").client("id", ""), ConfigErrorKind::Client),
            ("no id", at("https://idp.example/").client("", "secret"), ConfigErrorKind::Client),
            (
                "no secret in a form",
                at("https://idp.example/").client_secret_post("id", ""),
                ConfigErrorKind::Client,
            ),
            ("no certificate", at("https://idp.example/").add_roots("none"), ConfigErrorKind::Certificate),
            ("no roots", at("https://idp.example/").without_system_roots(), ConfigErrorKind::NoRoots),
        ] {
            assert_eq!(builder.build().unwrap_err().kind(), expected, "{name}");
        }
        assert!(at("http://127.0.0.1:1/").insecure_http().build().is_ok());
    }
}
