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
    /// What the channel of revocations ends with, because channels are of all databases.
    database: Arc<str>,
}

/// What a key is about by which tokens are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Token { user: Locator, token: Locator },
    Family { user: Locator, family: Locator },
    User { user: Locator },
}

/// The parts of a name, to be put together where it goes out from.
pub(crate) struct Name<'a>([&'a [u8]; 6]);

impl Word for Name<'_> {
    fn len(&self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    fn put(&self, packed: &mut Vec<u8>) {
        self.0.iter().for_each(|part| packed.extend_from_slice(part));
    }
}

impl Name<'_> {
    fn text(&self) -> String {
        let mut text = Vec::with_capacity(self.len());
        self.put(&mut text);
        // Its parts are text.
        String::from_utf8(text).unwrap_or_default()
    }
}

impl Keys {
    pub(crate) fn new(prefix: &str, database: i64) -> Self {
        let suffix = if database == 0 { String::new() } else { format!(":{database}") };
        Self { prefix: prefix.into(), database: suffix.into() }
    }

    pub(crate) fn session(&self, key: Key<'_>) -> String {
        self.session_name(&key).text()
    }

    /// [`session`](Self::session) in parts.
    pub(crate) fn session_name<'a>(&'a self, key: &'a Key<'a>) -> Name<'a> {
        self.name(key.realm, [b":s:", key.locator.as_bytes(), b""])
    }

    pub(crate) fn index(&self, user: UserKey<'_>) -> String {
        self.index_name(&user).text()
    }

    /// [`index`](Self::index) in parts.
    pub(crate) fn index_name<'a>(&'a self, user: &'a UserKey<'a>) -> Name<'a> {
        self.name(user.realm, [b":u:{", user.user.as_bytes(), b"}"])
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
        self.ended_name(realm).text()
    }

    /// [`ended`](Self::ended) in parts.
    pub(crate) fn ended_name<'a>(&'a self, realm: &'a Realm) -> Name<'a> {
        self.name(realm, [b":ended", b"", b""])
    }

    /// The channel on which revocations of tokens are told.
    pub(crate) fn revoked(&self, realm: &Realm) -> String {
        self.join([realm.as_str(), ":revoked", &self.database, ""])
    }

    /// A channel of one process's own.
    pub(crate) fn pulse(&self, process: Locator) -> String {
        self.join([":pulse:", process.as_str(), "", ""])
    }

    /// A pattern (SCAN) of all keys by which tokens of the realm are revoked, but for everyone's. Nothing in a prefix or a
    /// realm's name has a meaning of its own in it.
    pub(crate) fn standing(&self, realm: &Realm) -> String {
        self.join([realm.as_str(), ":[tfe]:{*", "", ""])
    }

    /// What a key that the pattern has found is about.
    pub(crate) fn stands_for(&self, realm: &Realm, name: &str) -> Option<Standing> {
        let rest = name.strip_prefix(&*self.prefix)?.strip_prefix(':')?;
        let (kind, rest) = rest.strip_prefix(realm.as_str())?.strip_prefix(':')?.split_once(":{")?;
        let (user, name) = rest.split_once('}')?;
        let (user, name) = (Locator::parse(user)?, name.strip_prefix(':').map(Locator::parse));
        match (kind, name) {
            ("t", Some(Some(token))) => Some(Standing::Token { user, token }),
            ("f", Some(Some(family))) => Some(Standing::Family { user, family }),
            ("e", None) => Some(Standing::User { user }),
            _ => None,
        }
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

    fn name<'a>(&'a self, realm: &'a Realm, [first, second, third]: [&'a [u8]; 3]) -> Name<'a> {
        Name([self.prefix.as_bytes(), b":", realm.as_str().as_bytes(), first, second, third])
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
        let keys = Keys::new("p", 0);
        let session = Key { realm: &realm, locator };
        assert_eq!(keys.session(session), "p:staff:s:AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(keys.session_name(&session).len(), keys.session(session).len());
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
            (keys.revoked(&realm), "p:staff:revoked"),
            (Keys::new("p", 5).revoked(&realm), "p:staff:revoked:5"),
            (keys.pulse(name), "p::pulse:_____________________w"),
            (keys.standing(&realm), "p:staff:[tfe]:{*"),
            (keys.proof(&realm, name), "p:staff:j:_____________________w"),
            (keys.key_set(name), "p::keys:{_____________________w}"),
            (keys.key_set_lease(name), "p::keys:{_____________________w}:lease"),
        ] {
            assert_eq!(key, expected);
        }
    }

    #[test]
    fn a_key_that_revokes_is_told_from_all_others() {
        let (realm, other): (Realm, Realm) = ("staff".parse().unwrap(), "staff-2".parse().unwrap());
        let [user, name] = [[1; 16], [2; 16]].map(Locator::from_bytes);
        let (keys, key) = (Keys::new("p:x", 0), UserKey { realm: &realm, user });
        let rows = [
            ("a token's", keys.token(key, name), Some(Standing::Token { user, token: name })),
            ("a family's", keys.family(key, name), Some(Standing::Family { user, family: name })),
            ("a user's", keys.epoch(key), Some(Standing::User { user })),
            ("of refresh tokens", keys.refresh(key, name), None),
            ("an index", keys.index(key), None),
            ("another realm's", keys.epoch(UserKey { realm: &other, user }), None),
            ("another prefix's", Keys::new("p", 0).epoch(key), None),
            ("everyone's", keys.everyone(&realm), None),
            ("an epoch with a name", format!("{}:{name}", keys.epoch(key)), None),
            ("a token without one", keys.epoch(key).replace(":e:", ":t:"), None),
            ("nobody's", format!("p:x:staff:t:{{{user}}}:{{}}"), None),
        ];
        for (whose, key, expected) in rows {
            assert_eq!(keys.stands_for(&realm, &key), expected, "{whose}");
        }
    }
}
