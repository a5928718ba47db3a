//! [`Claims`]: what a token's payload says (RFC 7519), read strictly and once.
//!
//! * An object without duplicate members; every claim that means something here has its right type.
//! * Points in time are whole seconds from the epoch to the end of the year 9999: fractions, negative numbers and
//!   milliseconds that were meant as seconds are malformed.
//! * Strings are borrowed from the payload; nothing is copied until an identity is made of it.

mod shape;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use portcullis_store::Timestamp;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

pub use self::shape::ClaimPath;
use self::shape::Granted;
pub(in crate::bearer) use self::shape::Shape;
use super::confirmation::Confirmation;
use super::json::{Members, Text, Texts, next_text, read};
use super::refusal::Refusal;

/// The claims that mean something to the layer.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    pub(super) iss: Option<Cow<'a, str>>,
    pub(super) sub: Option<Cow<'a, str>>,
    pub(super) aud: Option<Texts<'a>>,
    pub(super) exp: Option<Timestamp>,
    pub(super) nbf: Option<Timestamp>,
    pub(super) iat: Option<Timestamp>,
    pub(super) jti: Option<Cow<'a, str>>,
    /// The login that the token came of (OpenID Connect Front-Channel Logout, section 3).
    pub(super) sid: Option<Cow<'a, str>>,
    /// The version of its user, in tokens of an issuer that states one.
    pub(super) version: Option<u64>,
    pub(super) client_id: Option<Cow<'a, str>>,
    pub(super) typ: Option<Cow<'a, str>>,
    pub(super) token_use: Option<Cow<'a, str>>,
    pub(super) acr: Option<Cow<'a, str>>,
    pub(super) amr: Option<Texts<'a>>,
    pub(super) auth_time: Option<Timestamp>,
    /// `nonce`, `at_hash`, `c_hash` or `events`: an ID token or a security event.
    pub(super) is_marked: bool,
    /// To what the token is bound.
    pub(super) cnf: Option<Confirmation>,
    pub(super) granted: Granted<'a>,
    /// Those that the configuration names beside these.
    named: Vec<(Cow<'a, str>, Texts<'a>)>,
    duplicate: bool,
}

/// The claim by which a token names the version of its user, where an issuer states one.
pub(super) const VERSION: &str = "tv";

/// How many claims besides those that mean something a token has as a rule.
const OTHERS: usize = 16;

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

impl<'a> Claims<'a> {
    /// What the payload says.
    pub(super) fn parse(json: &'a str, shape: &Shape) -> Result<Self, Refusal> {
        let mut claims = Self::default();
        claims.fill(json, shape).map(|()| claims)
    }

    /// Reads the payload into claims that say nothing yet: they are large, and best made where they are used.
    pub(super) fn fill(&mut self, json: &'a str, shape: &Shape) -> Result<(), Refusal> {
        read(json, Reader { shape, claims: self }).map_err(|_| Refusal::MalformedClaims)?;
        if self.duplicate { Err(Refusal::DuplicateClaim) } else { Ok(()) }
    }
}

impl<'a> Claims<'a> {
    /// What a claim says that the configuration names, if it is a string or a list of strings.
    pub(super) fn texts(&self, name: &str) -> Option<&[Cow<'a, str>]> {
        let known = match name {
            "client_id" => &self.client_id,
            "typ" => &self.typ,
            "token_use" => &self.token_use,
            "acr" => &self.acr,
            _ => return self.named(name).map(Texts::as_slice),
        };
        known.as_ref().map(std::slice::from_ref)
    }

    /// What a claim says that the configuration names, if it is one string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.named(name) {
            Some(Texts::One(text)) => Some(text),
            Some(Texts::Many(_)) => None,
            None => self.texts(name).and_then(|texts| texts.first()).map(|text| &**text),
        }
    }

    fn named(&self, name: &str) -> Option<&Texts<'a>> {
        self.named.iter().find(|(held, _)| held == name).map(|(_, texts)| texts)
    }
}

/// The issuer that an unverified payload names, to find its keys by.
pub(super) fn peek_issuer(json: &str) -> Result<Cow<'_, str>, Refusal> {
    let Peeked(iss) = read(json, PhantomData).map_err(|_| Refusal::MalformedClaims)?;
    iss.ok_or(Refusal::MissingClaim)
}

/// Reads claims of a shape, to where they are to be: they are large.
struct Reader<'r, 'de> {
    shape: &'r Shape,
    claims: &'r mut Claims<'de>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWT claims set")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self::Value, A::Error> {
        // A payload of 6 KiB has room for a thousand names at most, and an issuer has signed it, so looking through
        // them all is bounded.
        let mut others = Members::<OTHERS>::default();
        while let Some(Text(name)) = members.next_key()? {
            self.claims.duplicate |= self.read(name, &mut members, &mut others)?;
        }
        Ok(())
    }
}

impl<'de> Reader<'_, 'de> {
    /// Whether the claim was there before: one that is kept is there to be found again, and of all others the name is.
    #[inline]
    fn read<A: MapAccess<'de>>(
        &mut self,
        name: Cow<'de, str>,
        members: &mut A,
        others: &mut Members<'de, OTHERS>,
    ) -> Result<bool, A::Error> {
        let Self { shape, claims } = self;
        // Of bytes the compiler makes one decision, by length first; strings it compares one after the other.
        let is_there = match name.as_bytes() {
            b"iss" => claims.iss.replace(next_text(members)?).is_some(),
            b"sub" => claims.sub.replace(next_text(members)?).is_some(),
            b"aud" => claims.aud.replace(members.next_value()?).is_some(),
            b"exp" => claims.exp.replace(date(members)?).is_some(),
            b"nbf" => claims.nbf.replace(date(members)?).is_some(),
            b"iat" => claims.iat.replace(date(members)?).is_some(),
            b"jti" => claims.jti.replace(next_text(members)?).is_some(),
            b"sid" => claims.sid.replace(next_text(members)?).is_some(),
            b"client_id" => claims.client_id.replace(next_text(members)?).is_some(),
            b"typ" => claims.typ.replace(next_text(members)?).is_some(),
            b"token_use" => claims.token_use.replace(next_text(members)?).is_some(),
            b"acr" => claims.acr.replace(next_text(members)?).is_some(),
            b"amr" => claims.amr.replace(members.next_value()?).is_some(),
            b"auth_time" => claims.auth_time.replace(date(members)?).is_some(),
            b"cnf" => claims.cnf.replace(members.next_value()?).is_some(),
            b"nonce" | b"at_hash" | b"c_hash" | b"events" => {
                claims.is_marked = true;
                members.next_value::<IgnoredAny>()?;
                others.add(name)
            }
            _ if shape.versioned && name == VERSION => {
                claims.version.replace(members.next_value()?).is_some()
            }
            _ if shape.names(&name) => {
                claims.named.push((name.clone(), members.next_value()?));
                others.add(name)
            }
            _ => {
                shape.read(&name, members, &mut claims.granted)?;
                others.add(name)
            }
        };
        Ok(is_there)
    }
}

fn date<'de, A: MapAccess<'de>>(members: &mut A) -> Result<Timestamp, A::Error> {
    members.next_value::<NumericDate>().map(|NumericDate(at)| at)
}

/// Whole seconds since the epoch.
pub(super) struct NumericDate(pub(super) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = u64::deserialize(deserializer)?;
        if seconds > LAST_SECOND {
            return Err(D::Error::custom("after the year 9999"));
        }
        Ok(Self(Timestamp::from_secs(seconds)))
    }
}

/// The issuer and nothing else.
struct Peeked<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Peeked<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Peek)
    }
}

struct Peek;

impl<'de> Visitor<'de> for Peek {
    type Value = Peeked<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWT claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut iss = None;
        while let Some(Text(name)) = members.next_key()? {
            if name != "iss" {
                members.next_value::<IgnoredAny>()?;
            } else if iss.is_some() {
                return Err(A::Error::duplicate_field("iss"));
            } else {
                iss = Some(next_text(&mut members)?);
            }
        }
        Ok(Peeked(iss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_claim_stands_twice() {
        let shape = Shape {
            scopes: vec!["scope".into()],
            roles: Some(["realm", "roles"].into()),
            named: vec!["org".to_owned()],
            versioned: true,
        };
        let texts = ["iss", "sub", "jti", "sid", "client_id", "typ", "token_use", "acr"];
        let others = ["aud", "amr", "cnf", "nonce", "at_hash", "c_hash", "events", "org", "scope", "azp", ""];
        let dates = ["exp", "nbf", "iat", "auth_time", "tv"];
        let texts = texts.into_iter().chain(others).map(|name| (name, "\"a\""));
        let values = texts.chain(dates.map(|name| (name, "7"))).chain([("realm", "{}")]);
        for (name, value) in values {
            let once = format!(r#"{{"x":1,"{name}":{value}}}"#);
            assert!(Claims::parse(&once, &shape).is_ok(), "{once}");
            // In plain text, and in text that is not.
            for twice in [
                format!(r#"{{"{name}":{value},"x":1,"{name}":{value}}}"#),
                format!(r#"{{"{name}":{value},"\u0078":1,"{name}":{value}}}"#),
            ] {
                assert_eq!(Claims::parse(&twice, &shape).err(), Some(Refusal::DuplicateClaim), "{twice}");
            }
        }
        let by_escape = r#"{"sub":"a","s\u0075b":"b"}"#;
        assert_eq!(Claims::parse(by_escape, &shape).err(), Some(Refusal::DuplicateClaim));
    }
}
