//! [`BearerToken`]: the token on a request, found by the rules of RFC 6750, section 2.1.
//!
//! * No `Authorization`, or one of another scheme: absent.
//! * `Bearer`, or `DPoP` where that is spoken (RFC 9449, section 7.1), in any case, one or more spaces, and the characters of `b64token`: present.
//! * Anything else that says so, and more than one `Authorization`: malformed.

mod forwarded;

use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use self::forwarded::ForwardedToken;
pub(in crate::bearer) use self::forwarded::forwarded;
use super::token_source::Place;

/// What came in a token's place, and which that is. Of what it is made has not been looked at.
#[derive(Clone, Copy)]
pub(super) struct Offered<'a> {
    bytes: &'a [u8],
    place: Place,
}

/// The token as it came, made of the characters of `b64token` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BearerToken<'a>(&'a str);

/// The request's credentials contradict its syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Two `Authorization` headers, which is a list of one (RFC 9110, section 11.6.2), or two tokens elsewhere.
    Twice,
    /// A token in each of two places (RFC 6750, section 2).
    TwoPlaces,
    /// `Authorization` is not a scheme followed by one token, or what stands elsewhere is none.
    Syntax,
}

impl<'a> Offered<'a> {
    pub(super) const fn new(bytes: &'a [u8], place: Place) -> Self {
        Self { bytes, place }
    }

    /// Looks for what stands in `Authorization`. Where `DPoP` is not spoken it is another scheme.
    pub(super) fn find(headers: &'a HeaderMap, speaks_dpop: bool) -> Result<Option<Self>, Malformed> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
        // Where no field is there twice, the first is all.
        if headers.len() > headers.keys_len() && headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Malformed::Twice);
        }
        Self::parse(value.as_bytes(), speaks_dpop)
    }

    fn parse(value: &'a [u8], speaks_dpop: bool) -> Result<Option<Self>, Malformed> {
        // As nearly everybody writes it.
        if let Some(token) = value.strip_prefix(b"Bearer ") {
            return Ok(Some(Self::new(without_spaces(token), Place::Authorization)));
        }
        let end = value.iter().position(|&byte| !is_token_char(byte)).unwrap_or(value.len());
        let (scheme, rest) = value.split_at_checked(end).ok_or(Malformed::Syntax)?;
        let place = if scheme.eq_ignore_ascii_case(b"Bearer") {
            Place::Authorization
        } else if speaks_dpop && scheme.eq_ignore_ascii_case(b"DPoP") {
            Place::Dpop
        } else if scheme.is_empty() {
            return Err(Malformed::Syntax);
        } else {
            return Ok(None);
        };
        after_spaces(rest).map(|token| Some(Self::new(token, place))).ok_or(Malformed::Syntax)
    }

    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(super) const fn place(self) -> Place {
        self.place
    }

    /// The token, if it is made of what tokens are made of.
    pub(super) fn check(self) -> Result<BearerToken<'a>, Malformed> {
        let token = Some(self.bytes).filter(|token| is_b64token(token)).ok_or(Malformed::Syntax)?;
        std::str::from_utf8(token).map(BearerToken).map_err(|_| Malformed::Syntax)
    }
}

impl Malformed {
    /// What the client is told.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Twice => "more than one token or Authorization header",
            Self::TwoPlaces => "a token in more than one place",
            Self::Syntax => "the credentials are malformed",
        }
    }

    /// A stable label for log fields.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Twice => "two_credentials",
            Self::TwoPlaces => "two_places",
            Self::Syntax => "malformed_credentials",
        }
    }
}

/// What follows one or more spaces; `None` if there is no space.
fn after_spaces(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(b" ").map(without_spaces)
}

/// What follows spaces, if there are any.
fn without_spaces(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().take_while(|&&byte| byte == b' ').count();
    bytes.get(spaces..).unwrap_or_default()
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(super) fn is_token_char(byte: u8) -> bool {
    let mark = matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
    mark || byte.is_ascii_alphanumeric()
}

/// `b64token` of RFC 6750, section 2.1: some characters of the base64 alphabets, then any number of `=`.
fn is_b64token(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|&&byte| byte == b'=').count();
    let body = bytes.len().checked_sub(padding).and_then(|len| bytes.get(..len)).unwrap_or_default();
    // Without a way out in between, so that the compiler can look at many bytes at once.
    !body.is_empty() && body.iter().fold(true, |all, &byte| all & is_b64token_char(byte))
}

const fn is_b64token_char(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // From `-` to `9`: `-`, `.`, `/` and the digits.
    letter | (byte.wrapping_sub(b'-') < 13) | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_characters_of_a_token_are_those_of_rfc_6750() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_b64token_char(byte), expected, "{byte}");
        }
    }

    #[test]
    fn the_characters_of_a_scheme_are_those_of_rfc_9110() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token_char(byte), expected, "{byte}");
        }
    }

    #[test]
    fn a_token_is_found_by_rfc_6750() {
        type Row = (&'static str, &'static [&'static str], Result<Option<BearerToken<'static>>, Malformed>);
        let token = |text: &'static str| Ok(Some(BearerToken(text)));
        let rows: [Row; 22] = [
            ("nothing", &[], Ok(None)),
            ("plain", &["Bearer a.b.c"], token("a.b.c")),
            ("lower case", &["bearer a"], token("a")),
            ("upper case", &["BEARER a"], token("a")),
            ("more spaces", &["Bearer   a"], token("a")),
            ("all characters", &["Bearer aZ09-._~+/=="], token("aZ09-._~+/==")),
            ("another scheme", &["Basic YTpi"], Ok(None)),
            ("another scheme that begins alike", &["Bearertoken a"], Ok(None)),
            ("a scheme alone", &["Negotiate"], Ok(None)),
            ("two tokens", &["Bearer a b"], Err(Malformed::Syntax)),
            ("no space", &["Bearer/a"], Err(Malformed::Syntax)),
            ("a tab", &["Bearer\ta"], Err(Malformed::Syntax)),
            ("a tab inside", &["Bearer a\tb"], Err(Malformed::Syntax)),
            ("no token", &["Bearer"], Err(Malformed::Syntax)),
            ("a space for a token", &["Bearer "], Err(Malformed::Syntax)),
            ("padding alone", &["Bearer =="], Err(Malformed::Syntax)),
            ("padding inside", &["Bearer a=b"], Err(Malformed::Syntax)),
            ("a list", &["Bearer a, Basic b"], Err(Malformed::Syntax)),
            ("a colon", &["Bearer: a"], Err(Malformed::Syntax)),
            ("empty", &[""], Err(Malformed::Syntax)),
            ("quoted", &["\"Bearer\" a"], Err(Malformed::Syntax)),
            ("two headers", &["Bearer a", "Basic b"], Err(Malformed::Twice)),
        ];
        for (name, values, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            for speaks_dpop in [false, true] {
                assert_eq!(find(&headers, speaks_dpop), expected, "{name}");
            }
        }
    }

    fn find(headers: &HeaderMap, speaks_dpop: bool) -> Result<Option<BearerToken<'_>>, Malformed> {
        Offered::find(headers, speaks_dpop).and_then(|offered| offered.map(Offered::check).transpose())
    }

    #[test]
    fn dpop_is_a_scheme_where_it_is_spoken_and_another_one_elsewhere() {
        for (value, expected) in [
            ("DPoP a.b", Ok(Some("a.b"))),
            ("dpop  a=", Ok(Some("a="))),
            ("DPoP", Err(Malformed::Syntax)),
            ("DPoP a b", Err(Malformed::Syntax)),
            ("DPoPs a", Ok(None)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            let found = find(&headers, true).map(|token| token.map(|BearerToken(text)| text));
            assert_eq!(found, expected, "{value}");
            assert_eq!(find(&headers, false), Ok(None), "{value}");
            if let Ok(Some(offered)) = Offered::find(&headers, true) {
                assert_eq!(offered.place(), Place::Dpop);
            }
        }
    }
}
