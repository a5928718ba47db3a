//! By the crates of RustCrypto, in pure Rust: no C compiler is needed, and signatures cost some times as much.

use ed25519_dalek::VerifyingKey as Ed25519;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature as P256Signature, VerifyingKey as P256};
use p384::ecdsa::{Signature as P384Signature, VerifyingKey as P384};
use rsa::{BoxedUint, Pkcs1v15Sign, Pss, PublicKey as Rsa};
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::bearer::Algorithm;

/// A public key for one algorithm.
pub(in crate::bearer) struct PublicKey {
    key: Key,
    bytes: Box<[u8]>,
}

enum Key {
    P256(Box<P256>),
    P384(Box<P384>),
    Ed25519(Box<Ed25519>),
    Rsa(Box<Rsa>, Padding, Hash),
}

#[derive(Clone, Copy)]
enum Padding {
    Pkcs1,
    Pss,
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// A shared secret for one algorithm.
pub(in crate::bearer) enum SecretKey {
    Sha256(Box<Hmac<Sha256>>),
    Sha384(Box<Hmac<Sha384>>),
    Sha512(Box<Hmac<Sha512>>),
}

impl PublicKey {
    /// A point of the algorithm's curve (SEC 1, section 2.3), or the bytes of a key of Ed25519.
    pub(in crate::bearer) fn on_curve(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let key = match algorithm {
            Algorithm::ES256 => Key::P256(Box::new(P256::from_sec1_bytes(bytes).ok()?)),
            Algorithm::ES384 => Key::P384(Box::new(P384::from_sec1_bytes(bytes).ok()?)),
            Algorithm::EdDSA => Key::Ed25519(Box::new(Ed25519::try_from(bytes).ok()?)),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512
            | Algorithm::HS256
            | Algorithm::HS384
            | Algorithm::HS512 => return None,
        };
        Some(Self { key, bytes: bytes.into() })
    }

    /// A modulus and an exponent, big-endian.
    pub(in crate::bearer) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Option<Self> {
        let (padding, hash) = rsa(algorithm)?;
        let number = BoxedUint::from_be_slice_vartime;
        let key = Rsa::new(number(n), number(e)).ok()?;
        // As long as the numbers are the same, so are these.
        Some(Self { key: Key::Rsa(Box::new(key), padding, hash), bytes: [n, &[0], e].concat().into() })
    }

    pub(in crate::bearer) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::P256(key) => P256Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Key::P384(key) => P384Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // Not by keys and with points of small order, for which other messages have the same signature.
            Key::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Key::Rsa(key, Padding::Pkcs1, hash) => hash.verify_pkcs1(key, message, signature),
            Key::Rsa(key, Padding::Pss, hash) => hash.verify_pss(key, message, signature),
        }
    }

    /// What makes it this key.
    pub(in crate::bearer) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Hash {
    fn verify_pkcs1(self, key: &Rsa, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Sha256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature),
            Self::Sha384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature),
            Self::Sha512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature),
        };
        verified.is_ok()
    }

    /// With a salt that is as long as the hash (RFC 7518, section 3.5).
    fn verify_pss(self, key: &Rsa, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Sha256 => key.verify(Pss::<Sha256>::new(), &Sha256::digest(message), signature),
            Self::Sha384 => key.verify(Pss::<Sha384>::new(), &Sha384::digest(message), signature),
            Self::Sha512 => key.verify(Pss::<Sha512>::new(), &Sha512::digest(message), signature),
        };
        verified.is_ok()
    }
}

impl SecretKey {
    /// `None` for algorithms that do not use one.
    pub(in crate::bearer) fn new(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::HS256 => Hmac::new_from_slice(secret).ok().map(Box::new).map(Self::Sha256),
            Algorithm::HS384 => Hmac::new_from_slice(secret).ok().map(Box::new).map(Self::Sha384),
            Algorithm::HS512 => Hmac::new_from_slice(secret).ok().map(Box::new).map(Self::Sha512),
            Algorithm::ES256
            | Algorithm::ES384
            | Algorithm::EdDSA
            | Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => None,
        }
    }

    pub(in crate::bearer) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        let verified = match self {
            Self::Sha256(key) => key.as_ref().clone().chain_update(message).verify_slice(tag),
            Self::Sha384(key) => key.as_ref().clone().chain_update(message).verify_slice(tag),
            Self::Sha512(key) => key.as_ref().clone().chain_update(message).verify_slice(tag),
        };
        verified.is_ok()
    }
}

/// Whether both are the same, in a time that depends on their lengths only.
pub(in crate::bearer) fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

fn rsa(algorithm: Algorithm) -> Option<(Padding, Hash)> {
    match algorithm {
        Algorithm::RS256 => Some((Padding::Pkcs1, Hash::Sha256)),
        Algorithm::RS384 => Some((Padding::Pkcs1, Hash::Sha384)),
        Algorithm::RS512 => Some((Padding::Pkcs1, Hash::Sha512)),
        Algorithm::PS256 => Some((Padding::Pss, Hash::Sha256)),
        Algorithm::PS384 => Some((Padding::Pss, Hash::Sha384)),
        Algorithm::PS512 => Some((Padding::Pss, Hash::Sha512)),
        Algorithm::ES256
        | Algorithm::ES384
        | Algorithm::EdDSA
        | Algorithm::HS256
        | Algorithm::HS384
        | Algorithm::HS512 => None,
    }
}
