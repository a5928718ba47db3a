//! [`HmacKeys`]: secrets that issuer and service share.

use std::fmt;
use std::sync::Arc;

use super::super::algorithm::Algorithm;
use super::super::crypto::SecretKey;
use super::super::error::{BuildError, BuildErrorKind};
use super::{Key, KeySet, MAX_KEYS, Material};
use crate::secret::Redacted;

/// Shared secrets for HS256, HS384 and HS512 (RFC 7518, section 3.2).
///
/// Whoever can verify with a shared secret can also sign; prefer an asymmetric algorithm where issuer and service are
/// two parties.
#[derive(Clone, Debug)]
pub struct HmacKeys(Arc<KeySet>);

/// One shared secret.
#[derive(Clone)]
pub struct HmacKey {
    secret: Redacted<Vec<u8>>,
    kid: Option<String>,
}

impl HmacKeys {
    /// Takes the secrets. Each is used with the algorithms that it is long enough for: HS256 from 32 bytes, HS384 from
    /// 48, HS512 from 64. Only HS256 is allowed unless [`Issuer::algorithms`](super::super::Issuer::algorithms) says
    /// otherwise.
    ///
    /// # Errors
    /// When there is no secret, one is under 32 bytes, or one is a PEM text: a public key is not a secret.
    pub fn new<T: Into<HmacKey>>(secrets: impl IntoIterator<Item = T>) -> Result<Self, BuildError> {
        let mut keys = Vec::new();
        for (count, secret) in secrets.into_iter().map(Into::into).enumerate() {
            if count >= MAX_KEYS {
                return Err(BuildErrorKind::TooManyKeys.into());
            }
            secret.check()?;
            keys.extend(secret.keys());
        }
        KeySet::of_keys(keys).map(|set| Self(Arc::new(set)))
    }

    pub(super) fn key_set(&self) -> Arc<KeySet> {
        Arc::clone(&self.0)
    }
}

impl HmacKey {
    /// A secret without an id: a token of any `kid` is checked against it.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self { secret: Redacted(secret.into()), kid: None }
    }

    /// The id by which tokens name it.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    fn check(&self) -> Result<(), BuildError> {
        let secret = &self.secret.0;
        let is_pem = secret.trim_ascii_start().starts_with(b"-----BEGIN");
        if secret.len() < 32 || is_pem { Err(BuildErrorKind::WeakSecret.into()) } else { Ok(()) }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let secret = &self.secret.0;
        // As long as the tag at least (RFC 7518, section 3.2).
        let long_enough =
            Algorithm::HMAC.into_iter().zip([32, 48, 64]).filter(|&(_, len)| secret.len() >= len);
        long_enough.filter_map(|(algorithm, _)| {
            let material = Material::Secret(SecretKey::new(algorithm, secret)?);
            Some(Key::new(self.kid.as_deref().map(Box::from), algorithm, material))
        })
    }
}

impl<T: Into<Vec<u8>>> From<T> for HmacKey {
    fn from(secret: T) -> Self {
        Self::new(secret)
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKey").field("secret", &self.secret).field("kid", &self.kid).finish()
    }
}
