//! [`Shape`]: which claims hold scopes and roles, and how they are read. The names are the configuration's.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use smallvec::SmallVec;

use super::claims::VERSION;
use super::text::{Text, Texts};

/// The claims that hold scopes and roles.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) scopes: Vec<String>,
    pub(super) roles: Option<ClaimPath>,
    /// Whether the tokens carry a version of their user.
    pub(super) versioned: bool,
}

/// Where in the payload a claim stands: its name, or the names of the objects around it and its own.
///
/// `"roles".into()`, or `["realm_access", "roles"].into()` for `{"realm_access": {"roles": [...]}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

/// Words such as scopes and roles.
pub(super) type Words<'a> = SmallVec<[Cow<'a, str>; 8]>;

/// The scopes and roles that a payload names.
#[derive(Debug, Default)]
pub(super) struct Granted<'a> {
    pub(super) scopes: Words<'a>,
    pub(super) roles: Words<'a>,
}

/// Names that cannot hold scopes or roles, because they mean something else.
const REGISTERED: [&str; 19] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
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

impl Shape {
    /// Reads a claim whose name means nothing to the layer itself.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &self,
        name: &str,
        members: &mut A,
        granted: &mut Granted<'de>,
    ) -> Result<(), A::Error> {
        let roles = self.roles.as_ref().and_then(|ClaimPath(path)| path.split_first());
        if self.scopes.iter().any(|scope| scope == name) {
            add_scopes(members.next_value()?, &mut granted.scopes);
        } else if let Some((_, path)) = roles.filter(|(first, _)| *first == name) {
            members.next_value_seed(Descent { path, words: &mut granted.roles })?;
        } else {
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    /// Whether every name is there and free to hold what it is to hold.
    pub(super) fn is_sound(&self) -> bool {
        let version = |name: &str| self.versioned && name == VERSION;
        let free = |name: &String| !name.is_empty() && !REGISTERED.contains(&name.as_str()) && !version(name);
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
