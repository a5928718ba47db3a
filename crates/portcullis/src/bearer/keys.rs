//! [`KeySet`]: the keys of one issuer, parsed once; [`StaticKeys`]: those that the application brings along.

mod absent;
mod der;
mod hmac;
mod jwk;
mod known;
mod lone;
mod pem;
mod rsa;
mod source;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub(super) use self::absent::AbsentKeys;
pub use self::hmac::{HmacKey, HmacKeys};
use self::known::KnownHeaders;
pub(super) use self::lone::LoneKey;
pub(crate) use self::rsa::numbers as rsa_numbers;
pub use self::source::{KeyHealth, KeyQuery, KeySource, KeyState, Missed, Missing};
use super::algorithm::{Algorithm, Algorithms};
use super::crypto::{PublicKey, SecretKey, sha256};
use super::error::{BuildError, BuildErrorKind};
use super::jws::{JoseHeader, Jws, Room};
use super::refusal::Refusal;

/// The keys of one issuer, each for one algorithm. Once made, a set is never changed.
pub struct KeySet {
    keys: Vec<Key>,
    /// Those of tokens that they have verified.
    headers: KnownHeaders,
}

/// Public keys that the application brings along.
///
/// A key that cannot be used (of an unknown kind, too weak, for encryption) is dropped with a warning in the log; if
/// none is left, that is an error.
#[derive(Clone, Debug)]
pub struct StaticKeys(Arc<KeySet>);

/// A key and the one algorithm that it is used with. An RSA key that names no algorithm is several of these.
pub(super) struct Key {
    kid: Option<Box<str>>,
    /// Whose it is, in a set of the keys of several.
    issuer: Option<Box<str>>,
    algorithm: Algorithm,
    material: Material,
    uid: KeyUid,
}

/// What a key is known by across sets: the same key, under the same id and for the same algorithm, has the same one. A
/// shared secret has none: such sets are not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bearer) struct KeyUid(Option<[u8; 16]>);

enum Material {
    Public(PublicKey),
    Secret(SecretKey),
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    NotAnObject,
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    NotForVerifying,
    /// `kty` or `crv` is unknown.
    UnknownType,
    /// `alg` is unknown, or does not fit `kty` and `crv`.
    WrongAlgorithm,
    /// A parameter is missing, is not base64url, or has the wrong length.
    BadParameter,
    /// Not a point of the curve.
    NotOnCurve,
    /// RSA under 2048 or over 8192 bits, or an exponent that is even, 1 or over 33 bits.
    RsaSize,
    /// RSA made by a broken generator (CVE-2017-15361).
    Roca,
    /// A shared secret in a public key set.
    Symmetric,
    /// Another key has the same `kid` and algorithm.
    Ambiguous,
}

/// How many keys without a matching id are tried.
const MAX_CANDIDATES: usize = 4;

/// How many keys a set may have.
const MAX_KEYS: usize = 100;

impl KeySet {
    /// Reads a JWK set (RFC 7517, section 5), each key by itself: one that cannot be used is dropped with a warning.
    ///
    /// # Errors
    /// When the text is no JWK set, has over 100 keys, mixes symmetric keys with others, or has no usable key.
    pub fn jwks(json: &str) -> Result<Self, BuildError> {
        Self::of_keys(jwk::load(json)?)
    }

    /// A set without keys: that of a [`KeySource`] which has none yet. It verifies nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self { keys: Vec::new(), headers: KnownHeaders::new() }
    }

    /// How many keys it has. One that names no algorithm counts once for each that it is used with.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn of_keys(keys: Vec<Key>) -> Result<Self, BuildError> {
        if keys.is_empty() {
            return Err(BuildErrorKind::NoUsableKey.into());
        }
        Ok(Self { keys, headers: KnownHeaders::new() })
    }

    /// The header of a token; it is read, unless the same text is known from a token that was verified.
    #[inline]
    pub(super) fn header<'h>(
        &'h self,
        jws: &Jws<'_>,
        room: &'h mut Option<Room>,
    ) -> Result<Cow<'h, JoseHeader<'h>>, Refusal> {
        match self.headers.find(jws.header()) {
            Some(known) => Ok(Cow::Borrowed(known)),
            None => jws.read_header(room.insert(Room::new())).map(Cow::Owned),
        }
    }

    /// Keeps the header of a token that one of the keys has verified.
    pub(super) fn keep_header(&self, jws: &Jws<'_>, header: &JoseHeader<'_>) {
        self.headers.keep(jws.header(), header);
    }

    /// Verifies a signature by the key of this id, or by one that has no id, and says by which.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<&Key, Refusal> {
        let candidates = || self.keys.iter().filter(|key| key.may_be(algorithm, kid));
        match candidates().take(MAX_CANDIDATES + 1).count() {
            0 => Err(Refusal::UnknownKey),
            1..=MAX_CANDIDATES => {
                candidates().find(|key| key.verify(message, signature)).ok_or(Refusal::BadSignature)
            }
            _ => Err(Refusal::AmbiguousKey),
        }
    }

    /// Whether it has this key, whichever set it was first seen in.
    pub(super) fn has_uid(&self, uid: KeyUid) -> bool {
        uid.0.is_some() && self.keys.iter().any(|key| key.uid == uid)
    }

    /// Whether it has a key of this algorithm that could be meant by this id.
    pub(super) fn has(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.may_be(algorithm, kid))
    }

    /// The algorithms that some key can be used with.
    pub(super) fn algorithms(&self) -> Algorithms {
        self.keys.iter().map(|key| key.algorithm).collect()
    }
}

impl StaticKeys {
    /// The keys of a JWK set (RFC 7517, section 5).
    ///
    /// # Errors
    /// When the text is no JWK set, has over 100 keys, mixes symmetric keys with others, or has no usable key.
    pub fn jwks(json: &str) -> Result<Self, BuildError> {
        KeySet::jwks(json).map(|set| Self(Arc::new(set)))
    }

    /// The public keys of a PEM text (`PUBLIC KEY` or `RSA PUBLIC KEY`, RFC 7468).
    ///
    /// They have no id, so a token of any `kid` is checked against those of its algorithm, of which there may be four.
    ///
    /// # Errors
    /// When the text is not PEM, has a private key or a certificate, or a key that cannot be used.
    pub fn pem(text: &str) -> Result<Self, BuildError> {
        KeySet::of_keys(pem::load(text)?).map(|set| Self(Arc::new(set)))
    }
}

impl Key {
    fn new(kid: Option<Box<str>>, algorithm: Algorithm, material: Material) -> Self {
        let uid = KeyUid::of(kid.as_deref(), algorithm, &material);
        Self { kid, issuer: None, algorithm, material, uid }
    }

    /// The same, said to be this issuer's.
    fn of_issuer(mut self, issuer: Option<Box<str>>) -> Self {
        self.issuer = issuer;
        self
    }

    pub(super) const fn uid(&self) -> KeyUid {
        self.uid
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    fn may_be(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        self.algorithm == algorithm
            && match (self.kid.as_deref(), kid) {
                (Some(own), Some(asked)) => own == asked,
                (None, _) | (_, None) => true,
            }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.material.verify(message, signature)
    }
}

impl Material {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify(message, signature),
            Self::Secret(key) => key.verify(message, signature),
        }
    }
}

impl KeyUid {
    /// That of a shared secret.
    pub(super) const NONE: Self = Self(None);

    fn of(kid: Option<&str>, algorithm: Algorithm, material: &Material) -> Self {
        let Material::Public(key) = material else { return Self::NONE };
        // Where each part ends is part of it, and no id is another than an empty one.
        let len = kid.map_or(u64::MAX, |kid| kid.len() as u64).to_be_bytes();
        let kid = kid.unwrap_or_default().as_bytes();
        let hash = sha256([algorithm.name().as_bytes(), &len, kid, key.as_bytes()]);
        Self(hash.first_chunk().copied())
    }
}

/// A point of a curve, or a key of Ed25519, in the encoding that the algorithm's library reads.
fn on_curve(algorithm: Algorithm, bytes: &[u8]) -> Result<Material, Unusable> {
    PublicKey::on_curve(algorithm, bytes).map(Material::Public).ok_or(Unusable::NotOnCurve)
}

impl Unusable {
    /// What the log says.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::NotAnObject => "not an object",
            Self::NotForVerifying => "not for verifying signatures",
            Self::UnknownType => "of an unknown type or curve",
            Self::WrongAlgorithm => "its algorithm is unknown or does not fit its type",
            Self::BadParameter => "a parameter is missing or malformed",
            Self::NotOnCurve => "not a point of its curve",
            Self::RsaSize => "its modulus or exponent is out of bounds",
            Self::Roca => "made by a broken generator (CVE-2017-15361)",
            Self::Symmetric => "a shared secret in a public key set",
            Self::Ambiguous => "another key has its id and algorithm",
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| (key.algorithm, key.kid.as_deref()))).finish()
    }
}
