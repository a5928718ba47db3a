//! [`Algorithm`]: the signature algorithms that can be allowed (RFC 7518, RFC 8037), and sets of them.

use std::fmt;

/// A signature algorithm, by its name in a token's `alg` (RFC 7518, section 3.1).
///
/// `none` is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// EdDSA on Ed25519 (RFC 8037); `Ed25519` is accepted as its name too (RFC 9864).
    EdDSA,
    /// HMAC with SHA-256. Only with [`HmacKeys`](super::HmacKeys).
    HS256,
    /// HMAC with SHA-384. Only with [`HmacKeys`](super::HmacKeys).
    HS384,
    /// HMAC with SHA-512. Only with [`HmacKeys`](super::HmacKeys).
    HS512,
}

/// A set of algorithms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Algorithms(u16);

impl Algorithm {
    pub(crate) const ALL: [Self; 12] = [
        Self::ES256,
        Self::ES384,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::EdDSA,
        Self::HS256,
        Self::HS384,
        Self::HS512,
    ];

    /// Those that a key for RSA can be used with, when it does not say which.
    pub(super) const RSA: [Self; 6] =
        [Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512];

    /// Those that a shared secret can be used with, if it is long enough.
    pub(super) const HMAC: [Self; 3] = [Self::HS256, Self::HS384, Self::HS512];

    /// The name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// The algorithm of this name, to the letter: names are case-sensitive (RFC 7515, section 4.1.1).
    pub(crate) fn named(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether it works with a secret that both sides share.
    pub(crate) fn is_symmetric(self) -> bool {
        Self::HMAC.contains(&self)
    }
}

impl Algorithms {
    /// What is allowed of asymmetric algorithms unless the configuration says otherwise.
    pub(crate) fn asymmetric_default() -> Self {
        [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA].into_iter().collect()
    }

    /// What is allowed of symmetric algorithms unless the configuration says otherwise.
    pub(crate) fn symmetric_default() -> Self {
        [Algorithm::HS256].into_iter().collect()
    }

    pub(crate) const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |&algorithm| self.contains(algorithm))
    }
}

impl FromIterator<Algorithm> for Algorithms {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |set, algorithm| set | (1 << algorithm as u16)))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
