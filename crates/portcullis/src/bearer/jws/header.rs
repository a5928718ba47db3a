//! [`JoseHeader`]: what a token says about its own signature, read strictly (RFC 7515, section 4).
//!
//! * An object without duplicate members; `alg`, `kid` and `typ` are strings.
//! * `crit`, `b64`, `enc` and `zip` are refused, whatever they hold: nothing that they ask for is done.
//! * `jku`, `jwk`, `x5u`, `x5c` and all else is skipped: a token does not bring its own key.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::bearer::algorithm::Algorithm;
use crate::bearer::json::{Members, Text, next_text, read};
use crate::bearer::refusal::Refusal;

/// The members that matter.
#[derive(Clone, Debug)]
pub(in crate::bearer) struct JoseHeader<'a> {
    pub(in crate::bearer) algorithm: Algorithm,
    pub(in crate::bearer) kid: Option<Cow<'a, str>>,
    pub(in crate::bearer) typ: Option<Cow<'a, str>>,
}

/// The longest `kid` that is looked up, in bytes.
const MAX_KID: usize = 256;

/// An object of JSON that was read to its end; what is wrong with it beyond syntax is noted.
#[derive(Default)]
struct Raw<'a> {
    alg: Option<Cow<'a, str>>,
    kid: Option<Cow<'a, str>>,
    typ: Option<Cow<'a, str>>,
    refusal: Option<Refusal>,
}

impl<'a> JoseHeader<'a> {
    /// Reads the decoded header.
    pub(in crate::bearer) fn parse(json: &'a [u8]) -> Result<Self, Refusal> {
        // Of strings that are skipped the parser would not see whether they are UTF-8 (RFC 7515, section 5.2).
        let text = std::str::from_utf8(json).map_err(|_| Refusal::MalformedHeader)?;
        let raw: Raw<'a> = read(text, PhantomData).map_err(|_| Refusal::MalformedHeader)?;
        if let Some(refusal) = raw.refusal {
            return Err(refusal);
        }
        let algorithm = raw.alg.as_deref().and_then(Algorithm::named).ok_or(Refusal::UnknownAlgorithm)?;
        let kid = raw.kid.map(acceptable_kid).transpose()?;
        Ok(Self { algorithm, kid, typ: raw.typ })
    }

    /// The same, apart from the text that it was read from.
    pub(in crate::bearer) fn to_owned(&self) -> JoseHeader<'static> {
        let owned = |text: &Option<Cow<'a, str>>| text.as_deref().map(|text| Cow::Owned(text.to_owned()));
        JoseHeader { algorithm: self.algorithm, kid: owned(&self.kid), typ: owned(&self.typ) }
    }

    /// Whether `typ` is this media type; `application/` may be left out, and case does not matter
    /// (RFC 7515, section 4.1.9).
    pub(in crate::bearer) fn is_type(&self, subtype: &str) -> bool {
        self.typ.as_deref().is_some_and(|typ| {
            let bare = match typ.split_at_checked("application/".len()) {
                Some((prefix, bare)) if prefix.eq_ignore_ascii_case("application/") => bare,
                _ => typ,
            };
            bare.eq_ignore_ascii_case(subtype)
        })
    }
}

fn acceptable_kid(kid: Cow<'_, str>) -> Result<Cow<'_, str>, Refusal> {
    let acceptable = kid.len() <= MAX_KID && !kid.chars().any(char::is_control);
    acceptable.then_some(kid).ok_or(Refusal::MalformedKid)
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut raw = Raw::default();
        // A header of 1 KiB has room for some hundred names at most, so looking through them all is bounded.
        let mut others = Members::<8>::default();
        while let Some(Text(name)) = members.next_key()? {
            // A member that is kept is there to be found again; of all others the name is.
            let is_there = match name.as_bytes() {
                b"alg" => raw.alg.replace(next_text(&mut members)?).is_some(),
                b"kid" => raw.kid.replace(next_text(&mut members)?).is_some(),
                b"typ" => raw.typ.replace(next_text(&mut members)?).is_some(),
                other => {
                    if matches!(other, b"crit" | b"b64" | b"enc" | b"zip") {
                        raw.refusal = raw.refusal.or(Some(Refusal::CriticalHeader));
                    }
                    members.next_value::<IgnoredAny>()?;
                    others.add(name)
                }
            };
            if is_there {
                raw.refusal = raw.refusal.or(Some(Refusal::DuplicateHeaderMember));
            }
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_strictly() {
        use Refusal::*;
        let rows: [(&str, &str, Result<Algorithm, Refusal>); 24] = [
            ("plain", r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#, Ok(Algorithm::ES256)),
            ("unknown members", r#"{"x5t":"a","alg":"RS256","cty":{"a":[1]}}"#, Ok(Algorithm::RS256)),
            (
                "keys that it brings along",
                r#"{"alg":"ES256","jku":"u","jwk":{},"x5u":1,"x5c":[]}"#,
                Ok(Algorithm::ES256),
            ),
            ("the name of RFC 9864", r#"{"alg":"Ed25519"}"#, Ok(Algorithm::EdDSA)),
            ("an escaped name", r#"{"\u0061lg":"ES256"}"#, Ok(Algorithm::ES256)),
            ("no alg", r#"{"typ":"JWT"}"#, Err(UnknownAlgorithm)),
            ("none", r#"{"alg":"none"}"#, Err(UnknownAlgorithm)),
            ("None", r#"{"alg":"None"}"#, Err(UnknownAlgorithm)),
            ("empty alg", r#"{"alg":""}"#, Err(UnknownAlgorithm)),
            ("lower case", r#"{"alg":"es256"}"#, Err(UnknownAlgorithm)),
            ("alg a list", r#"{"alg":["ES256"]}"#, Err(MalformedHeader)),
            ("alg null", r#"{"alg":null}"#, Err(MalformedHeader)),
            ("kid a number", r#"{"alg":"ES256","kid":1}"#, Err(MalformedHeader)),
            ("typ a list", r#"{"alg":"ES256","typ":["JWT"]}"#, Err(MalformedHeader)),
            ("crit", r#"{"alg":"ES256","crit":["exp"]}"#, Err(CriticalHeader)),
            ("crit empty", r#"{"alg":"ES256","crit":[]}"#, Err(CriticalHeader)),
            ("crit null", r#"{"alg":"ES256","crit":null}"#, Err(CriticalHeader)),
            ("b64 true", r#"{"alg":"ES256","b64":true}"#, Err(CriticalHeader)),
            ("enc", r#"{"alg":"ES256","enc":"A128GCM"}"#, Err(CriticalHeader)),
            ("zip", r#"{"alg":"ES256","zip":"DEF"}"#, Err(CriticalHeader)),
            ("alg twice", r#"{"alg":"ES256","alg":"ES256"}"#, Err(DuplicateHeaderMember)),
            ("twice by an escape", r#"{"x":1,"\u0078":2,"alg":"ES256"}"#, Err(DuplicateHeaderMember)),
            ("an array", r#"["ES256"]"#, Err(MalformedHeader)),
            ("more after it", r#"{"alg":"ES256"}{}"#, Err(MalformedHeader)),
        ];
        for (name, json, expected) in rows {
            assert_eq!(JoseHeader::parse(json.as_bytes()).map(|header| header.algorithm), expected, "{name}");
        }
    }

    #[test]
    fn what_is_skipped_is_utf_8_too() {
        let json = b"{\"alg\":\"ES256\",\"x5t\":\"\x98\"}";
        assert_eq!(JoseHeader::parse(json).err(), Some(Refusal::MalformedHeader));
    }

    #[test]
    fn a_kid_is_short_and_printable() {
        for (name, kid, accepted) in [
            ("path", "../../etc/passwd".to_owned(), true),
            ("as long as allowed", "k".repeat(256), true),
            ("longer", "k".repeat(257), false),
            ("NUL", "a\0b".to_owned(), false),
            ("CRLF", "a\r\nb".to_owned(), false),
        ] {
            let json = serde_json::json!({ "alg": "ES256", "kid": kid }).to_string();
            assert_eq!(JoseHeader::parse(json.as_bytes()).is_ok(), accepted, "{name}");
        }
    }

    #[test]
    fn a_type_is_compared_as_a_media_type() {
        for (typ, expected) in [
            ("at+jwt", true),
            ("AT+JWT", true),
            ("application/at+jwt", true),
            ("Application/AT+JWT", true),
            ("at+jwt ", false),
            ("text/at+jwt", false),
            ("JWT", false),
        ] {
            let json = serde_json::json!({ "alg": "ES256", "typ": typ }).to_string();
            assert_eq!(JoseHeader::parse(json.as_bytes()).unwrap().is_type("at+jwt"), expected, "{typ}");
        }
    }
}
