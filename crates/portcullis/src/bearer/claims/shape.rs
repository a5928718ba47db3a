//! [`Shape`]: which claims hold scopes and roles, and how they are read. The names are the configuration's.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use smallvec::SmallVec;

use super::VERSION;
use crate::bearer::json::{Text, Texts};

/// The claims that hold scopes and roles, and others that the configuration names.
#[derive(Clone, Debug, Default)]
pub(in crate::bearer) struct Shape {
    pub(in crate::bearer) scopes: Vec<ClaimPath>,
    pub(in crate::bearer) roles: Option<ClaimPath>,
    /// Those that are looked at for what they say.
    pub(in crate::bearer) named: Vec<String>,
    /// Whether the tokens carry a version of their user.
    pub(in crate::bearer) versioned: bool,
}

/// Where in the payload a claim stands: its name, or the names of the objects around it and its own.
///
/// `"roles".into()`, or `["realm_access", "roles"].into()` for `{"realm_access": {"roles": [...]}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

/// Words such as scopes and roles.
pub(in crate::bearer) type Words<'a> = SmallVec<[Cow<'a, str>; 8]>;

/// The scopes and roles that a payload names.
#[derive(Debug, Default)]
pub(in crate::bearer) struct Granted<'a> {
    pub(in crate::bearer) scopes: Words<'a>,
    pub(in crate::bearer) roles: Words<'a>,
}

/// What the words at a path are.
#[derive(Clone, Copy, Debug)]
enum Grant {
    Scopes,
    Roles,
}

/// Paths that go on below a name, and what is at their ends.
type Paths<'p> = SmallVec<[(&'p [String], Grant); 2]>;

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

/// Of those, the ones of which a value can be required.
const REQUIRABLE: [&str; 4] = ["client_id", "typ", "token_use", "acr"];

impl Shape {
    /// Whether the configuration names this claim for what it says.
    pub(in crate::bearer) fn names(&self, name: &str) -> bool {
        self.named.iter().any(|named| named == name)
    }

    /// Reads a claim whose name means nothing to the layer itself.
    pub(in crate::bearer) fn read<'de, A: MapAccess<'de>>(
        &self,
        name: &str,
        members: &mut A,
        granted: &mut Granted<'de>,
    ) -> Result<(), A::Error> {
        // Most names lead nowhere, and so are not worth gathering paths for.
        if !self.leads(name) {
            members.next_value::<IgnoredAny>()?;
            return Ok(());
        }
        members.next_value_seed(Descent { paths: below(self.paths(), name), granted })
    }

    /// Whether some path begins with this name.
    fn leads(&self, name: &str) -> bool {
        self.paths().any(|(path, _)| path.first().is_some_and(|first| first == name))
    }

    fn paths(&self) -> impl Iterator<Item = (&[String], Grant)> + Clone {
        let scopes = self.scopes.iter().map(|ClaimPath(path)| (path.as_slice(), Grant::Scopes));
        scopes.chain(self.roles.iter().map(|ClaimPath(path)| (path.as_slice(), Grant::Roles)))
    }

    /// Whether every name is there and free to hold what it is to hold.
    pub(in crate::bearer) fn is_sound(&self) -> bool {
        let version = |name: &str| self.versioned && name == VERSION;
        let free = |name: &str| !name.is_empty() && !REGISTERED.contains(&name) && !version(name);
        let paths = self.paths().enumerate().all(|(index, (path, _))| {
            // Of two that lead through one place, neither ends there.
            let crosses = |(other, _): (&[String], Grant)| path.starts_with(other) || other.starts_with(path);
            path.first().is_some_and(|first| free(first))
                && path.iter().all(|name| !name.is_empty())
                && !self.paths().take(index).any(crosses)
        });
        let requirable = |name: &str| REQUIRABLE.contains(&name) || free(name) && !self.leads(name);
        paths && self.named.iter().all(|name| requirable(name))
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
    let mut next = 0;
    // By bytes: words are short, and a search for many bytes at once costs more to begin with than it saves.
    text.as_bytes().split(|&byte| byte == b' ').filter_map(move |word| {
        let (start, end) = (next, next + word.len());
        next = end + 1;
        text.get(start..end).filter(|word| !word.is_empty())
    })
}

/// The paths that begin with this name, without it.
fn below<'p>(paths: impl Iterator<Item = (&'p [String], Grant)>, name: &str) -> Paths<'p> {
    let split = paths.filter_map(|(path, grant)| Some((path.split_first()?, grant)));
    split.filter(|((first, _), _)| *first == name).map(|((_, rest), grant)| (rest, grant)).collect()
}

/// Goes down paths to the words at their ends. Anything but an object on the way has no words in it.
struct Descent<'p, 'w, 'de> {
    paths: Paths<'p>,
    granted: &'w mut Granted<'de>,
}

impl<'de> DeserializeSeed<'de> for Descent<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // A path that ends here is the only one.
        let Some((_, grant)) = self.paths.iter().find(|(rest, _)| rest.is_empty()) else {
            return deserializer.deserialize_map(self);
        };
        let texts = Texts::deserialize(deserializer)?;
        match (grant, texts) {
            (Grant::Scopes, texts) => add_scopes(texts, &mut self.granted.scopes),
            (Grant::Roles, Texts::One(one)) => self.granted.roles.push(one),
            (Grant::Roles, Texts::Many(many)) => self.granted.roles.extend(many),
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Descent<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object on the way to scopes or roles")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut found = SmallVec::<[Cow<'de, str>; 2]>::new();
        while let Some(Text(name)) = members.next_key()? {
            let paths = below(self.paths.iter().copied(), &name);
            if paths.is_empty() {
                members.next_value::<IgnoredAny>()?;
            } else if found.contains(&name) {
                return Err(A::Error::custom("a member on the way to scopes or roles stands twice"));
            } else {
                found.push(name);
                members.next_value_seed(Descent { paths, granted: &mut *self.granted })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_stands_between_spaces_and_between_nothing_else() {
        let pieces = ["", " ", "  ", "a", "read", "é", "\t", "\u{a0}", "\u{2003}", "orders:write"];
        for one in pieces {
            for other in pieces {
                for text in [format!("{one}{other}"), format!("{one} {other}"), format!(" {one}b{other} ")] {
                    assert!(words(&text).eq(text.split(' ').filter(|word| !word.is_empty())), "{text:?}");
                }
            }
        }
    }
}
