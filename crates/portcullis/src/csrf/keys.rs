//! [`CsrfKeys`]: the keys that tokens are made and verified with.

use std::fmt;

use crate::mac::MacRing;

/// The keys of CSRF tokens: the first one makes them, all of them verify.
///
/// A key is at least 32 bytes long, from a random source such as `openssl rand -hex 32`, and the same in every process;
/// a layer does not take a shorter one. To change it, let every process know the new key first, by [`add_key`](Self::add_key);
/// then put it in front, and keep the one before for as long as a page may stay open:
///
/// ```
/// use portcullis::CsrfLayer;
/// use portcullis::csrf::CsrfKeys;
///
/// let new = b"Eixai3ieLeegh4oi-of-this-november";
/// let old = b"ohth5ieG9ooYae8E-of-the-last-year";
/// assert!(CsrfLayer::new().tokens(CsrfKeys::new(new).add_key(old)).is_ok());
/// assert!(CsrfLayer::new().tokens(CsrfKeys::new("short")).is_err());
/// ```
///
/// The keys themselves are not kept, only the state of the hash that has taken them in; `Debug` does not show it.
#[derive(Clone)]
pub struct CsrfKeys(pub(super) MacRing);

impl CsrfKeys {
    /// One key, that makes and verifies tokens.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self(MacRing::new(key.as_ref()))
    }

    /// One more key, that verifies only: the one before, or the one to come on instances that do not have it yet.
    #[must_use]
    pub fn add_key(self, key: impl AsRef<[u8]>) -> Self {
        Self(self.0.add_key(key.as_ref()))
    }
}

impl fmt::Debug for CsrfKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsrfKeys").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_key() {
        let keys = CsrfKeys::new(*b"an-unmistakable-key-of-32-bytes!").add_key([1; 32]);
        assert_eq!(format!("{keys:?}"), "CsrfKeys { keys: 2, .. }");
    }
}
