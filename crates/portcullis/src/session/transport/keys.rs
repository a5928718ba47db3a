//! [`KeyRing`]: the keys that sign what a session's cookie holds, so that a forged one is refused before the store is
//! asked.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use portcullis_store::Realm;

use crate::mac::{HmacSha256, MacRing};

/// The keys that sign session tokens: the first one signs, all of them verify.
///
/// A signature is HMAC-SHA-256, truncated to 128 bits (RFC 2104, section 5), over the realm and the token. It proves
/// nothing about a session, which its secret does; it spares the store those that nobody was ever given.
///
/// A key is at least 32 bytes long, from a random source such as `openssl rand -hex 32`; the layer is not built with a
/// shorter one. To change it, let every process know the new key first, by [`add_key`](Self::add_key): one that does not takes
/// whoever has signed in elsewhere by the new key for nobody. Then put it in front, and keep the one before for as long as a
/// session may live:
///
/// ```
/// use portcullis::session::{KeyRing, MemoryBackend, SessionLayer};
///
/// let new = b"Eixai3ieLeegh4oi-of-this-november";
/// let old = b"ohth5ieG9ooYae8E-of-the-last-year";
/// let keys = KeyRing::new(new).add_key(old);
/// assert!(SessionLayer::builder(MemoryBackend::new()).keys(keys).build().is_ok());
/// assert!(SessionLayer::builder(MemoryBackend::new()).keys(KeyRing::new("short")).build().is_err());
/// ```
///
/// The keys themselves are not kept, only the state of the hash that has taken them in, which is overwritten when it is
/// dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct KeyRing(MacRing);

const MAC_BYTES: usize = 16;

/// 128 bits of base64url without padding.
pub(crate) const MAC_LEN: usize = 22;

impl KeyRing {
    /// One key, that signs and verifies.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self(MacRing::new(key.as_ref()))
    }

    /// One more key, that verifies only: the one before, or the one to come on instances that do not have it yet.
    #[must_use]
    pub fn add_key(self, key: impl AsRef<[u8]>) -> Self {
        Self(self.0.add_key(key.as_ref()))
    }

    /// Whether every key is long enough.
    pub(crate) fn is_sound(&self) -> bool {
        self.0.is_sound()
    }

    /// The signature of a token of this realm, as text.
    pub(crate) fn sign(&self, realm: &Realm, token: &[u8]) -> String {
        let whole = mac(self.0.signing(), realm, token).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(whole.get(..MAC_BYTES).unwrap_or_default())
    }

    /// Whether one of the keys has signed this token of this realm, compared in constant time. Only the text that
    /// [`sign`](Self::sign) gives is a signature.
    pub(crate) fn verifies(&self, realm: &Realm, token: &[u8], signature: &[u8]) -> bool {
        read(signature).is_some_and(|presented| {
            self.0.keys().any(|key| mac(key, realm, token).verify_truncated_left(&presented).is_ok())
        })
    }
}

/// Whether this could be a signature, by whatever key.
pub(crate) fn is_signature(text: &[u8]) -> bool {
    read(text).is_some()
}

fn read(signature: &[u8]) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    let decoded = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes);
    (decoded == Ok(MAC_BYTES)).then_some(bytes)
}

/// A realm's name holds no NUL, so no two pairs of realm and token run together.
fn mac(key: &HmacSha256, realm: &Realm, token: &[u8]) -> HmacSha256 {
    let mut mac = key.clone();
    for part in [b"portcullis session\0", realm.as_str().as_bytes(), b"\0", token] {
        mac.update(part);
    }
    mac
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 32] = [1; 32];
    const TWO: [u8; 32] = [2; 32];

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let realm = Realm::default();
        let old = KeyRing::new(ONE);
        let new = KeyRing::new(TWO).add_key(ONE);
        let rows = [
            ("its own", &new, new.sign(&realm, b"t"), true),
            ("the one before", &new, old.sign(&realm, b"t"), true),
            ("one to come", &old, new.sign(&realm, b"t"), false),
            ("another token's", &new, new.sign(&realm, b"u"), false),
            ("another realm's", &new, new.sign(&"staff".parse().unwrap(), b"t"), false),
            ("none", &new, String::new(), false),
            ("all zeros", &new, "A".repeat(MAC_LEN), false),
            ("a byte short", &new, new.sign(&realm, b"t").split_off(1), false),
            ("padded", &new, new.sign(&realm, b"t") + "==", false),
        ];
        for (name, ring, signature, verifies) in rows {
            assert_eq!(ring.verifies(&realm, b"t", signature.as_bytes()), verifies, "{name}");
        }
    }

    #[test]
    fn only_one_text_is_a_tokens_signature() {
        let (realm, ring) = (Realm::default(), KeyRing::new(ONE));
        let signature = ring.sign(&realm, b"token").into_bytes();
        assert_eq!(signature.len(), MAC_LEN);
        for at in 0..MAC_LEN {
            for byte in 0..=u8::MAX {
                let mut changed = signature.clone();
                changed[at] = byte;
                assert_eq!(ring.verifies(&realm, b"token", &changed), changed == signature, "{byte} at {at}");
            }
        }
    }

    /// By Python's `hmac`, so that other implementations can make tokens too.
    #[test]
    fn a_signature_is_hmac_sha_256_over_realm_and_token() {
        let signature = KeyRing::new(ONE).sign(&Realm::default(), b"locator.secret");
        assert_eq!(signature, "LG0a5hzQWYCpA9OnUvMYdA");
    }

    #[test]
    fn a_short_key_is_not_sound_wherever_it_stands() {
        assert!(KeyRing::new(ONE).add_key(TWO).is_sound());
        assert!(!KeyRing::new([1; 31]).add_key(TWO).is_sound());
        assert!(!KeyRing::new(ONE).add_key("short").is_sound());
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", KeyRing::new(*b"an-unmistakable-key-of-32-bytes!"));
        assert_eq!(text, "KeyRing { keys: 1, .. }");
    }
}
