//! [`Keys`]: what everything is called in the server; the crate's page has the table.
//!
//! A user's hash stands in braces, so that in a cluster everything of one user is in one slot.

use std::sync::Arc;

use portcullis_store::{Key, Realm, UserKey};

/// What everything is called in the server.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: Arc<str>,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(crate) fn session(&self, key: Key<'_>) -> String {
        self.join([key.realm.as_str(), ":s:", key.locator.as_str(), ""])
    }

    pub(crate) fn index(&self, user: UserKey<'_>) -> String {
        self.join([user.realm.as_str(), ":u:{", user.user.as_str(), "}"])
    }

    pub(crate) fn credentials(&self, user: UserKey<'_>) -> String {
        self.join([user.realm.as_str(), ":c:{", user.user.as_str(), "}"])
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
    use portcullis_store::{Locator, Realm};

    #[test]
    fn the_layout_is_as_documented() {
        let realm: Realm = "staff".parse().unwrap();
        let locator = Locator::from_bytes([0; 16]);
        let keys = Keys::new("p");
        assert_eq!(keys.session(Key { realm: &realm, locator }), "p:staff:s:AAAAAAAAAAAAAAAAAAAAAA");
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
    }
}
