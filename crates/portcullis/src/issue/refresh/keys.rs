//! [`RefreshKeys`]: what refresh tokens are authenticated with, and made of.

use std::fmt;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use portcullis_store::Realm;

use super::token::{MAC_LEN, Place, SECRET_LEN};
use crate::issue::Confirmation;

/// The keys that refresh tokens are authenticated with: the first one signs, all of them verify.
///
/// A key is at least 32 bytes long, from a random source. To change it, let every process know the new one first, by
/// [`add_key`](Self::add_key), else one refuses the tokens of another and their users have to sign in again; then put it in
/// front, and keep the one before for as long as a family may lie idle. Who has it can forge no token of a family that lives,
/// because a family's secrets are not in it; but tells them from guesses, so it is kept like any other secret. `Debug` does
/// not show it.
#[derive(Clone)]
pub struct RefreshKeys {
    keys: Vec<Key>,
    /// The length of the shortest, in bytes.
    shortest: usize,
}

/// Of which families a token is, and to whom it was given: what it is good for.
#[derive(Clone, Copy)]
pub(super) struct Binding<'a> {
    pub(super) realm: &'a Realm,
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) key: Option<&'a Confirmation>,
}

/// A key as long as the hash's output (RFC 2104, section 3).
const MIN_KEY_LEN: usize = 32;

impl RefreshKeys {
    /// One key, that signs and verifies.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self { keys: Vec::new(), shortest: usize::MAX }.add_key(key)
    }

    /// One more key, that verifies only: the one before, or the one to come on instances that do not have it yet.
    #[must_use]
    pub fn add_key(mut self, key: impl AsRef<[u8]>) -> Self {
        let key = key.as_ref();
        self.keys.push(Key::new(HMAC_SHA256, key));
        self.shortest = self.shortest.min(key.len());
        self
    }

    /// Whether every key is long enough.
    pub(super) const fn is_sound(&self) -> bool {
        self.shortest >= MIN_KEY_LEN
    }

    /// The MAC of a new token.
    pub(super) fn sign(
        &self,
        binding: Binding<'_>,
        place: &Place,
        generation: u64,
        secret: &[u8; SECRET_LEN],
    ) -> [u8; MAC_LEN] {
        let key = self.keys.first();
        key.map_or([0; MAC_LEN], |key| mac(key, b"rt1 mac", binding, place, (generation, secret)))
    }

    /// The secret that follows that of this token, if one of the keys has signed it for this binding.
    pub(super) fn successor(
        &self,
        binding: Binding<'_>,
        place: &Place,
        generation: u64,
        secret: &[u8; SECRET_LEN],
        presented: &[u8; MAC_LEN],
    ) -> Option<[u8; SECRET_LEN]> {
        let of_token = (generation, secret);
        let is_signed_by = |key: &&Key| {
            crate::secret::constant_time_eq(&mac(key, b"rt1 mac", binding, place, of_token), presented)
        };
        // By the key that has signed it, so that a change of keys meanwhile changes nothing for it.
        let key = self.keys.iter().find(is_signed_by)?;
        // The same whether a proof came along or not: a token that is bound to nothing may be presented with one and without.
        Some(mac(key, b"rt1 next", Binding { key: None, ..binding }, place, of_token))
    }
}

/// HMAC-SHA-256 over all of it, lengths in front so that no two run together.
fn mac(
    key: &Key,
    purpose: &[u8],
    binding: Binding<'_>,
    place: &Place,
    (generation, secret): (u64, &[u8; SECRET_LEN]),
) -> [u8; 32] {
    let (kind, bound) = match binding.key {
        None => ("", ""),
        Some(Confirmation::Jkt(thumbprint)) => ("jkt", thumbprint.as_str()),
        Some(Confirmation::X5tS256(thumbprint)) => ("x5t#S256", thumbprint.as_str()),
    };
    let mut context = Context::with_key(key);
    let texts = [binding.realm.as_str(), binding.issuer, binding.client, kind, bound];
    for text in [purpose].into_iter().chain(texts.map(str::as_bytes)) {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text);
    }
    context.update(place.user.as_bytes());
    context.update(place.family.as_bytes());
    context.update(&generation.to_be_bytes());
    context.update(secret);
    context.sign().as_ref().first_chunk().copied().unwrap_or([0; 32])
}

impl fmt::Debug for RefreshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshKeys").field("count", &self.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_store::Locator;

    #[test]
    fn a_token_is_signed_for_all_that_it_is_about_and_for_nothing_else() {
        let (new, old) = (RefreshKeys::new([1; 32]).add_key([2; 32]), RefreshKeys::new([2; 32]));
        let (realm, other): (Realm, Realm) = (Realm::default(), "other".parse().unwrap());
        let place = Place { user: Locator::from_bytes([1; 16]), family: Locator::from_bytes([2; 16]) };
        let swapped = Place { user: place.family, family: place.user };
        let key = Confirmation::Jkt("k".into());
        let cert = Confirmation::X5tS256("k".into());
        let binding = Binding { realm: &realm, issuer: "i", client: "c", key: Some(&key) };
        let mac = old.sign(binding, &place, 1, &[7; 32]);
        let next = |binding, place, generation, secret: [u8; 32]| {
            new.successor(binding, place, generation, &secret, &mac)
        };
        assert!(next(binding, &place, 1, [7; 32]).is_some());
        for (name, binding, place, generation, secret) in [
            ("realm", Binding { realm: &other, ..binding }, &place, 1, [7; 32]),
            ("issuer", Binding { issuer: "x", ..binding }, &place, 1, [7; 32]),
            ("client", Binding { client: "x", ..binding }, &place, 1, [7; 32]),
            ("run together", Binding { issuer: "ic", client: "", ..binding }, &place, 1, [7; 32]),
            ("no key", Binding { key: None, ..binding }, &place, 1, [7; 32]),
            ("another kind of key", Binding { key: Some(&cert), ..binding }, &place, 1, [7; 32]),
            ("family", binding, &swapped, 1, [7; 32]),
            ("generation", binding, &place, 2, [7; 32]),
            ("secret", binding, &place, 1, [8; 32]),
        ] {
            assert_eq!(next(binding, place, generation, secret), None, "{name}");
        }
        assert_eq!(
            RefreshKeys::new([3; 32]).successor(binding, &place, 1, &[7; 32], &mac),
            None,
            "another key"
        );
    }

    #[test]
    fn the_secret_that_follows_is_the_same_in_every_process_also_while_keys_change() {
        let (old, both) = (RefreshKeys::new([2; 32]), RefreshKeys::new([1; 32]).add_key([2; 32]));
        let realm = Realm::default();
        let binding = Binding { realm: &realm, issuer: "i", client: "c", key: None };
        let place = Place { user: Locator::from_bytes([1; 16]), family: Locator::from_bytes([2; 16]) };
        let mac = old.sign(binding, &place, 0, &[7; 32]);
        let next = |keys: &RefreshKeys| keys.successor(binding, &place, 0, &[7; 32], &mac).unwrap();
        assert_eq!(next(&old), next(&both));
        assert!(next(&old) != mac && next(&old) != [7; 32]);
    }

    #[test]
    fn a_short_key_is_not_sound() {
        assert!(RefreshKeys::new([1; 32]).is_sound());
        assert!(!RefreshKeys::new([1; 31]).is_sound());
        assert!(!RefreshKeys::new([1; 32]).add_key([1; 31]).is_sound());
        assert!(!RefreshKeys::new([1; 31]).add_key([1; 32]).is_sound());
    }
}
