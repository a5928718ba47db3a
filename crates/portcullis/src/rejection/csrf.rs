//! [`CsrfReason`]: why a request did not prove where it came from, and what would mend it.

/// Why a request did not prove where it came from. Rows of the decision table of the `csrf` module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CsrfReason {
    /// The request's host is not among the allowed ones.
    HostNotAllowed,
    /// Several `Origin`, `Sec-Fetch-Site` or `Host` headers, or one that cannot be read.
    MalformedMetadata,
    /// The browser says that another site made it send the request.
    CrossSite,
    /// The browser says that another host of the same site made it send the request.
    SameSite,
    /// `Origin` is neither the service's own nor a trusted one.
    OriginMismatch,
    /// A WebSocket handshake from an origin that is neither the service's own nor a trusted one.
    WebSocketOrigin,
    /// Neither `Sec-Fetch-Site` nor `Origin` came along, but a credential that browsers send by themselves did.
    MissingMetadata,
    /// A token came along that was made for another session, or by another key; nothing else proves the origin.
    TokenMismatch,
    /// A form that must hold a token holds none.
    MissingToken,
}

/// In the extensions of a request that `CsrfLayer` let pass only because it knew of no ambient credential, or took them
/// away: why it is refused should a layer further in find one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unproven {
    pub(crate) reason: CsrfReason,
    /// What layers further out had found was taken away; a session that is found further in must not take its place.
    pub(crate) dropped: bool,
    /// Counts the refusal.
    pub(crate) count: fn(CsrfReason),
}

impl CsrfReason {
    /// What is probably wrong, and what would mend it, for the developer who meets the refusal.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::HostNotAllowed => {
                "the request's Host is not one that this service answers to; name it in allowed_hosts"
            }
            Self::MalformedMetadata => {
                "the request has several Origin, Sec-Fetch-Site or Host headers, or one that is malformed; \
                 a proxy may have added it"
            }
            Self::CrossSite => {
                "another site made the browser send this request; if that site is yours, name it with \
                 add_trusted_origin"
            }
            Self::SameSite => {
                "another host of this site made the browser send this request; if it is to be trusted, name it with \
                 add_trusted_origin or set same_site(SameSite::Allow)"
            }
            Self::OriginMismatch => {
                "Origin does not match the request's Host; behind a proxy that rewrites Host, set public_origin; \
                 Origin: null comes from a sandboxed page or Referrer-Policy: no-referrer"
            }
            Self::WebSocketOrigin => {
                "a WebSocket handshake must come from this service's own or a trusted origin"
            }
            Self::MissingMetadata => {
                "the request carries a cookie or other credential that browsers send by themselves, but neither \
                 Sec-Fetch-Site nor Origin; outside a browser send the service's own origin, as in \
                 curl -H 'Origin: https://www.example.com'"
            }
            Self::TokenMismatch => {
                "the CSRF token belongs to another session: the page was loaded before somebody signed in or out,                  perhaps in another tab; load it again and send the form once more"
            }
            Self::MissingToken => {
                "the form holds no CSRF token; put token.field() into it, or send token.header() along"
            }
        }
    }

    /// A stable label for counters and log fields.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::HostNotAllowed => "host_not_allowed",
            Self::MalformedMetadata => "malformed_metadata",
            Self::CrossSite => "cross_site",
            Self::SameSite => "same_site",
            Self::OriginMismatch => "origin_mismatch",
            Self::WebSocketOrigin => "websocket_origin",
            Self::MissingMetadata => "missing_metadata",
            Self::TokenMismatch => "token_mismatch",
            Self::MissingToken => "missing_token",
        }
    }
}
