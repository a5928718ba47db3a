//! [`LoneKey`]: a public key that is in no set, for one algorithm: that of a proof, which brings its own.

use super::super::algorithm::Algorithm;
use super::rsa::RsaKey;
use super::{Material, Unusable, on_curve};

/// A public key, parsed, for one signature.
pub(in crate::bearer) struct LoneKey(Material);

impl LoneKey {
    /// A point of the algorithm's curve (RFC 7518, section 6.2.1): coordinates of exactly its length.
    pub(in crate::bearer) fn ec(
        algorithm: Algorithm,
        crv: &str,
        x: &[u8],
        y: &[u8],
    ) -> Result<Self, Unusable> {
        let (expected, len) = match crv {
            "P-256" => (Algorithm::ES256, 32),
            "P-384" => (Algorithm::ES384, 48),
            _ => return Err(Unusable::UnknownType),
        };
        if algorithm != expected {
            return Err(Unusable::WrongAlgorithm);
        }
        if x.len() != len || y.len() != len {
            return Err(Unusable::BadParameter);
        }
        // An uncompressed point (SEC 1, section 2.3.3).
        on_curve(algorithm, &[&[4][..], x, y].concat()).map(Self)
    }

    /// A key of Ed25519 (RFC 8037, section 2).
    pub(in crate::bearer) fn okp(algorithm: Algorithm, crv: &str, x: &[u8]) -> Result<Self, Unusable> {
        if crv != "Ed25519" {
            return Err(Unusable::UnknownType);
        }
        if algorithm != Algorithm::EdDSA {
            return Err(Unusable::WrongAlgorithm);
        }
        if x.len() != 32 {
            return Err(Unusable::BadParameter);
        }
        on_curve(algorithm, x).map(Self)
    }

    /// A modulus and an exponent (RFC 7518, section 6.3.1), within the bounds of every RSA key.
    pub(in crate::bearer) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, Unusable> {
        RsaKey::new(n, e)?.material(algorithm).map(Self)
    }

    pub(in crate::bearer) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature)
    }
}
