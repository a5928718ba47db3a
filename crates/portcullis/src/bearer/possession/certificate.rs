//! [`ClientCertificate`]: the certificate that a TLS client has shown. [`ClientCertificates`]: where a layer learns of it, for
//! tokens that are bound to one (RFC 8705).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Extensions, HeaderMap, HeaderName};

use crate::bearer::confirmation::Thumbprint;
use crate::bearer::crypto::sha256;

/// The certificate that the client of this connection has shown, and whose key it has proved to hold in the TLS handshake.
///
/// Whatever accepts the connection puts it into the extensions of each request. With rustls it is the first of
/// `peer_certificates()`. Only its SHA-256 is kept.
///
/// ```
/// use portcullis::bearer::ClientCertificate;
///
/// # let der: &[u8] = b"certificate";
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(ClientCertificate::from_der(der));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCertificate(Thumbprint);

/// How a [`BearerLayer`](crate::BearerLayer) accepts tokens that are bound to a client's certificate (`cnf` with `x5t#S256`,
/// RFC 8705, section 3). For [`BearerLayer::certificates`](crate::BearerLayer::certificates).
///
/// * The client's certificate must be the one that the token is bound to; a client without one is refused with 401.
/// * It comes from the connection. A header field is believed only [behind a proxy](Self::behind_proxy) that is trusted.
/// * It is asked for each time, whether the token is known from before or not.
/// * Whether a certificate is valid is for the TLS handshake to say, which may also accept one that is
///   self-signed (RFC 8705, section 2.2): what counts here is that it is this one.
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use portcullis::BearerLayer;
/// use portcullis::bearer::{Audience, ClientCertificates, Issuer, StaticKeys};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-01", "alg": "ES256",
/// #     "x": "A0lw4kyfOjw0LuBAd2dqEBAgLvg4JRYKeBZlcpIE-hA",
/// #     "y": "jktd7sOpZy8S2RYHUZxVLBeruazA-0MiMfaj5GhRUwc"}]}"#;
/// # const UNBOUND: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjIwMjYtMDEifQ.\
/// #     eyJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDAsImlzcyI6Imh0dHBzOi8vaWRwLmV4YW1wbGUiLCJzdWIiOiJhZGEifQ.\
/// #     n94O6RYHHz013YINcWNBQVRACIJ5LAiC4xarum7WP6tWIIAy9u-oQ51l1kjSyc_IAbjhNS8Q05nUoZUyrapdUg";
/// # let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(StaticKeys::jwks(JWKS)?);
/// let bearer = BearerLayer::new([issuer])?.certificates(ClientCertificates::of_connection().required());
///
/// let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
/// // A token that is bound to no certificate is not good enough here.
/// let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {UNBOUND}")).body(String::new())?;
/// assert_eq!(bearer.layer(inner).oneshot(request).await?.status(), 401);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClientCertificates {
    find: Arc<Find>,
    pub(in crate::bearer) required: bool,
}

type Find = dyn Fn(&HeaderMap, &Extensions) -> Option<ClientCertificate> + Send + Sync;

/// The field of RFC 9440, section 2.
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

impl ClientCertificate {
    /// A certificate in DER (X.509).
    #[must_use]
    pub fn from_der(der: impl AsRef<[u8]>) -> Self {
        Self(sha256([der.as_ref()]))
    }

    /// A certificate by the SHA-256 of its DER.
    #[must_use]
    pub const fn from_sha256(thumbprint: [u8; 32]) -> Self {
        Self(thumbprint)
    }

    pub(in crate::bearer) const fn thumbprint(&self) -> &Thumbprint {
        &self.0
    }
}

impl ClientCertificates {
    /// The [`ClientCertificate`] in a request's extensions, where the application has put it that accepts the connection.
    pub fn of_connection() -> Self {
        Self::by(|_, extensions| extensions.get().copied())
    }

    /// The certificate that a proxy names which has accepted the connection for us, in the field `Client-Cert` (RFC 9440);
    /// only where the request comes from one that is trusted, as `is_trusted` tells by the request's extensions: by the
    /// address of its peer, say. From elsewhere the field is not looked at, and what counts is the
    /// [connection](Self::of_connection).
    ///
    /// The proxy has to take the field off requests that bring it along.
    pub fn behind_proxy(is_trusted: impl Fn(&Extensions) -> bool + Send + Sync + 'static) -> Self {
        Self::by(
            move |headers, extensions| {
                if is_trusted(extensions) { named(headers) } else { extensions.get().copied() }
            },
        )
    }

    /// Whatever the application finds: in the field of a proxy that speaks otherwise, for example. It has to know that the
    /// field is the proxy's own word.
    pub fn by(
        find: impl Fn(&HeaderMap, &Extensions) -> Option<ClientCertificate> + Send + Sync + 'static,
    ) -> Self {
        Self { find: Arc::new(find), required: false }
    }

    /// Refuses tokens that are bound to no certificate. Default: they are accepted.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(in crate::bearer) fn find(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Option<ClientCertificate> {
        (self.find)(headers, extensions)
    }
}

/// The one certificate that a proxy names: a byte sequence of structured fields (RFC 9440, section 2.1; RFC 9651, section
/// 3.3.5).
fn named(headers: &HeaderMap) -> Option<ClientCertificate> {
    let mut fields = headers.get_all(CLIENT_CERT).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let base64 = field.as_bytes().trim_ascii().strip_prefix(b":")?.strip_suffix(b":")?;
    let der = STANDARD.decode(base64).ok().filter(|der| !der.is_empty())?;
    Some(ClientCertificate::from_der(der))
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").field("required", &self.required).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::confirmation::thumbprint;

    /// The certificate of RFC 8705, appendix A, and its thumbprint there.
    const RFC_8705: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
    const THUMBPRINT: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

    #[test]
    fn a_thumbprint_is_that_of_rfc_8705() {
        let certificate = ClientCertificate::from_der(STANDARD.decode(RFC_8705).unwrap());
        assert_eq!(Some(certificate.0), thumbprint(THUMBPRINT));
        assert_eq!(ClientCertificate::from_sha256(certificate.0), certificate);
    }

    #[test]
    fn a_proxy_s_word_is_read_strictly() {
        let whole = format!(":{RFC_8705}:");
        let rows: [(&str, &[&str], bool); 11] = [
            ("as RFC 9440 has it", &[&whole], true),
            ("with spaces around", &[&format!(" {whole} ")], true),
            ("none", &[], false),
            ("two", &[&whole, &whole], false),
            ("two in one", &[&format!("{whole}, {whole}")], false),
            ("without colons", &[RFC_8705], false),
            ("without the last", &[&format!(":{RFC_8705}")], false),
            ("nothing in it", &["::"], false),
            ("a colon alone", &[":"], false),
            ("base64url", &[&whole.replace('/', "_")], false),
            ("a PEM text", &["-----BEGIN CERTIFICATE-----"], false),
        ];
        for (name, fields, expected) in rows {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(CLIENT_CERT, field.parse().unwrap());
            }
            let found = named(&headers).map(|certificate| certificate.0);
            assert_eq!(found, expected.then(|| thumbprint(THUMBPRINT)).flatten(), "{name}");
        }
    }
}
