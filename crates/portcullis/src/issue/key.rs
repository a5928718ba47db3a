//! [`SigningKey`]: a private key in this process, parsed once.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::error::{BuildError, BuildErrorKind};
use super::jwk::PrivateJwk;
use super::signer::{SignError, Signer, Signing, VerificationKey};
use super::{PublicKey, pem};
use crate::bearer::{Algorithm, HmacKey};
use crate::secret;

/// A private key, or a shared secret, in this process.
///
/// It is read from text that the application brings, from a file, the environment or a vault; never from a literal. Its id
/// is the thumbprint of its public key (RFC 7638) unless [said otherwise](Self::named), so every process that loads the
/// same key calls it by the same id.
///
/// ```
/// use portcullis::bearer::Algorithm;
/// use portcullis::issue::SigningKey;
///
/// // Once, where keys are made:
/// let text = SigningKey::generate(Algorithm::ES256)?.to_private_pem()?;
/// // In every process that signs:
/// let key = SigningKey::pem(&text, Algorithm::ES256)?;
/// # drop(key);
/// # Ok::<(), portcullis::issue::BuildError>(())
/// ```
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    private: Private,
    verification: VerificationKey,
}

enum Private {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Hmac(Box<hmac::Key>),
}

/// The longest `kid` that verifiers look up, in bytes.
const MAX_KID: usize = 256;

impl SigningKey {
    /// A new key: for RSA of 2048 bits, for HMAC as long as the hash.
    ///
    /// # Errors
    /// [`BuildErrorKind::NoEntropy`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, BuildError> {
        let no_entropy = |_| BuildError::from(BuildErrorKind::NoEntropy);
        let private = match Form::of(algorithm) {
            Form::Ecdsa(curve) => Private::Ecdsa(EcdsaKeyPair::generate(curve).map_err(no_entropy)?),
            Form::Ed25519 => Private::Ed25519(Ed25519KeyPair::generate().map_err(no_entropy)?),
            Form::Rsa(encoding) => {
                Private::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(no_entropy)?, encoding)
            }
            Form::Hmac(hash) => {
                let secret = Zeroizing::new(secret::random::<64>()?);
                return Self::hmac(secret.get(..hash.tag_len()).unwrap_or_default(), algorithm);
            }
        };
        Self::of_pair(algorithm, private)
    }

    /// The private key of a PEM text, in PKCS#8 (`PRIVATE KEY`, RFC 5958).
    ///
    /// # Errors
    /// [`BuildErrorKind::MalformedKey`] when it is none, or of another type than the algorithm;
    /// [`BuildErrorKind::WeakKey`] for RSA under 2048 or over 8192 bits.
    pub fn pem(text: &str, algorithm: Algorithm) -> Result<Self, BuildError> {
        let der = pem::decode(text, "PRIVATE KEY").ok_or(BuildErrorKind::MalformedKey)?;
        let malformed = |_| BuildError::from(BuildErrorKind::MalformedKey);
        let private = match Form::of(algorithm) {
            Form::Ecdsa(curve) => Private::Ecdsa(EcdsaKeyPair::from_pkcs8(curve, &der).map_err(malformed)?),
            // Tools write the first version of the format, which has no public key to compare with.
            Form::Ed25519 => {
                Private::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(malformed)?)
            }
            Form::Rsa(encoding) => {
                let pair =
                    RsaKeyPair::from_pkcs8(&der).map_err(|rejected| match rejected.to_string().as_str() {
                        "TooSmall" | "TooLarge" => BuildErrorKind::WeakKey,
                        _ => BuildErrorKind::MalformedKey,
                    });
                Private::Rsa(pair?, encoding)
            }
            Form::Hmac(_) => return Err(BuildErrorKind::WrongAlgorithm.into()),
        };
        Self::of_pair(algorithm, private)
    }

    /// A private JWK (RFC 7517), or an `oct` one with a shared secret. Its `alg` says which algorithm it signs with; a curve
    /// says so too, RSA and `oct` do not. A `kid` is kept.
    ///
    /// # Errors
    /// [`BuildErrorKind::MalformedKey`] when it has no private members, is not for signing, or its members contradict each
    /// other; [`BuildErrorKind::WrongAlgorithm`] when `alg` is unknown, missing, or of another kind;
    /// [`BuildErrorKind::WeakKey`] when it is too short.
    pub fn jwk(json: &str) -> Result<Self, BuildError> {
        let jwk = PrivateJwk::parse(json)?;
        let algorithm = jwk.algorithm()?;
        let key = match Form::of(algorithm) {
            Form::Ecdsa(curve) => Self::of_pair(algorithm, Private::Ecdsa(jwk.ecdsa(curve)?)),
            Form::Ed25519 => Self::of_pair(algorithm, Private::Ed25519(jwk.ed25519()?)),
            Form::Rsa(encoding) => Self::of_pair(algorithm, Private::Rsa(jwk.rsa()?, encoding)),
            Form::Hmac(_) => Self::hmac(jwk.secret()?, algorithm),
        }?;
        match jwk.kid() {
            Some(kid) => key.named(kid),
            None => Ok(key),
        }
    }

    /// A secret that issuer and verifiers share, for HS256, HS384 or HS512: at least as long as the hash (RFC 7518, section
    /// 3.2), and random. Whoever verifies with it can also sign, so it is for one application, not for two parties.
    ///
    /// Its id is made of the secret by HMAC, and tells nothing of it.
    ///
    /// # Errors
    /// [`BuildErrorKind::WeakKey`] when it is shorter than the hash, or a PEM text: a public key is not a secret.
    pub fn hmac(secret: &[u8], algorithm: Algorithm) -> Result<Self, BuildError> {
        let Form::Hmac(hash) = Form::of(algorithm) else {
            return Err(BuildErrorKind::WrongAlgorithm.into());
        };
        if secret.len() < hash.tag_len() || secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(BuildErrorKind::WeakKey.into());
        }
        let key = hmac::Key::new(hash, secret);
        let kid = hmac::sign(&key, b"portcullis kid");
        let kid = URL_SAFE_NO_PAD.encode(kid.as_ref().get(..16).unwrap_or_default());
        let verification = VerificationKey::Secret(HmacKey::new(secret).kid(&kid));
        Ok(Self { kid, algorithm, private: Private::Hmac(Box::new(key)), verification })
    }

    /// The id by which tokens name it, in place of its thumbprint.
    ///
    /// # Errors
    /// [`BuildErrorKind::BadKeyId`].
    pub fn named(mut self, kid: impl Into<String>) -> Result<Self, BuildError> {
        self.kid = kid.into();
        if !is_key_id(&self.kid) {
            return Err(BuildErrorKind::BadKeyId.into());
        }
        if let VerificationKey::Secret(secret) = self.verification {
            self.verification = VerificationKey::Secret(secret.kid(&self.kid));
        }
        Ok(self)
    }

    /// The private key in PKCS#8 and PEM, to be kept where secrets are kept.
    ///
    /// # Errors
    /// [`BuildErrorKind::WrongAlgorithm`]: a shared secret has no such form.
    pub fn to_private_pem(&self) -> Result<String, BuildError> {
        let malformed = |_| BuildError::from(BuildErrorKind::MalformedKey);
        match &self.private {
            Private::Ecdsa(pair) => {
                Ok(pem::encode(pair.to_pkcs8v1().map_err(malformed)?.as_ref(), "PRIVATE KEY"))
            }
            Private::Ed25519(pair) => {
                Ok(pem::encode(pair.to_pkcs8v1().map_err(malformed)?.as_ref(), "PRIVATE KEY"))
            }
            Private::Rsa(pair, _) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(malformed)?;
                Ok(pem::encode(der.as_ref(), "PRIVATE KEY"))
            }
            Private::Hmac(_) => Err(BuildErrorKind::WrongAlgorithm.into()),
        }
    }

    fn of_pair(algorithm: Algorithm, private: Private) -> Result<Self, BuildError> {
        let public = match &private {
            Private::Ecdsa(pair) => PublicKey::point(algorithm, pair.public_key().as_ref()),
            Private::Ed25519(pair) => PublicKey::ed25519(pair.public_key().as_ref()),
            Private::Rsa(pair, _) => PublicKey::rsa(algorithm, pair.public_key()),
            Private::Hmac(_) => Err(BuildErrorKind::WrongAlgorithm.into()),
        }?;
        Ok(Self {
            kid: public.thumbprint(),
            algorithm,
            private,
            verification: VerificationKey::Public(public),
        })
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        // AWS-LC draws its random numbers itself.
        let random = SystemRandom::new();
        let failed = |_| SignError::new("the cryptographic library signs nothing");
        match &self.private {
            Private::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Private::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
            Private::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Private::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

/// How an algorithm signs.
pub(super) enum Form {
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
    Rsa(&'static dyn RsaEncoding),
    Hmac(hmac::Algorithm),
}

impl Form {
    pub(super) fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::ES256 => Self::Ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => Self::Ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => Self::Ed25519,
            Algorithm::RS256 => Self::Rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::RS384 => Self::Rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::RS512 => Self::Rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::PS256 => Self::Rsa(&signature::RSA_PSS_SHA256),
            Algorithm::PS384 => Self::Rsa(&signature::RSA_PSS_SHA384),
            Algorithm::PS512 => Self::Rsa(&signature::RSA_PSS_SHA512),
            Algorithm::HS256 => Self::Hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => Self::Hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => Self::Hmac(hmac::HMAC_SHA512),
        }
    }
}

/// Whether verifiers would look up a key of this id.
pub(super) fn is_key_id(kid: &str) -> bool {
    (1..=MAX_KID).contains(&kid.len()) && !kid.chars().any(char::is_control)
}

impl Signer for SigningKey {
    fn kid(&self) -> &str {
        &self.kid
    }

    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn verification_key(&self) -> VerificationKey {
        self.verification.clone()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Signing::Ready(self.signature(message))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
