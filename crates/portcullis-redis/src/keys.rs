//! [`Keys`]: what everything is called in the server; the crate's page has the table.
//!
//! A user's hash stands in braces, so that in a cluster everything of one user is in one slot.

use std::sync::Arc;

use portcullis_store::{Key, Locator, Realm, UserKey};

use crate::command::Word;

/// What everything is called in the server.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: Arc<str>,
}

/// The parts of a session's name.
pub(crate) struct SessionName<'a>([&'a str; 5]);

impl Word for SessionName<'_> {
    fn len(&self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    fn put(&self, packed: &mut Vec<u8>) {
        self.0.iter().for_each(|part| packed.extend_from_slice(part.as_bytes()));
    }
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(crate) fn session(&self, key: Key<'_>) -> String {
        self.join([key.realm.as_str(), ":s:", key.locator.as_str(), ""])
    }

    /// The same, to be put together where it goes out from.
    pub(crate) fn session_name<'a>(&'a self, key: &'a Key<'a>) -> SessionName<'a> {
        SessionName([&self.prefix, ":", key.realm.as_str(), ":s:", key.locator.as_str()])
    }

    pub(crate) fn index(&self, user: UserKey<'_>) -> String {
        self.join([user.realm.as_str(), ":u:{", user.user.as_str(), "}"])
    }

    pub(crate) fn credentials(&self, user: UserKey<'_>) -> String {
        self.join([user.realm.as_str(), ":c:{", user.user.as_str(), "}"])
    }

    /// When all of the user's tokens were last revoked.
    pub(crate) fn epoch(&self, user: UserKey<'_>) -> String {
        self.join([user.realm.as_str(), ":e:{", user.user.as_str(), "}"])
    }

    /// Whether a token is revoked.
    pub(crate) fn token(&self, user: UserKey<'_>, token: Locator) -> String {
        self.of_user(user, ":t:{", token)
    }

    /// Whether a family of tokens is revoked.
    pub(crate) fn family(&self, user: UserKey<'_>, family: Locator) -> String {
        self.of_user(user, ":f:{", family)
    }

    /// Whether a proof was used.
    pub(crate) fn proof(&self, realm: &Realm, name: Locator) -> String {
        self.join([realm.as_str(), ":j:", name.as_str(), ""])
    }

    /// A family of refresh tokens.
    pub(crate) fn refresh(&self, user: UserKey<'_>, family: Locator) -> String {
        self.of_user(user, ":g:{", family)
    }

    /// When all tokens of the realm were last revoked.
    pub(crate) fn everyone(&self, realm: &Realm) -> String {
        self.join([realm.as_str(), ":everyone", "", ""])
    }

    /// What an issuer was last heard to publish. No realm's, because key sets are no caller's.
    pub(crate) fn key_set(&self, issuer: Locator) -> String {
        self.join([":keys:{", issuer.as_str(), "}", ""])
    }

    /// Who may ask the issuer.
    pub(crate) fn key_set_lease(&self, issuer: Locator) -> String {
        self.join([":keys:{", issuer.as_str(), "}:lease", ""])
    }

    /// What tells a deletion from another's. The session's own name stands in braces, so that in a cluster both are in
    /// one slot.
    pub(crate) fn receipt(&self, key: Key<'_>) -> String {
        self.join([key.realm.as_str(), ":r:{", &self.session(key), "}"])
    }

    /// The channel on which ended sessions are told.
    pub(crate) fn ended(&self, realm: &Realm) -> String {
        self.join([realm.as_str(), ":ended", "", ""])
    }

    /// A key of nobody's, because no realm's name is empty. Of another slot with each number.
    pub(crate) fn probe(&self, number: u32) -> String {
        self.join([":check:{", &number.to_string(), "}", ""])
    }

    /// A channel on which nobody listens.
    pub(crate) fn probe_channel(&self) -> String {
        self.join([":check", "", "", ""])
    }

    fn of_user(&self, user: UserKey<'_>, kind: &str, name: Locator) -> String {
        let mut key = self.join([user.realm.as_str(), kind, user.user.as_str(), "}:"]);
        key.push_str(name.as_str());
        key
    }

    fn join(&self, parts: [&str; 4]) -> String {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut key = String::with_capacity(self.prefix.len() + 1 + len);
        key.push_str(&self.prefix);
        key.push(':');
        parts.iter().for_each(|part| key.push_str(part));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_as_documented() {
        let realm: Realm = "staff".parse().unwrap();
        let locator = Locator::from_bytes([0; 16]);
        let keys = Keys::new("p");
        let session = Key { realm: &realm, locator };
        let mut in_place = Vec::new();
        keys.session_name(&session).put(&mut in_place);
        assert_eq!(keys.session(session), "p:staff:s:AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(keys.session(session).as_bytes(), in_place);
        assert_eq!(keys.session_name(&session).len(), in_place.len());
        assert_eq!(
            keys.receipt(Key { realm: &realm, locator }),
            "p:staff:r:{p:staff:s:AAAAAAAAAAAAAAAAAAAAAA}"
        );
        assert_eq!(
            keys.index(UserKey { realm: &realm, user: locator }),
            "p:staff:u:{AAAAAAAAAAAAAAAAAAAAAA}"
        );
        assert_eq!(
            keys.credentials(UserKey { realm: &realm, user: locator }),
            "p:staff:c:{AAAAAAAAAAAAAAAAAAAAAA}"
        );
        let (user, name) = (UserKey { realm: &realm, user: locator }, Locator::from_bytes([255; 16]));
        for (key, expected) in [
            (keys.epoch(user), "p:staff:e:{AAAAAAAAAAAAAAAAAAAAAA}"),
            (keys.token(user, name), "p:staff:t:{AAAAAAAAAAAAAAAAAAAAAA}:_____________________w"),
            (keys.family(user, name), "p:staff:f:{AAAAAAAAAAAAAAAAAAAAAA}:_____________________w"),
            (keys.refresh(user, name), "p:staff:g:{AAAAAAAAAAAAAAAAAAAAAA}:_____________________w"),
            (keys.everyone(&realm), "p:staff:everyone"),
            (keys.proof(&realm, name), "p:staff:j:_____________________w"),
            (keys.key_set(name), "p::keys:{_____________________w}"),
            (keys.key_set_lease(name), "p::keys:{_____________________w}:lease"),
        ] {
            assert_eq!(key, expected);
        }
    }
}
