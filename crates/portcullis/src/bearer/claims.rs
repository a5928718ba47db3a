//! [`Claims`]: what a token's payload says (RFC 7519), read strictly and once.
//!
//! * An object without duplicate members; every claim that means something here has its right type.
//! * Points in time are whole seconds from the epoch to the end of the year 9999: fractions, negative numbers and
//!   milliseconds that were meant as seconds are malformed.
//! * Strings are borrowed from the payload; nothing is copied until an identity is made of it.

use std::borrow::Cow;
use std::fmt;

use portcullis_store::Timestamp;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use smallvec::SmallVec;

use super::refusal::Refusal;
use super::text::{Text, Texts};

/// Which claims hold scopes and roles. The names are the configuration's.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) scopes: Vec<String>,
    pub(super) roles: Option<ClaimPath>,
}

/// Where in the payload a claim stands: its name, or the names of the objects around it and its own.
///
/// `"roles".into()`, or `["realm_access", "roles"].into()` for `{"realm_access": {"roles": [...]}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

/// Words such as scopes and roles.
pub(super) type Words<'a> = SmallVec<[Cow<'a, str>; 8]>;

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
    pub(super) client_id: Option<Cow<'a, str>>,
    pub(super) typ: Option<Cow<'a, str>>,
    pub(super) token_use: Option<Cow<'a, str>>,
    pub(super) acr: Option<Cow<'a, str>>,
    pub(super) amr: Option<Texts<'a>>,
    pub(super) auth_time: Option<Timestamp>,
    /// `nonce`, `at_hash`, `c_hash` or `events`: an ID token or a security event.
    pub(super) is_marked: bool,
    /// `cnf` is there.
    pub(super) is_bound: bool,
    pub(super) scopes: Words<'a>,
    pub(super) roles: Words<'a>,
    duplicate: bool,
}

/// Names that cannot hold scopes or roles, because they mean something else.
const REGISTERED: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "typ",
    "token_use",
    "acr",
    "amr",
    "auth_time",
    "nonce",
    "at_hash",
    "c_hash",
    "events",
    "cnf",
];

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

impl<'a> Claims<'a> {
    /// Reads the payload.
    pub(super) fn parse(json: &'a str, shape: &Shape) -> Result<Self, Refusal> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let claims = Reader(shape)
            .deserialize(&mut deserializer)
            .and_then(|claims| deserializer.end().map(|()| claims))
            .map_err(|_| Refusal::MalformedClaims)?;
        if claims.duplicate { Err(Refusal::DuplicateClaim) } else { Ok(claims) }
    }
}

/// The issuer that an unverified payload names, to find its keys by.
pub(super) fn peek_issuer(json: &str) -> Result<Cow<'_, str>, Refusal> {
    let Peeked(iss) = serde_json::from_str(json).map_err(|_| Refusal::MalformedClaims)?;
    iss.ok_or(Refusal::MissingClaim)
}

impl Shape {
    /// Whether every name is there and free to hold what it is to hold.
    pub(super) fn is_sound(&self) -> bool {
        let free = |name: &String| !name.is_empty() && !REGISTERED.contains(&name.as_str());
        let scopes = self.scopes.iter().all(free);
        let roles = self.roles.as_ref().is_none_or(|ClaimPath(path)| {
            path.first().is_some_and(|first| free(first) && !self.scopes.contains(first))
                && path.iter().all(|name| !name.is_empty())
        });
        scopes && roles
    }
}

impl From<&str> for ClaimPath {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<String> for ClaimPath {
    fn from(name: String) -> Self {
        Self(vec![name])
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for ClaimPath {
    fn from(names: [T; N]) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

/// Reads claims of a shape.
struct Reader<'s>(&'s Shape);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Claims<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Claims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWT claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut claims = Claims::default();
        // A payload of 6 KiB has room for a thousand names at most, and an issuer has signed it, so looking through
        // them all is bounded.
        let mut names = SmallVec::<[Cow<'de, str>; 24]>::new();
        while let Some(Text(name)) = members.next_key()? {
            self.read(&name, &mut members, &mut claims)?;
            claims.duplicate |= names.contains(&name);
            names.push(name);
        }
        Ok(claims)
    }
}

impl Reader<'_> {
    fn read<'de, A: MapAccess<'de>>(
        &self,
        name: &str,
        members: &mut A,
        claims: &mut Claims<'de>,
    ) -> Result<(), A::Error> {
        match name {
            "iss" => claims.iss = text(members)?,
            "sub" => claims.sub = text(members)?,
            "aud" => claims.aud = Some(members.next_value()?),
            "exp" => claims.exp = date(members)?,
            "nbf" => claims.nbf = date(members)?,
            "iat" => claims.iat = date(members)?,
            "jti" => claims.jti = text(members)?,
            "client_id" => claims.client_id = text(members)?,
            "typ" => claims.typ = text(members)?,
            "token_use" => claims.token_use = text(members)?,
            "acr" => claims.acr = text(members)?,
            "amr" => claims.amr = Some(members.next_value()?),
            "auth_time" => claims.auth_time = date(members)?,
            "nonce" | "at_hash" | "c_hash" | "events" => {
                claims.is_marked = true;
                members.next_value::<IgnoredAny>()?;
            }
            "cnf" => {
                claims.is_bound = true;
                members.next_value::<IgnoredAny>()?;
            }
            _ => return self.read_words(name, members, claims),
        }
        Ok(())
    }

    fn read_words<'de, A: MapAccess<'de>>(
        &self,
        name: &str,
        members: &mut A,
        claims: &mut Claims<'de>,
    ) -> Result<(), A::Error> {
        let roles = self.0.roles.as_ref().and_then(|ClaimPath(path)| path.split_first());
        if self.0.scopes.iter().any(|scope| scope == name) {
            add_scopes(members.next_value()?, &mut claims.scopes);
        } else if let Some((_, path)) = roles.filter(|(first, _)| *first == name) {
            members.next_value_seed(Descent { path, words: &mut claims.roles })?;
        } else {
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

fn text<'de, A: MapAccess<'de>>(members: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    members.next_value::<Text<'de>>().map(|Text(text)| Some(text))
}

fn date<'de, A: MapAccess<'de>>(members: &mut A) -> Result<Option<Timestamp>, A::Error> {
    members.next_value::<NumericDate>().map(|NumericDate(at)| Some(at))
}

/// A string holds scopes separated by spaces (RFC 8693, section 4.2); an entry of a list is one scope.
fn add_scopes<'a>(texts: Texts<'a>, scopes: &mut Words<'a>) {
    match texts {
        Texts::One(Cow::Borrowed(text)) => scopes.extend(words(text).map(Cow::Borrowed)),
        Texts::One(Cow::Owned(text)) => scopes.extend(words(&text).map(|word| Cow::Owned(word.to_owned()))),
        Texts::Many(many) => scopes.extend(many),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Goes down a path to the words at its end. Anything but an object on the way has no words in it.
struct Descent<'p, 'w, 'de> {
    path: &'p [String],
    words: &'w mut Words<'de>,
}

impl<'de> DeserializeSeed<'de> for Descent<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            match Texts::deserialize(deserializer)? {
                Texts::One(one) => self.words.push(one),
                Texts::Many(many) => self.words.extend(many),
            }
            Ok(())
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for Descent<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object on the way to the roles")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Some((next, path)) = self.path.split_first() else { return Ok(()) };
        let mut found = false;
        while let Some(Text(name)) = members.next_key()? {
            if name != *next {
                members.next_value::<IgnoredAny>()?;
            } else if found {
                return Err(A::Error::custom("a member on the way to the roles stands twice"));
            } else {
                found = true;
                members.next_value_seed(Descent { path, words: &mut *self.words })?;
            }
        }
        Ok(())
    }
}

/// Whole seconds since the epoch.
struct NumericDate(Timestamp);

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
                iss = text(&mut members)?;
            }
        }
        Ok(Peeked(iss))
    }
}
