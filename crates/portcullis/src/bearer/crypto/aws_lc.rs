//! By aws-lc-rs, on keys that are parsed once.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};

use crate::bearer::Algorithm;

/// A public key for one algorithm.
pub(in crate::bearer) struct PublicKey(ParsedPublicKey);

/// A shared secret for one algorithm.
pub(in crate::bearer) struct SecretKey(Box<hmac::Key>);

impl PublicKey {
    /// A point of the algorithm's curve (SEC 1, section 2.3), or the bytes of a key of Ed25519.
    pub(in crate::bearer) fn on_curve(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(curve(algorithm)?, bytes).ok().map(Self)
    }

    /// A modulus and an exponent, big-endian.
    pub(in crate::bearer) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Option<Self> {
        let parsed: Result<ParsedPublicKey, _> =
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa(algorithm)?);
        parsed.ok().map(Self)
    }

    pub(in crate::bearer) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }

    /// What makes it this key.
    pub(in crate::bearer) fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl SecretKey {
    /// `None` for algorithms that do not use one.
    pub(in crate::bearer) fn new(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        Some(Self(Box::new(hmac::Key::new(mac(algorithm)?, secret))))
    }

    pub(in crate::bearer) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, message, tag).is_ok()
    }
}

/// Whether both are the same, in a time that depends on their lengths only.
pub(in crate::bearer) fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

fn curve(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Some(&ED25519),
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | Algorithm::HS256
        | Algorithm::HS384
        | Algorithm::HS512 => None,
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256
        | Algorithm::ES384
        | Algorithm::EdDSA
        | Algorithm::HS256
        | Algorithm::HS384
        | Algorithm::HS512 => None,
    }
}

fn mac(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
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
