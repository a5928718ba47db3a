//! [`BuildError`]: what is wrong with a configuration; nothing of it is found on a request. [`KeysUnavailable`]: whose
//! keys are not there yet.

use std::fmt;

/// Keys or a layer cannot be made of what was given.
///
/// The text is for the developer and not part of the API; match on [`BuildError::kind`]. It holds no key material.
#[derive(Clone, PartialEq, Eq)]
pub struct BuildError {
    kind: BuildErrorKind,
    /// Which issuer it is about, where that is known.
    issuer: Option<String>,
}

/// The classes of [`BuildError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// A layer without issuers.
    NoIssuer,
    /// An issuer with an empty name, or two of which one token could be.
    BadIssuer,
    /// A template without exactly one claim in braces, or tenants that are none, or are not what the provider calls them.
    BadTenants,
    /// An audience without names, or with an empty one.
    BadAudience,
    /// An issuer without keys.
    NoKeys,
    /// An empty list of algorithms, or one that mixes HMAC with others, or one of the other kind than the keys.
    BadAlgorithms,
    /// No key can be used with any of the allowed algorithms.
    NoKeyForAlgorithms,
    /// A leeway over five minutes.
    LeewayTooLong,
    /// An address of the service that is not a plain `http` or `https` address: with user information, a query or a
    /// fragment, or without a host.
    BadAddress,
    /// Introspection of an issuer that has keys, algorithms or no name; answers that are kept for over a minute; no calls at
    /// all; or opaque tokens with an empty prefix.
    BadIntrospection,
    /// Proofs that are valid for over ten minutes.
    ProofAge,
    /// A realm's name that cannot be part of a key in the store.
    BadRealm,
    /// A claim for scopes or roles, or one of which a value is required, that has an empty name or another meaning
    /// already.
    BadClaim,
    /// A name for a [source of tokens](super::TokenSource) that cannot be a cookie's or parameter's.
    BadSource,
    /// A [resource's](super::ResourceMetadata) identifier that is not an `https` URL without query and fragment, or a member
    /// of its metadata that cannot be set.
    BadResource,
    /// The key set is not a JSON object with a list of keys, or the PEM text is not PEM.
    MalformedKeys,
    /// More than 100 keys.
    TooManyKeys,
    /// Symmetric keys among asymmetric ones.
    MixedKeys,
    /// Not one usable key; the log says why each was dropped.
    NoUsableKey,
    /// A private key or a certificate where a public key belongs.
    NotAPublicKey,
    /// A shared secret or a key of nonces under 32 bytes, or a secret that is a public key or another PEM text.
    WeakSecret,
}

/// The keys of some issuer are not there: their tokens are answered with 503.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysUnavailable {
    issuers: Vec<String>,
}

impl KeysUnavailable {
    /// `Ok` without issuers.
    pub(super) fn of(issuers: Vec<String>) -> Result<(), Self> {
        if issuers.is_empty() { Ok(()) } else { Err(Self { issuers }) }
    }

    /// Whose keys are not there: names of issuers, as configured.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(String::as_str)
    }
}

impl fmt::Display for KeysUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are no keys of {}", self.issuers.join(", "))
    }
}

impl std::error::Error for KeysUnavailable {}

impl BuildError {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> BuildErrorKind {
        self.kind
    }

    /// The same, said of this issuer.
    pub(super) fn of_issuer(kind: BuildErrorKind, issuer: &str) -> Self {
        Self { kind, issuer: Some(issuer.to_owned()) }
    }
}

impl From<BuildErrorKind> for BuildError {
    fn from(kind: BuildErrorKind) -> Self {
        Self { kind, issuer: None }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(issuer) = &self.issuer {
            write!(f, "issuer {issuer:?}: ")?;
        }
        f.write_str(match self.kind {
            BuildErrorKind::NoIssuer => "no issuer is configured",
            BuildErrorKind::BadIssuer => "an issuer's name is empty or that of another, too",
            BuildErrorKind::BadTenants => {
                "the template has not one claim in braces, or the tenants are none or malformed"
            }
            BuildErrorKind::BadAudience => "the audience is empty",
            BuildErrorKind::NoKeys => "no keys are configured",
            BuildErrorKind::BadAlgorithms => {
                "the algorithms are none, mixed with HMAC, or do not fit the keys"
            }
            BuildErrorKind::NoKeyForAlgorithms => "no key can be used with the allowed algorithms",
            BuildErrorKind::LeewayTooLong => "the leeway is over five minutes",
            BuildErrorKind::BadAddress => "the service's address is no plain http or https address",
            BuildErrorKind::BadIntrospection => "the introspection of opaque tokens contradicts itself",
            BuildErrorKind::ProofAge => "proofs are valid for over ten minutes",
            BuildErrorKind::BadRealm => "the realm's name cannot be part of a key",
            BuildErrorKind::BadClaim => "a claim that is named is empty or has another meaning",
            BuildErrorKind::BadSource => {
                "the name of a source of tokens is empty or has forbidden characters"
            }
            BuildErrorKind::BadResource => "the resource's identifier or metadata is malformed",
            BuildErrorKind::MalformedKeys => "the keys are neither a JWK set nor PEM",
            BuildErrorKind::TooManyKeys => "there are more than 100 keys",
            BuildErrorKind::MixedKeys => "symmetric keys stand among asymmetric ones",
            BuildErrorKind::NoUsableKey => "there is no usable key",
            BuildErrorKind::NotAPublicKey => {
                "a private key or a certificate stands where a public key belongs"
            }
            BuildErrorKind::WeakSecret => "a secret is under 32 bytes or is a PEM text",
        })
    }
}

/// With the text: it is this that a `main` prints that gives the error back.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildError({:?}: {self})", self.kind)
    }
}

impl std::error::Error for BuildError {}
