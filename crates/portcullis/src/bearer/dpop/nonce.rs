//! [`NonceKeys`]: the keys of nonces. [`Nonces`]: those that a server hands out, and whether one is its own.
//!
//! Nothing is stored: a nonce is a moment, in periods, and a code that only the holders of the keys can make. So every
//! process that has the keys takes what the others have given.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use http::HeaderValue;
use portcullis_store::Timestamp;

use crate::mac::{HmacSha256, MacRing};

/// The keys of the nonces that a server has its clients put into their proofs: the first makes them, all accept them.
///
/// A key is at least 32 bytes long, from a random source such as `openssl rand -hex 32`; a layer is not built with a
/// shorter one. All processes of a service have the same. To change it, let all of them know the new one first, by
/// [`add_key`](Self::add_key); then put it in front, and keep the one before for some minutes:
///
/// ```
/// use portcullis::bearer::NonceKeys;
///
/// let keys = NonceKeys::new(b"Eixai3ieLeegh4oi-of-this-november").add_key(b"ohth5ieG9ooYae8E-of-the-last-year");
/// ```
#[derive(Clone)]
pub struct NonceKeys(MacRing);

/// Nonces of certain keys, each good for a certain time.
#[derive(Clone, Debug)]
pub(super) struct Nonces {
    keys: NonceKeys,
    period: Duration,
}

/// How a nonce is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Of this period.
    Current,
    /// Still good, but there is a newer one.
    Aging,
    /// Not ours, or too old.
    Bad,
}

/// A period's number, and an HMAC-SHA-256.
const LEN: usize = 8 + 32;

impl NonceKeys {
    /// One key.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self(MacRing::new(key.as_ref()))
    }

    /// One more key, whose nonces are accepted only: the one before, or the one to come on instances that do not have it
    /// yet.
    #[must_use]
    pub fn add_key(self, key: impl AsRef<[u8]>) -> Self {
        Self(self.0.add_key(key.as_ref()))
    }

    /// Whether every key is long enough.
    pub(super) fn is_sound(&self) -> bool {
        self.0.is_sound()
    }
}

impl Nonces {
    /// A period is a second at least.
    pub(super) fn new(keys: NonceKeys, period: Duration) -> Self {
        Self { keys, period: period.max(Duration::from_secs(1)) }
    }

    /// The nonce of this moment.
    pub(super) fn make(&self, now: Timestamp) -> Option<HeaderValue> {
        let number = self.number(now).to_be_bytes();
        let code = self.keys.0.signing().clone().chain_update(message(number)).finalize().into_bytes();
        HeaderValue::try_from(URL_SAFE_NO_PAD.encode([&number, code.as_slice()].concat())).ok()
    }

    /// How old a nonce is. One of the next period is of a server whose clock is a little ahead.
    pub(super) fn age(&self, nonce: &str, now: Timestamp) -> Age {
        let mut bytes = [0; LEN];
        let is_whole = URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes) == Ok(LEN);
        let Some((number, code)) = bytes.split_first_chunk().filter(|_| is_whole) else { return Age::Bad };
        let is_by = |key: &HmacSha256| key.clone().chain_update(message(*number)).verify_slice(code).is_ok();
        if !self.keys.0.keys().any(is_by) {
            return Age::Bad;
        }
        let (number, current) = (u64::from_be_bytes(*number), self.number(now));
        match number.abs_diff(current) {
            0 => Age::Current,
            1 => Age::Aging,
            _ => Age::Bad,
        }
    }

    fn number(&self, now: Timestamp) -> u64 {
        now.as_secs() / self.period.as_secs().max(1)
    }
}

/// What the code is over; nothing else that the same key might make codes of begins so.
fn message(number: [u8; 8]) -> [u8; 30] {
    let mut message = *b"portcullis dpop nonce\0________";
    message.iter_mut().skip(22).zip(number).for_each(|(place, byte)| *place = byte);
    message
}

impl fmt::Debug for NonceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceKeys").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 32] = [1; 32];
    const TWO: [u8; 32] = [2; 32];

    fn nonces(keys: NonceKeys) -> Nonces {
        Nonces::new(keys, Duration::from_secs(60))
    }

    fn text(nonces: &Nonces, at: u64) -> String {
        nonces.make(Timestamp::from_secs(at)).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_nonce_is_good_for_its_period_and_the_next() {
        let ring = nonces(NonceKeys::new(ONE));
        let nonce = text(&ring, 6000);
        for (at, expected) in [
            (6000, Age::Current),
            (6059, Age::Current),
            (6060, Age::Aging),
            (6119, Age::Aging),
            (6120, Age::Bad),
            (5999, Age::Aging),
            (5939, Age::Bad),
        ] {
            assert_eq!(ring.age(&nonce, Timestamp::from_secs(at)), expected, "{at}");
        }
    }

    #[test]
    fn only_the_ring_s_own_nonces_are_good() {
        let (old, new) = (nonces(NonceKeys::new(ONE)), nonces(NonceKeys::new(TWO).add_key(ONE)));
        let now = Timestamp::from_secs(6000);
        assert_eq!(new.age(&text(&old, 6000), now), Age::Current);
        assert_eq!(old.age(&text(&new, 6000), now), Age::Bad);
        let nonce = text(&new, 6000);
        for at in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(new.age(&changed, now), Age::Bad, "{at}");
        }
        let shorter = nonce.chars().skip(1).collect::<String>();
        for nonce in ["", "A", &shorter, &format!("{nonce}A"), &format!("{nonce}="), &"A".repeat(4096)] {
            assert_eq!(new.age(nonce, now), Age::Bad, "{nonce}");
        }
    }

    #[test]
    fn a_message_has_the_number_at_its_end() {
        assert_eq!(&message([7; 8]), b"portcullis dpop nonce\0\x07\x07\x07\x07\x07\x07\x07\x07");
    }

    #[test]
    fn a_short_key_is_not_sound_wherever_it_stands_and_debug_shows_none() {
        assert!(NonceKeys::new(ONE).add_key(TWO).is_sound());
        assert!(
            !NonceKeys::new([1; 31]).add_key(TWO).is_sound() && !NonceKeys::new(ONE).add_key("a").is_sound()
        );
        assert_eq!(format!("{:?}", NonceKeys::new(ONE)), "NonceKeys { keys: 1, .. }");
    }
}
