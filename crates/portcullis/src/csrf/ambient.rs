//! [`Credential`]: what came along that says who is calling, and whether browsers send it by themselves. [`Ambient`]: who
//! says so.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::guard::Head;
use crate::identity::{Carrier, Seen};
use crate::realm::looks;

/// What came along that says who is calling. The stricter comes first: of several it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Credential {
    /// One that browsers send by themselves.
    Ambient,
    /// Only one that somebody has put there, and that is good. No other site's page can do that to a browser.
    Explicit,
    None,
}

/// What came along, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ambient {
    /// A layer outside this one has looked, and this is what it found.
    Known(Credential),
    /// No layer has looked; by the headers, on the safe side.
    Guessed(Credential),
}

impl Ambient {
    /// Judges by the identities if layers have looked for some, in whatever realm, else by the headers.
    pub(super) fn of(head: Head<'_>) -> Self {
        looks(head.extensions)
            .map(|(_, look)| found(look.seen, head.headers))
            .reduce(Credential::min)
            .map_or_else(|| Self::Guessed(guessed(head.headers)), Self::Known)
    }

    pub(super) fn credential(self) -> Credential {
        match self {
            Self::Known(credential) | Self::Guessed(credential) => credential,
        }
    }
}

fn found(seen: Seen<'_>, headers: &HeaderMap) -> Credential {
    match seen {
        Seen::Authenticated(who) if who.carrier() == Carrier::Ambient => Credential::Ambient,
        Seen::Authenticated(_) => Credential::Explicit,
        Seen::Anonymous => Credential::None,
        // A credential is there and its store is not. A cookie needs proof of origin all the same; a bearer client must
        // hear of the outage, not of a forgery.
        Seen::Unavailable { .. } => guessed(headers),
    }
}

/// A token that nobody has verified is none: anything can be written there.
fn guessed(headers: &HeaderMap) -> Credential {
    if may_be_in(headers) { Credential::Ambient } else { Credential::None }
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

    use super::Ambient::{Guessed, Known};
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
            ("session", cookie, signed_in(Carrier::Ambient), Known(Credential::Ambient)),
            ("session, header lost on the way", &[], signed_in(Carrier::Ambient), Known(Credential::Ambient)),
            ("bearer", bearer, signed_in(Carrier::Explicit), Known(Credential::Explicit)),
            ("bearer beside a cookie", both, signed_in(Carrier::Explicit), Known(Credential::Explicit)),
            ("nobody, some cookie", cookie, Some(Authentication::anonymous()), Known(Credential::None)),
            ("session store away", cookie, unavailable(), Known(Credential::Ambient)),
            ("token keys away", bearer, unavailable(), Known(Credential::None)),
            ("alone, nothing", &[], None, Guessed(Credential::None)),
            ("alone, cookie", cookie, None, Guessed(Credential::Ambient)),
            ("alone, bearer", bearer, None, Guessed(Credential::None)),
            ("alone, bearer in capitals", &[(AUTHORIZATION, "BEARER t")], None, Guessed(Credential::None)),
            ("alone, DPoP", &[(AUTHORIZATION, "DPoP t")], None, Guessed(Credential::None)),
            ("alone, both", both, None, Guessed(Credential::Ambient)),
            ("alone, Basic", &[(AUTHORIZATION, "Basic dTpw")], None, Guessed(Credential::Ambient)),
            ("alone, Negotiate", &[(AUTHORIZATION, "Negotiate x")], None, Guessed(Credential::Ambient)),
            ("alone, a longer scheme", &[(AUTHORIZATION, "BearerX t")], None, Guessed(Credential::Ambient)),
            (
                "alone, Basic hidden behind Bearer",
                &[(AUTHORIZATION, "Bearer t"), (AUTHORIZATION, "Basic dTpw")],
                None,
                Guessed(Credential::Ambient),
            ),
        ];
        for (name, headers, found, expected) in rows {
            assert_eq!(Ambient::of(Head::from(&head(headers, found))), expected, "{name}");
        }
    }
}
