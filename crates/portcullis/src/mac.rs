//! [`MacRing`]: keys that sign by HMAC-SHA-256. The first one signs, all of them verify.
//!
//! The keys themselves are not kept, only the state of the hash that has taken them in, which is overwritten when it is
//! dropped.

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// Keys, of which the first one signs and all verify.
#[derive(Clone)]
pub(crate) struct MacRing {
    signing: HmacSha256,
    /// The others.
    verifying: Vec<HmacSha256>,
    /// The length of the shortest key, in bytes.
    shortest: usize,
}

/// A key as long as the hash's output (RFC 2104, section 3).
const MIN_KEY_LEN: usize = 32;

impl MacRing {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { signing: state(key), verifying: Vec::new(), shortest: key.len() }
    }

    pub(crate) fn add_key(mut self, key: &[u8]) -> Self {
        self.verifying.push(state(key));
        self.shortest = self.shortest.min(key.len());
        self
    }

    /// Whether every key is long enough.
    pub(crate) fn is_sound(&self) -> bool {
        self.shortest >= MIN_KEY_LEN
    }

    pub(crate) fn signing(&self) -> &HmacSha256 {
        &self.signing
    }

    /// All of them, the signing one first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &HmacSha256> {
        std::iter::once(&self.signing).chain(&self.verifying)
    }

    pub(crate) fn len(&self) -> usize {
        1 + self.verifying.len()
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
fn state(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}
