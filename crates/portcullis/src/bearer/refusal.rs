//! [`Refusal`]: every way in which a token can fail, one per step of the pipeline.

use std::fmt;

/// Why a token was refused.
///
/// The client is told [`description`](Self::description), which several refusals share; logs and counters get
/// [`label`](Self::label).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The token is over 8 KiB.
    TooLarge,
    /// The token's header is over 1 KiB.
    HeaderTooLarge,
    /// Not three parts separated by dots.
    NotThreeParts,
    /// A part is not base64url without padding (RFC 7515, section 2), or the signature is longer than any can be.
    NotBase64url,
    /// The header is not a JSON object with strings where strings belong.
    MalformedHeader,
    /// The header has a member twice.
    DuplicateHeaderMember,
    /// The header has `crit`, `b64`, `enc` or `zip`: what they ask for is not done.
    CriticalHeader,
    /// `alg` is missing, `none` or unknown.
    UnknownAlgorithm,
    /// `alg` is not allowed for this issuer.
    AlgorithmNotAllowed,
    /// `kid` is over 256 bytes or has control characters.
    MalformedKid,
    /// `iss` is not among the configured issuers.
    UnknownIssuer,
    /// The issuer has no key with this id for this algorithm.
    UnknownKey,
    /// More than four keys of the issuer could be meant.
    AmbiguousKey,
    /// The signature is not the key's.
    BadSignature,
    /// The payload is not a JSON object with claims of the right types.
    MalformedClaims,
    /// The payload has a claim twice.
    DuplicateClaim,
    /// A claim that the profile or the configuration requires is missing, and none of those below.
    MissingClaim,
    /// `sub` is missing, or empty.
    MissingSubject,
    /// `aud`, or the claim in its place, is missing.
    MissingAudience,
    /// A claim that the issuer's configuration requires has another value.
    WrongClaim,
    /// `aud`, or the claim in its place, does not name this service.
    WrongAudience,
    /// `exp` has passed.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `iat` is still to come.
    IssuedInFuture,
    /// `iat` is longer ago than the issuer's `max_age`.
    TooOld,
    /// The header's `typ` or a claim says that this is another kind of token.
    NotAnAccessToken,
    /// `cnf` binds the token to a key that nobody has proved to hold (RFC 7800), or in a way that this layer does not check.
    SenderConstrained,
    /// The token is bound to no key, and came as one that is, or to a layer that wants it to be.
    NotSenderConstrained,
    /// The token is bound to no certificate, and came to a layer that wants it to be.
    NoCertificateBound,
    /// The token is bound to another key than the proof's (RFC 9449, section 7.1).
    WrongKey,
    /// The token is bound to a certificate, and the client has none (RFC 8705, section 3).
    NoCertificate,
    /// The token is bound to another certificate than the client's (RFC 8705, section 3).
    WrongCertificate,
    /// The server that has issued it says that it is not active (RFC 7662, section 2.2).
    Inactive,
    /// This token is revoked.
    TokenRevoked,
    /// The tokens of its login are revoked, by `sid`.
    FamilyRevoked,
    /// The tokens of its user were revoked after it was issued, or its `tv` is not the user's.
    UserRevoked,
    /// The tokens of everyone were revoked after it was issued.
    EveryoneRevoked,
    /// It has no `jti`, `iat` or, of an issuer that states one, `tv`, and so could not be revoked.
    NotRevocable,
    /// It is valid for longer than revocations are kept.
    OutlivesRevocation,
}

impl Refusal {
    /// What the client is told, in the characters of RFC 6750's `error_description`.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::TooLarge | Self::HeaderTooLarge => "the token is too large",
            Self::NotThreeParts
            | Self::NotBase64url
            | Self::MalformedHeader
            | Self::DuplicateHeaderMember
            | Self::CriticalHeader
            | Self::MalformedKid => "the token is malformed",
            Self::UnknownAlgorithm | Self::AlgorithmNotAllowed => "the signature algorithm is not accepted",
            Self::UnknownIssuer => "the issuer is not accepted",
            Self::UnknownKey | Self::AmbiguousKey | Self::BadSignature => "the signature cannot be verified",
            Self::MalformedClaims | Self::DuplicateClaim => "the claims are malformed",
            Self::MissingClaim | Self::MissingSubject | Self::MissingAudience | Self::NotRevocable => {
                "a required claim is missing"
            }
            Self::WrongClaim => "a required claim has another value",
            Self::WrongAudience => "the token is meant for another audience",
            Self::Expired | Self::TooOld => "the token has expired",
            Self::NotYetValid | Self::IssuedInFuture => "the token is not valid yet",
            Self::NotAnAccessToken => "the token is not an access token",
            Self::SenderConstrained => "the token is bound to a key that was not proved",
            Self::Inactive => "the token is not active",
            Self::NotSenderConstrained => "the token is not bound to a key",
            Self::NoCertificateBound => "the token is not bound to a certificate",
            Self::WrongKey => "the token is bound to another key",
            Self::NoCertificate | Self::WrongCertificate => "the token is bound to another certificate",
            Self::TokenRevoked | Self::FamilyRevoked | Self::UserRevoked | Self::EveryoneRevoked => {
                "the token has been revoked"
            }
            Self::OutlivesRevocation => "the token is valid for too long",
        }
    }

    /// Whether the token may be made of anything: it was refused before it was decoded.
    pub(super) const fn is_of_raw_text(self) -> bool {
        matches!(self, Self::TooLarge | Self::HeaderTooLarge | Self::NotThreeParts | Self::NotBase64url)
    }

    /// Whether it is the client's certificate that is not the token's.
    pub(super) const fn is_of_certificate(self) -> bool {
        matches!(self, Self::NoCertificateBound | Self::NoCertificate | Self::WrongCertificate)
    }

    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::HeaderTooLarge => "header_too_large",
            Self::NotThreeParts => "not_three_parts",
            Self::NotBase64url => "not_base64url",
            Self::MalformedHeader => "malformed_header",
            Self::DuplicateHeaderMember => "duplicate_header_member",
            Self::CriticalHeader => "critical_header",
            Self::UnknownAlgorithm => "unknown_algorithm",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::MalformedKid => "malformed_kid",
            Self::UnknownIssuer => "unknown_issuer",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::BadSignature => "bad_signature",
            Self::MalformedClaims => "malformed_claims",
            Self::DuplicateClaim => "duplicate_claim",
            Self::MissingClaim => "missing_claim",
            Self::MissingSubject => "missing_subject",
            Self::MissingAudience => "missing_audience",
            Self::WrongClaim => "wrong_claim",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::TooOld => "too_old",
            Self::NotAnAccessToken => "not_an_access_token",
            Self::SenderConstrained => "sender_constrained",
            Self::Inactive => "inactive",
            Self::NotSenderConstrained => "not_sender_constrained",
            Self::NoCertificateBound => "no_certificate_bound",
            Self::WrongKey => "wrong_key",
            Self::NoCertificate => "no_certificate",
            Self::WrongCertificate => "wrong_certificate",
            Self::TokenRevoked => "token_revoked",
            Self::FamilyRevoked => "family_revoked",
            Self::UserRevoked => "user_revoked",
            Self::EveryoneRevoked => "everyone_revoked",
            Self::NotRevocable => "not_revocable",
            Self::OutlivesRevocation => "outlives_revocation",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for Refusal {}
