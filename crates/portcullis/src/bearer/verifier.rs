//! [`Verifier`]: from the text of a token to an identity. Pure but for the keys, which a source has at hand.
//!
//! Each step has its own refusal, and none can be skipped: parts, header, issuer, key, signature, claims.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_store::Timestamp;
use smallvec::SmallVec;

use super::algorithm::Algorithms;
use super::claims::{Claims, peek_issuer};
use super::header::JoseHeader;
use super::keys::{KeySet, KeySource};
use super::refusal::Refusal;
use super::rules::Rules;
use super::shape::Shape;
use super::text::Texts;
use crate::identity::{Carrier, Identity, Stated};

/// Knows the issuers, and whom their tokens name. Shared by every layer that was derived from one.
#[derive(Debug)]
pub(super) struct Verifier {
    issuers: Vec<TrustedIssuer>,
}

/// An issuer whose configuration has been checked.
#[derive(Debug)]
pub(super) struct TrustedIssuer {
    pub(super) rules: Rules,
    pub(super) shape: Shape,
    pub(super) algorithms: Algorithms,
    pub(super) keys: Arc<dyn KeySource>,
}

/// The longest token, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// The longest header, in bytes of its base64url.
const MAX_HEADER: usize = 1024;

/// The longest signature, that of an RSA key of 8192 bits, in bytes.
const MAX_SIGNATURE: usize = 1024;

/// The parts of a compact serialisation (RFC 7515, section 7.1), still encoded.
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// What is signed: header, dot, payload.
    message: &'a [u8],
}

/// Decoded bytes without an allocation.
struct Decoded<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl Verifier {
    pub(super) fn new(issuers: Vec<TrustedIssuer>) -> Self {
        Self { issuers }
    }

    /// Whom the token names, if it is good at this moment.
    pub(super) fn verify(&self, token: &str, carrier: Carrier, now: Timestamp) -> Result<Identity, Refusal> {
        let parts = Parts::split(token)?;
        let header = Decoded::<MAX_HEADER>::of(parts.header)?;
        let signature = Decoded::<MAX_SIGNATURE>::of(parts.signature)?;
        let payload = decode(parts.payload)?;
        let header = JoseHeader::parse(header.as_bytes())?;
        let issuer = self.issuer_of(&payload)?;
        issuer.verify(&header, parts.message, signature.as_bytes())?;
        issuer.identify(&header, text(&payload)?, carrier, now)
    }

    /// Whose keys to use. What an unverified payload says decides only where several issuers are configured; the
    /// claims are judged by the rules of the one that is found here.
    fn issuer_of(&self, payload: &[u8]) -> Result<&TrustedIssuer, Refusal> {
        if let [only] = self.issuers.as_slice() {
            return Ok(only);
        }
        let iss = peek_issuer(text(payload)?)?;
        self.issuers.iter().find(|issuer| issuer.rules.issuer == iss).ok_or(Refusal::UnknownIssuer)
    }
}

impl TrustedIssuer {
    fn verify(&self, header: &JoseHeader<'_>, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        if !self.algorithms.contains(header.algorithm) {
            return Err(Refusal::AlgorithmNotAllowed);
        }
        self.keys.snapshot().verify(header.algorithm, header.kid.as_deref(), message, signature)
    }

    fn identify(
        &self,
        header: &JoseHeader<'_>,
        payload: &str,
        carrier: Carrier,
        now: Timestamp,
    ) -> Result<Identity, Refusal> {
        let claims = Claims::parse(payload, &self.shape)?;
        self.rules.judge(header, &claims, now)?;
        let subject = claims.sub.as_deref().filter(|sub| !sub.is_empty()).ok_or(Refusal::MissingClaim)?;
        let stated = Stated {
            subject,
            issuer: &self.rules.issuer,
            acr: claims.acr.as_deref(),
            claims: payload,
            amr: &refs(claims.amr.as_ref().map(Texts::as_slice).unwrap_or_default()),
            scopes: &refs(&claims.granted.scopes),
            roles: &refs(&claims.granted.roles),
            carrier,
            authenticated_at: claims.auth_time,
            expires_at: claims.exp,
        };
        Identity::of_token(stated).ok_or(Refusal::TooLarge)
    }
}

fn refs<'a>(words: &'a [Cow<'_, str>]) -> SmallVec<[&'a str; 8]> {
    words.iter().map(|word| &**word).collect()
}

/// The payload of a token whose signature some key of the set verifies, by the code that [`Verifier`] uses; claims are
/// not looked at. For signature vectors of others.
#[doc(hidden)]
pub fn verify_compact(token: &str, keys: &KeySet) -> Result<Vec<u8>, Refusal> {
    let parts = Parts::split(token)?;
    let header = Decoded::<MAX_HEADER>::of(parts.header)?;
    let signature = Decoded::<MAX_SIGNATURE>::of(parts.signature)?;
    let payload = decode(parts.payload)?;
    let header = JoseHeader::parse(header.as_bytes())?;
    keys.verify(header.algorithm, header.kid.as_deref(), parts.message, signature.as_bytes())?;
    Ok(payload)
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::TooLarge);
        }
        let read = || {
            let (header, rest) = token.split_once('.')?;
            let (payload, signature) = rest.split_once('.')?;
            let message = token.as_bytes().get(..header.len() + 1 + payload.len())?;
            (!signature.contains('.')).then_some(Self { header, payload, signature, message })
        };
        let parts = read().ok_or(Refusal::NotThreeParts)?;
        if parts.header.len() > MAX_HEADER { Err(Refusal::HeaderTooLarge) } else { Ok(parts) }
    }
}

impl<const N: usize> Decoded<N> {
    /// Decodes at most `N` bytes; without padding, and without stray bits at the end.
    fn of(base64url: &str) -> Result<Self, Refusal> {
        let mut bytes = [0; N];
        let len = URL_SAFE_NO_PAD.decode_slice(base64url, &mut bytes).map_err(|_| Refusal::NotBase64url)?;
        Ok(Self { bytes, len })
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn decode(base64url: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(base64url).map_err(|_| Refusal::NotBase64url)
}

fn text(payload: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(payload).map_err(|_| Refusal::MalformedClaims)
}
