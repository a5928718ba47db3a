//! [`Confirmation`]: to what a token is bound (RFC 7800), as its claim `cnf` says.
//!
//! * `jkt` is the thumbprint of a key whose holder proves it with each request (RFC 9449, section 6.1).
//! * `x5t#S256` is the thumbprint of a TLS client's certificate (RFC 8705, section 3.1).
//! * Anything else binds the token to what nobody here can check; so does a thumbprint that is none.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json::Text;

/// A SHA-256.
pub(super) type Thumbprint = [u8; 32];

/// To what a token is bound: to all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Confirmation {
    pub(super) key: Option<Thumbprint>,
    pub(super) certificate: Option<Thumbprint>,
    /// To something that cannot be checked, perhaps beside the others.
    pub(super) is_unknown: bool,
}

/// The hash that a thumbprint in base64url stands for.
pub(super) fn thumbprint(text: &str) -> Option<Thumbprint> {
    let mut bytes = [0; 33];
    let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.get(..len)?.try_into().ok()
}

/// A hash as `jkt` and `x5t#S256` have it.
pub(super) fn thumbprint_text(thumbprint: &Thumbprint) -> String {
    URL_SAFE_NO_PAD.encode(thumbprint)
}

impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConfirmationVisitor)
    }
}

/// What is no object binds the token to something that nobody knows.
struct ConfirmationVisitor;

const UNKNOWN: Confirmation = Confirmation { key: None, certificate: None, is_unknown: true };

impl<'de> Visitor<'de> for ConfirmationVisitor {
    type Value = Confirmation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a confirmation method")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(UNKNOWN)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(UNKNOWN)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(UNKNOWN)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(UNKNOWN)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(UNKNOWN)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(UNKNOWN)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(UNKNOWN)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = Confirmation::default();
        while let Some(Text(name)) = members.next_key()? {
            let place = match &*name {
                "jkt" => &mut found.key,
                "x5t#S256" => &mut found.certificate,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    found.is_unknown = true;
                    continue;
                }
            };
            let read = members.next_value::<Value>()?.as_str().and_then(thumbprint);
            found.is_unknown |= place.is_some() || read.is_none();
            *place = read;
        }
        // An empty one binds the token to something, and does not say to what.
        found.is_unknown |= found.key.is_none() && found.certificate.is_none();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_checked_is_noticed() {
        let print = URL_SAFE_NO_PAD.encode([7; 32]);
        let rows = [
            ("a key", format!(r#"{{"jkt":"{print}"}}"#), (true, false, false)),
            ("a certificate", format!(r#"{{"x5t#S256":"{print}"}}"#), (false, true, false)),
            ("both", format!(r#"{{"x5t#S256":"{print}","jkt":"{print}"}}"#), (true, true, false)),
            ("nothing", "{}".to_owned(), (false, false, true)),
            ("a key by itself", r#"{"jwk":{"kty":"EC"}}"#.to_owned(), (false, false, true)),
            ("one more", format!(r#"{{"jkt":"{print}","kid":"a"}}"#), (true, false, true)),
            ("twice", format!(r#"{{"jkt":"{print}","jkt":"{print}"}}"#), (true, false, true)),
            ("a number", r#"{"jkt":7}"#.to_owned(), (false, false, true)),
            ("null", r#"{"jkt":null}"#.to_owned(), (false, false, true)),
            (
                "too short",
                format!(r#"{{"jkt":"{}"}}"#, URL_SAFE_NO_PAD.encode([7; 31])),
                (false, false, true),
            ),
            ("too long", format!(r#"{{"jkt":"{}"}}"#, URL_SAFE_NO_PAD.encode([7; 33])), (false, false, true)),
            ("much too long", format!(r#"{{"jkt":"{}"}}"#, "A".repeat(4096)), (false, false, true)),
            ("padded", format!(r#"{{"jkt":"{print}="}}"#), (false, false, true)),
            (
                "in hexadecimal digits",
                format!(r#"{{"x5t#S256":"{}"}}"#, "07".repeat(32)),
                (false, false, true),
            ),
            ("of SHA-1", format!(r#"{{"x5t":"{print}"}}"#), (false, false, true)),
        ];
        for (name, json, expected) in rows {
            let found: Confirmation = serde_json::from_str(&json).unwrap();
            assert_eq!(
                (found.key.is_some(), found.certificate.is_some(), found.is_unknown),
                expected,
                "{name}"
            );
        }
        for json in ["[]", r#"["jkt"]"#, "7", "-7", "0.7", "null", "true", r#""jkt""#] {
            assert_eq!(serde_json::from_str::<Confirmation>(json).unwrap(), UNKNOWN, "{json}");
        }
    }
}
