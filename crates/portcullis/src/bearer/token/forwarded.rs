//! [`ForwardedToken`]: the token of a request, for handlers that call another service in its caller's name.

use http::{Extensions, HeaderValue};

use crate::realm::Forwarded;

/// The token that a request came with, for a handler that hands it on; where
/// [`BearerLayer::forward_token`](crate::bearer::BearerLayer::forward_token) says that there is one.
///
/// It is good for whoever gets it, until it expires, at every service that it is meant for. So hand it on only to a service that
/// the token names as its audience, over HTTPS; for any other, have it exchanged for one of that service (RFC 8693).
///
/// A token that is bound to its holder's key or certificate (DPoP, mTLS) is of no use to anybody else, and so not to the next
/// service either. Of several layers with tokens on one path it is that of the innermost one.
///
/// Neither its `Debug` nor that of [`authorization`](Self::authorization) shows it.
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use portcullis::bearer::ForwardedToken;
///
/// async fn handler(request: Request<String>) -> Result<Response<String>, http::Error> {
///     let Some(token) = ForwardedToken::of(request.extensions()) else {
///         return Response::builder().status(401).body(String::new());
///     };
///     let further = Request::get("https://orders.example/mine").header(AUTHORIZATION, token.authorization());
///     # drop(further);
///     // Send it.
///     Ok(Response::new(String::new()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ForwardedToken(HeaderValue);

const SCHEME: &str = "Bearer ";

impl ForwardedToken {
    /// The token of the request with these extensions, if it came with one that was let in, and the layer hands tokens on.
    ///
    /// There is none where [`OnFailure::DropIdentity`](crate::csrf::OnFailure) has made the request nobody's.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().map(|Forwarded(value)| Self(value.clone()))
    }

    /// A value for `Authorization`, by the scheme `Bearer`, wherever the token stood. It is marked as sensitive.
    #[must_use]
    pub fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The token alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Of visible ASCII, as tokens are.
        self.0.to_str().ok().and_then(|value| value.strip_prefix(SCHEME)).unwrap_or_default()
    }
}

/// What is left in a request's extensions for it.
pub(in crate::bearer) fn forwarded(token: &[u8]) -> Option<Forwarded> {
    let mut value = HeaderValue::from_bytes(&[SCHEME.as_bytes(), token].concat()).ok()?;
    value.set_sensitive(true);
    Some(Forwarded(value))
}
