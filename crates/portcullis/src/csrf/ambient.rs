//! [`Ambient`]: whether a credential came along that browsers send by themselves.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::guard::Head;
use crate::identity::{Carrier, Seen};
use crate::realm::looks;

/// Whether a credential came along that browsers send by themselves, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ambient {
    /// A layer outside this one has looked, and this is what it found.
    Known(bool),
    /// No layer has looked; by the headers, on the safe side.
    Guessed(bool),
}

impl Ambient {
    /// Judges by the identities if layers have looked for some, in whatever realm, else by the headers.
    pub(super) fn of(head: Head<'_>) -> Self {
        looks(head.extensions)
            .map(|(_, look)| is_ambient(look.seen, head.headers))
            .reduce(|one, other| one || other)
            .map_or_else(|| Self::Guessed(may_be_in(head.headers)), Self::Known)
    }

    pub(super) fn came_along(self) -> bool {
        match self {
            Self::Known(came_along) | Self::Guessed(came_along) => came_along,
        }
    }
}

fn is_ambient(seen: Seen<'_>, headers: &HeaderMap) -> bool {
    match seen {
        Seen::Authenticated(who) => who.carrier() == Carrier::Ambient,
        Seen::Anonymous => false,
        // A credential is there and its store is not. A cookie needs proof of origin all the same; a bearer client must
        // hear of the outage, not of a forgery.
        Seen::Unavailable { .. } => may_be_in(headers),
    }
}

/// A cookie may be a session's; HTTP authentication other than by token is repeated by browsers (Basic, Negotiate).
pub(super) fn may_be_in(headers: &HeaderMap) -> bool {
    headers.contains_key(COOKIE) || headers.get_all(AUTHORIZATION).iter().any(|value| !is_token(value))
}

/// Whether a program has put this on the request: RFC 6750 and RFC 9449, section 7.1.
fn is_token(authorization: &HeaderValue) -> bool {
    let scheme = authorization.as_bytes().split(|&byte| byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"dpop")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::request::Parts;
    use http::{HeaderName, Request};

    use super::*;
    use crate::Identity;
    use crate::identity::Authentication;

    fn head(headers: &[(HeaderName, &str)], found: Option<Authentication>) -> Parts {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        if let Some(found) = found {
            request.extensions_mut().insert(found);
        }
        request.into_parts().0
    }

    fn signed_in(carrier: Carrier) -> Option<Authentication> {
        Some(Authentication::authenticated(Identity::new("ada").carrier(carrier)))
    }

    #[test]
    fn the_identity_decides_and_without_a_layer_the_headers_do() {
        let cookie = &[(COOKIE, "id=1")][..];
        let bearer = &[(AUTHORIZATION, "Bearer t")][..];
        let both = &[(COOKIE, "id=1"), (AUTHORIZATION, "Bearer t")][..];
        let unavailable = || Some(Authentication::unavailable(Duration::from_secs(1)));
        let rows = [
            ("session", cookie, signed_in(Carrier::Ambient), Ambient::Known(true)),
            ("session, header lost on the way", &[], signed_in(Carrier::Ambient), Ambient::Known(true)),
            ("bearer", bearer, signed_in(Carrier::Explicit), Ambient::Known(false)),
            ("bearer beside a cookie", both, signed_in(Carrier::Explicit), Ambient::Known(false)),
            ("nobody, some cookie", cookie, Some(Authentication::anonymous()), Ambient::Known(false)),
            ("session store away", cookie, unavailable(), Ambient::Known(true)),
            ("token keys away", bearer, unavailable(), Ambient::Known(false)),
            ("alone, nothing", &[], None, Ambient::Guessed(false)),
            ("alone, cookie", cookie, None, Ambient::Guessed(true)),
            ("alone, bearer", bearer, None, Ambient::Guessed(false)),
            ("alone, bearer in capitals", &[(AUTHORIZATION, "BEARER t")], None, Ambient::Guessed(false)),
            ("alone, DPoP", &[(AUTHORIZATION, "DPoP t")], None, Ambient::Guessed(false)),
            ("alone, both", both, None, Ambient::Guessed(true)),
            ("alone, Basic", &[(AUTHORIZATION, "Basic dTpw")], None, Ambient::Guessed(true)),
            ("alone, Negotiate", &[(AUTHORIZATION, "Negotiate x")], None, Ambient::Guessed(true)),
            ("alone, a longer scheme", &[(AUTHORIZATION, "BearerX t")], None, Ambient::Guessed(true)),
            (
                "alone, Basic hidden behind Bearer",
                &[(AUTHORIZATION, "Bearer t"), (AUTHORIZATION, "Basic dTpw")],
                None,
                Ambient::Guessed(true),
            ),
        ];
        for (name, headers, found, expected) in rows {
            assert_eq!(Ambient::of(Head::from(&head(headers, found))), expected, "{name}");
        }
    }
}
