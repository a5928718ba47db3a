//! [`Verifier`]: from the text of a token to an identity. Pure but for the keys, which a source has at hand.
//!
//! Each step has its own refusal, and none can be skipped: parts, header, issuer, key, signature, claims.

mod miss;

use std::borrow::Cow;
use std::sync::Arc;

use portcullis_store::Timestamp;

pub(in crate::bearer) use self::miss::{Failure, Miss, Verdict};
use super::algorithm::Algorithms;
use super::cache::Remembered;
use super::claims::{Claims, Shape, peek_issuer};
use super::confirmation::Confirmation;
use super::json::Texts;
use super::jws::{JoseHeader, Jws, Room, Signed};
use super::keys::{AbsentKeys, Key, KeySet, KeySource, KeyUid};
use super::refusal::Refusal;
use super::revocation::Marks;
use super::rules::Rules;
use crate::identity::{Carrier, Identity, Stated};

/// Knows the issuers, and whom their tokens name. Shared by every layer that was derived from one.
#[derive(Debug)]
pub(super) struct Verifier {
    issuers: Vec<Arc<TrustedIssuer>>,
}

/// An issuer whose configuration has been checked.
#[derive(Debug)]
pub(super) struct TrustedIssuer {
    pub(super) rules: Rules,
    pub(super) shape: Shape,
    pub(super) algorithms: Algorithms,
    pub(super) keys: Arc<dyn KeySource>,
    /// What the source has been asked for in vain.
    pub(super) absent: AbsentKeys,
}

/// A token that was accepted.
pub(super) struct Verified<'v> {
    pub(super) identity: Identity,
    /// By what it can be revoked, if that was asked for.
    pub(super) marks: Option<Marks>,
    /// To what it is bound.
    pub(super) confirmation: Option<Arc<Confirmation>>,
    issuer: &'v Arc<TrustedIssuer>,
    keys: Arc<KeySet>,
    key: KeyUid,
    until: Timestamp,
}

/// What is to be found out about a token.
#[derive(Clone, Copy)]
pub(super) struct Occasion {
    pub(super) carrier: Carrier,
    pub(super) now: Timestamp,
    /// Whether it will be asked if the token is revoked.
    pub(super) wants_marks: bool,
    /// Whether it will be asked if the token is its holder's own. If not, one that is bound is not good.
    pub(super) wants_proof: bool,
}

impl Verifier {
    pub(super) fn new(issuers: Vec<TrustedIssuer>) -> Self {
        Self { issuers: issuers.into_iter().map(Arc::new).collect() }
    }

    pub(super) fn issuers(&self) -> &[Arc<TrustedIssuer>] {
        &self.issuers
    }

    /// Whom the token names, if it is good at this moment.
    pub(super) fn verify(&self, token: &[u8], occasion: Occasion) -> Result<Verified<'_>, Failure> {
        let jws = Jws::split(token)?;
        let (issuer, signed) = self.issuer_of(&jws)?;
        let keys = issuer.keys.snapshot();
        let mut room = None;
        let header = keys.header(&jws, &mut room)?;
        let signed = signed.map_or_else(|| jws.decode(), Ok)?;
        let key = issuer.verify(&header, &signed, &keys, occasion.now)?;
        let payload = text(signed.payload())?;
        let mut claims = Claims::default();
        claims.fill(payload, &issuer.shape)?;
        issuer.rules.judge(&header, &claims, occasion.now)?;
        if claims.cnf.is_some() && !occasion.wants_proof {
            return Err(Refusal::SenderConstrained.into());
        }
        issuer.judge_key(key, &claims)?;
        if let Cow::Owned(read) = &header {
            keys.keep_header(&jws, read);
        }
        let key = key.uid();
        Ok(Verified {
            identity: issuer.identify(&claims, payload, occasion.carrier)?,
            marks: occasion.wants_marks.then(|| issuer.marks(&claims)),
            confirmation: claims.cnf.clone().map(Arc::new),
            until: issuer.rules.accepted_until(&claims),
            issuer,
            keys,
            key,
        })
    }

    /// Whose keys to use, and what had to be decoded to know. What an unverified payload says decides only where several
    /// issuers are configured; the claims are judged by the rules of the one that is found here.
    fn issuer_of<'a>(&self, jws: &Jws<'a>) -> Result<(&Arc<TrustedIssuer>, Option<Signed<'a>>), Refusal> {
        if let [only] = self.issuers.as_slice() {
            return Ok((only, None));
        }
        let signed = jws.decode()?;
        match self.named_by(signed.payload()) {
            Ok(issuer) => Ok((issuer, Some(signed))),
            // What is wrong with the header is wrong before that.
            Err(refusal) => Err(jws.read_header(&mut Room::new()).err().unwrap_or(refusal)),
        }
    }

    fn named_by(&self, payload: &[u8]) -> Result<&Arc<TrustedIssuer>, Refusal> {
        let iss = peek_issuer(text(payload)?)?;
        self.issuers.iter().find(|issuer| issuer.rules.issuer.is(&iss)).ok_or(Refusal::UnknownIssuer)
    }
}

impl TrustedIssuer {
    fn verify<'k>(
        self: &Arc<Self>,
        header: &JoseHeader<'_>,
        signed: &Signed<'_>,
        keys: &'k Arc<KeySet>,
        now: Timestamp,
    ) -> Result<&'k Key, Failure> {
        if !self.algorithms.contains(header.algorithm) {
            return Err(Refusal::AlgorithmNotAllowed.into());
        }
        signed.verify(header, keys).map_err(|refusal| {
            // What another issuer has signed, this one's source is not asked about.
            if self.is_named_by(signed.payload()) {
                Miss::of(self, Arc::clone(keys), header, refusal, now)
            } else {
                refusal.into()
            }
        })
    }

    /// Of many tenants' keys in one set, the one that has signed must be the token's tenant's.
    fn judge_key(&self, key: &Key, claims: &Claims<'_>) -> Result<(), Refusal> {
        let iss = claims.iss.as_deref().unwrap_or_default();
        if self.rules.issuer.lets_sign(key.issuer(), iss) { Ok(()) } else { Err(Refusal::BadSignature) }
    }

    fn is_named_by(&self, payload: &[u8]) -> bool {
        text(payload).and_then(peek_issuer).is_ok_and(|iss| self.rules.issuer.is(&iss))
    }

    fn identify(&self, claims: &Claims<'_>, payload: &str, carrier: Carrier) -> Result<Identity, Refusal> {
        state(claims, claims.iss.as_deref().unwrap_or_default(), payload, carrier)
    }

    /// By what a token with these claims, of which one is the subject, can be revoked.
    fn marks(&self, claims: &Claims<'_>) -> Marks {
        let [issuer, subject] = [&claims.iss, &claims.sub].map(|name| name.as_deref().unwrap_or_default());
        Marks::of(claims, issuer, subject, self.shape.versioned, self.rules.leeway)
    }
}

impl Verified<'_> {
    /// What is worth remembering of it, if it was verified at this moment.
    pub(super) fn to_remember(&self, now: Timestamp) -> Remembered {
        let signed = (&self.keys, self.key);
        Remembered::new(self.identity.clone(), self.marks, self.issuer, signed, (now, self.until))
            .bound_to(self.confirmation.clone())
    }
}

/// Whom the claims in a payload name, which were found good.
pub(super) fn state(
    claims: &Claims<'_>,
    issuer: &str,
    payload: &str,
    carrier: Carrier,
) -> Result<Identity, Refusal> {
    let subject = claims.sub.as_deref().filter(|sub| !sub.is_empty()).ok_or(Refusal::MissingSubject)?;
    let stated = Stated {
        subject,
        issuer,
        acr: claims.acr.as_ref(),
        claims: payload,
        amr: claims.amr.as_ref().map(Texts::as_slice).unwrap_or_default(),
        scopes: &claims.granted.scopes,
        roles: &claims.granted.roles,
        carrier,
        authenticated_at: claims.auth_time,
        expires_at: claims.exp,
    };
    Identity::of_token(stated).ok_or(Refusal::TooLarge)
}

/// The payload of a token whose signature some key of the set verifies, by the code that [`Verifier`] uses; claims are
/// not looked at. For signature vectors of others.
#[doc(hidden)]
pub fn verify_compact(token: &str, keys: &KeySet) -> Result<Vec<u8>, Refusal> {
    let jws = Jws::split(token.as_bytes())?;
    let mut room = None;
    let header = keys.header(&jws, &mut room)?;
    let signed = jws.decode()?;
    signed.verify(&header, keys)?;
    if let Cow::Owned(read) = &header {
        keys.keep_header(&jws, read);
    }
    Ok(signed.payload().to_vec())
}

fn text(payload: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(payload).map_err(|_| Refusal::MalformedClaims)
}

#[cfg(test)]
mod tests;
