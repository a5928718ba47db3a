//! [`ProofRefusal`]: every way in which a proof can fail, one per check of RFC 9449, section 4.3.

/// Why a proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bearer) enum ProofRefusal {
    /// There is no `DPoP` field.
    Missing,
    /// There are two.
    Several,
    /// Over 8 KiB, or its header over 4 KiB.
    TooLarge,
    /// Not three parts of base64url, or their JSON is not what it should be.
    Malformed,
    /// `typ` is not `dpop+jwt`.
    WrongType,
    /// `alg` is unknown, symmetric, or not allowed.
    AlgorithmNotAllowed,
    /// `jwk` is missing, private, or no key of the algorithm.
    BadKey,
    /// The signature is not that key's.
    BadSignature,
    /// A claim that every proof has is missing.
    MissingClaim,
    /// `htm` is not the request's method.
    WrongMethod,
    /// `htu` is not the request's address.
    WrongAddress,
    /// `ath` is not the token's hash.
    WrongToken,
    /// `iat` is too long ago, or `exp` has passed.
    TooOld,
    /// `iat` or `nbf` is still to come.
    InFuture,
    /// It was used before.
    Replayed,
}

impl ProofRefusal {
    /// What the client is told, in the characters of RFC 6750's `error_description`.
    pub(in crate::bearer) const fn description(self) -> &'static str {
        match self {
            Self::Missing => "the DPoP proof is missing",
            Self::Several => "there is more than one DPoP proof",
            Self::TooLarge => "the DPoP proof is too large",
            Self::Malformed => "the DPoP proof is malformed",
            Self::WrongType => "the typ of the DPoP proof is not dpop+jwt",
            Self::AlgorithmNotAllowed => "the algorithm of the DPoP proof is not accepted",
            Self::BadKey => "the DPoP proof has no public key of its algorithm",
            Self::BadSignature => "the signature of the DPoP proof cannot be verified",
            Self::MissingClaim => "a required claim of the DPoP proof is missing",
            Self::WrongMethod => "the DPoP proof is for another method",
            Self::WrongAddress => "the DPoP proof is for another address",
            Self::WrongToken => "the DPoP proof is for another token",
            Self::TooOld => "the DPoP proof is too old",
            Self::InFuture => "the DPoP proof is not valid yet",
            Self::Replayed => "the DPoP proof was used before",
        }
    }

    /// A stable label for log fields.
    pub(in crate::bearer) const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::WrongType => "wrong_type",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::BadKey => "bad_key",
            Self::BadSignature => "bad_signature",
            Self::MissingClaim => "missing_claim",
            Self::WrongMethod => "wrong_method",
            Self::WrongAddress => "wrong_address",
            Self::WrongToken => "wrong_token",
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
            Self::Replayed => "replayed",
        }
    }
}
