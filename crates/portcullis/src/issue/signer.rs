//! [`Signer`]: whatever holds a private key, be it in this process or in a key management service.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::PublicKey;
use crate::bearer::{Algorithm, HmacKey};

/// Holds a private key and signs with it: [`SigningKey`](super::SigningKey), or a key management service that the
/// application asks.
///
/// Id, algorithm and verification key never change: another key is another signer.
///
/// ```
/// use portcullis::bearer::Algorithm;
/// use portcullis::issue::{PublicKey, SignError, Signer, Signing, VerificationKey};
///
/// #[derive(Debug)]
/// struct Kms { key: String, public: PublicKey } // and the service's client
///
/// impl Signer for Kms {
///     fn kid(&self) -> &str {
///         &self.key
///     }
///
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::ES256
///     }
///
///     fn verification_key(&self) -> VerificationKey {
///         VerificationKey::Public(self.public.clone())
///     }
///
///     fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
///         Signing::pending(async move {
///             // Ask the service, within a budget. ECDSA signatures are r and s, 32 bytes each, and no DER.
///             Err(SignError::new(format!("no service signs these {} bytes", message.len())))
///         })
///     }
/// }
/// ```
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// The id by which tokens name the key.
    fn kid(&self) -> &str;

    /// The algorithm that it signs with.
    fn algorithm(&self) -> Algorithm;

    /// What its signatures are verified with.
    fn verification_key(&self) -> VerificationKey;

    /// Whether the key is in this process, so that nothing that is away can keep it from signing. Default: no.
    ///
    /// For a signer that is not local, [`RefreshTokens`](super::RefreshTokens) have the access token signed before the family
    /// begins or moves on, at one more round trip to the store: an outage of the signer then costs nobody the login.
    fn is_local(&self) -> bool {
        false
    }

    /// Signs these bytes, in the form that a JWS has (RFC 7518, section 3): for ECDSA r and s side by side.
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a>;
}

/// What the signatures of a [`Signer`] are verified with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum VerificationKey {
    /// A public key, which everybody may know.
    Public(PublicKey),
    /// The secret itself; it is published nowhere.
    Secret(HmacKey),
}

/// What [`Signer::sign`] comes to: a signature, or the future of one.
#[must_use]
pub enum Signing<'a> {
    /// Nothing had to be waited for.
    Ready(Result<Vec<u8>, SignError>),
    /// Somebody is being asked.
    Pending(Pin<Box<dyn Future<Output = Result<Vec<u8>, SignError>> + Send + 'a>>),
}

/// There is no signature. The cause is for operators, and must hold no secret.
#[derive(Debug)]
pub struct SignError(Box<dyn Error + Send + Sync>);

impl<'a> Signing<'a> {
    /// Wait for `future`.
    pub fn pending(future: impl Future<Output = Result<Vec<u8>, SignError>> + Send + 'a) -> Self {
        Self::Pending(Box::pin(future))
    }

    /// The signature.
    pub(super) async fn wait(self) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Ready(signed) => signed,
            Self::Pending(signing) => signing.await,
        }
    }
}

impl SignError {
    /// An error of this cause.
    #[must_use]
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signer gave no signature")
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl<S: Signer + ?Sized> Signer for Arc<S> {
    fn kid(&self) -> &str {
        (**self).kid()
    }

    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn verification_key(&self) -> VerificationKey {
        (**self).verification_key()
    }

    fn is_local(&self) -> bool {
        (**self).is_local()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        (**self).sign(message)
    }
}

impl fmt::Debug for Signing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready(Ok(_)) => "Ready",
            Self::Ready(Err(_)) => "Failed",
            Self::Pending(_) => "Pending",
        })
    }
}
