//! [`Possession`]: how a layer has it proved that a token is its holder's own. [`Evidence`]: what a request brings for that.
//! Pure.
//!
//! * A token that is bound is let in only if all that it is bound to is proved, whether it is known from before or not.
//! * What it came as decides nothing: a bound token as `Bearer`, and an unbound one as `DPoP`, are refused.

mod certificate;

use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri};
use portcullis_store::Timestamp;

pub use self::certificate::{ClientCertificate, ClientCertificates};
use super::confirmation::{Confirmation, Thumbprint};
use super::crypto::same_bytes;
use super::dpop::{DPOP, ProofRefusal, Proofs, Proved, Ticket, Unproved};
use super::refusal::Refusal;
use super::token_source::Place;

/// What a layer checks beyond the token itself. The default: nothing, and no bound token is let in.
#[derive(Clone, Debug, Default)]
pub(super) struct Possession {
    pub(super) proofs: Option<Arc<Proofs>>,
    pub(super) certificates: Option<ClientCertificates>,
}

/// What a request brings to prove that a token is its holder's own. The proof in it is a secret for as long as it is new.
#[derive(Clone)]
pub(super) struct Evidence {
    place: Place,
    proof: Result<HeaderValue, ProofRefusal>,
    method: Method,
    uri: Uri,
    certificate: Option<ClientCertificate>,
    spent: Option<Spent>,
}

/// A proof that a layer further out has claimed for this very request.
#[derive(Clone)]
struct Spent(Ticket);

impl Possession {
    pub(super) const fn speaks_dpop(&self) -> bool {
        self.proofs.is_some()
    }

    /// Whether anything is asked for.
    pub(super) const fn is_asked_for(&self) -> bool {
        self.proofs.is_some() || self.certificates.is_some()
    }

    /// Whether it is the only scheme.
    pub(super) fn wants_dpop(&self) -> bool {
        self.proofs.as_ref().is_some_and(|proofs| proofs.required)
    }

    /// What the request brings, of a token that stood there. Nothing is looked at where nothing is checked.
    pub(super) fn evidence<B>(&self, place: Place, request: &Request<B>) -> Option<Evidence> {
        let (headers, extensions) = (request.headers(), request.extensions());
        self.is_asked_for().then(|| Evidence {
            place,
            proof: proof(headers),
            certificate: self.certificates.as_ref().and_then(|it| it.find(headers, extensions)),
            method: request.method().clone(),
            uri: request.uri().clone(),
            spent: extensions.get().cloned(),
        })
    }

    /// Whether the token may be let in.
    pub(super) fn judge(
        &self,
        confirmation: Option<&Confirmation>,
        token: &[u8],
        evidence: &Evidence,
        now: Timestamp,
    ) -> Result<Option<Proved>, Unproved> {
        let nothing = Confirmation::default();
        let bound = confirmation.unwrap_or(&nothing);
        if bound.is_unknown {
            return Err(Unproved::Token(Refusal::SenderConstrained));
        }
        self.judge_certificate(bound.certificate.as_ref(), evidence).map_err(Unproved::Token)?;
        self.judge_key(bound.key.as_ref(), token, evidence, now)
    }

    fn judge_certificate(&self, bound: Option<&Thumbprint>, evidence: &Evidence) -> Result<(), Refusal> {
        match (bound, &self.certificates) {
            (Some(bound), Some(_)) => {
                let shown = evidence.certificate.ok_or(Refusal::NoCertificate)?;
                let is_same = same_bytes(bound, shown.thumbprint());
                if is_same { Ok(()) } else { Err(Refusal::WrongCertificate) }
            }
            (Some(_), None) => Err(Refusal::SenderConstrained),
            (None, Some(certificates)) if certificates.required => Err(Refusal::NoCertificateBound),
            (None, _) => Ok(()),
        }
    }

    fn judge_key(
        &self,
        key: Option<&Thumbprint>,
        token: &[u8],
        evidence: &Evidence,
        now: Timestamp,
    ) -> Result<Option<Proved>, Unproved> {
        match (key, evidence.place, &self.proofs) {
            (Some(key), Place::Dpop, Some(proofs)) => {
                let proved = proofs.judge(evidence.proof(), evidence.target(), token, key, now)?;
                Ok(Some(proved.unless_spent(evidence.spent.as_ref())))
            }
            (Some(_), ..) => Err(Unproved::Token(Refusal::SenderConstrained)),
            (None, Place::Dpop, _) => Err(Unproved::Token(Refusal::NotSenderConstrained)),
            (None, ..) if self.wants_dpop() => Err(Unproved::Token(Refusal::NotSenderConstrained)),
            (None, ..) => Ok(None),
        }
    }
}

impl Evidence {
    fn proof(&self) -> Result<&str, ProofRefusal> {
        let proof = self.proof.as_ref().map_err(|refusal| *refusal)?;
        proof.to_str().map_err(|_| ProofRefusal::Malformed)
    }

    fn target(&self) -> (&Method, &str) {
        (&self.method, self.uri.path())
    }
}

impl Proved {
    /// The same; an inner copy of a layer does not take its own request for another.
    fn unless_spent(mut self, spent: Option<&Spent>) -> Self {
        self.ticket = self.ticket.filter(|ticket| spent.is_none_or(|Spent(other)| !ticket.is(other)));
        self
    }

    /// Leaves word of the proof that was claimed.
    pub(super) fn leave(&self, extensions: &mut Extensions) {
        if let Some(ticket) = &self.ticket {
            extensions.insert(Spent(ticket.clone()));
        }
    }
}

/// The one proof of a request.
pub(super) fn proof(headers: &HeaderMap) -> Result<HeaderValue, ProofRefusal> {
    let mut fields = headers.get_all(DPOP).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Err(ProofRefusal::Missing),
        (Some(field), None) => Ok(field.clone()),
        (Some(_), Some(_)) => Err(ProofRefusal::Several),
    }
}
