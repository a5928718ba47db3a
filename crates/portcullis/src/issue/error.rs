//! [`BuildError`]: what is wrong with keys or with a configuration. [`IssueError`]: why nothing was minted.

use std::error::Error;
use std::fmt;

use portcullis_store::{StoreError, StoreErrorKind};

use crate::secret::NoEntropy;

/// Keys, a ring or an issuer cannot be made of what was given.
///
/// The text is for the developer and not part of the API; match on [`BuildError::kind`]. It holds no key material.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BuildError {
    kind: BuildErrorKind,
}

/// The classes of [`BuildError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The text is no PKCS#8 private key in PEM, no JWK, or no public key.
    MalformedKey,
    /// The key is of another kind than the algorithm needs, or a JWK for RSA names no algorithm.
    WrongAlgorithm,
    /// A shared secret that is shorter than its hash, or a text that is a public key; RSA under 2048 or over 8192 bits.
    WeakKey,
    /// A key id that is empty, over 256 bytes, or has control characters.
    BadKeyId,
    /// Another key of the ring has this id.
    DuplicateKey,
    /// Shared secrets and key pairs in one ring, or more than 100 keys.
    MixedKeys,
    /// No key of the ring has this id.
    UnknownKey,
    /// The key has not been published for as long as caches keep the set before it: tokens by it would be unknown to them.
    NotYetPublished,
    /// The active key cannot be taken out of the ring.
    ActiveKey,
    /// The operating system gave no random bytes.
    NoEntropy,
    /// An issuer without a name.
    BadIssuer,
    /// An audience without names, or with an empty one.
    BadAudience,
    /// A lifetime of nothing, one that is longer than a ring keeps its keys for, or than revocations are kept.
    BadLifetime,
    /// Refresh tokens of an issuer whose tokens cannot be revoked.
    NotRevocable,
    /// An address that is not `https`, or has a query where none may be.
    BadAddress,
}

/// Nothing was minted.
///
/// The text is for operators and not part of the API; match on [`IssueError::kind`].
#[derive(Debug)]
pub struct IssueError {
    kind: IssueErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The classes of [`IssueError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IssueErrorKind {
    /// The grant cannot be written into a token: an empty subject or client, a scope with a space, a claim whose name has a
    /// meaning of its own.
    BadGrant,
    /// The token would be longer than the 8 KiB that verifiers accept.
    TooLarge,
    /// There is a family of refresh tokens of this login already.
    LoginTaken,
    /// The login was revoked while it was made.
    Revoked,
    /// The signer gave no signature.
    Signer,
    /// The operating system gave no random bytes.
    NoEntropy,
    /// The store is away, or did not answer in time: 503.
    Store(StoreErrorKind),
}

impl BuildError {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> BuildErrorKind {
        self.kind
    }
}

impl From<BuildErrorKind> for BuildError {
    fn from(kind: BuildErrorKind) -> Self {
        Self { kind }
    }
}

impl From<NoEntropy> for BuildError {
    fn from(_: NoEntropy) -> Self {
        BuildErrorKind::NoEntropy.into()
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            BuildErrorKind::MalformedKey => "the key cannot be read: PKCS#8 in PEM, or a JWK, is expected",
            BuildErrorKind::WrongAlgorithm => "the key is of another kind than its algorithm",
            BuildErrorKind::WeakKey => "the key is too short, or a public key is used as a secret",
            BuildErrorKind::BadKeyId => "a key id is 1 to 256 bytes without control characters",
            BuildErrorKind::DuplicateKey => "another key of the ring has this id",
            BuildErrorKind::MixedKeys => "shared secrets and key pairs in one ring, or too many keys",
            BuildErrorKind::UnknownKey => "no key of the ring has this id",
            BuildErrorKind::NotYetPublished => "the key has not been published for long enough",
            BuildErrorKind::ActiveKey => "the active key cannot be taken out",
            BuildErrorKind::NoEntropy => "the operating system gave no random bytes",
            BuildErrorKind::BadIssuer => "an issuer needs a name",
            BuildErrorKind::BadAudience => "an audience needs names, and none may be empty",
            BuildErrorKind::BadLifetime => {
                "the lifetime is nothing, or longer than keys or revocations are kept"
            }
            BuildErrorKind::NotRevocable => "the issuer's tokens cannot be revoked",
            BuildErrorKind::BadAddress => "an address must be https, without query and fragment",
        })
    }
}

/// With the text: it is this that a `main` prints that gives the error back.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildError({:?}: {self})", self.kind)
    }
}

impl Error for BuildError {}

impl IssueError {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> IssueErrorKind {
        self.kind
    }
}

impl From<IssueErrorKind> for IssueError {
    fn from(kind: IssueErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<NoEntropy> for IssueError {
    fn from(_: NoEntropy) -> Self {
        IssueErrorKind::NoEntropy.into()
    }
}

impl From<StoreError> for IssueError {
    fn from(error: StoreError) -> Self {
        Self { kind: IssueErrorKind::Store(error.kind()), source: Some(error.into()) }
    }
}

impl From<super::SignError> for IssueError {
    fn from(error: super::SignError) -> Self {
        Self { kind: IssueErrorKind::Signer, source: Some(error.into()) }
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            IssueErrorKind::BadGrant => "the grant cannot be written into a token",
            IssueErrorKind::TooLarge => "the token would be longer than verifiers accept",
            IssueErrorKind::LoginTaken => "there is a family of this login already",
            IssueErrorKind::Revoked => "the login was revoked",
            IssueErrorKind::Signer => "the signer gave no signature",
            IssueErrorKind::NoEntropy => "the operating system gave no random bytes",
            IssueErrorKind::Store(_) => "the store of tokens failed",
        })
    }
}

impl Error for IssueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
