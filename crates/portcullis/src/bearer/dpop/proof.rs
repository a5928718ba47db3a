//! [`ProofRules`]: one proof, taken apart and judged by each check of RFC 9449, section 4.3. Pure.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, Method};
use portcullis_store::{Locator, Timestamp};

use super::claims::ProofClaims;
use super::header::ProofHeader;
use super::refusal::ProofRefusal;
use super::target::Base;
use crate::bearer::algorithm::Algorithms;
use crate::bearer::confirmation::Thumbprint;
use crate::bearer::crypto::{same_bytes, sha256};
use crate::bearer::refusal::Refusal;
use crate::names;

/// The header field of a proof.
pub(in crate::bearer) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// What every proof is held to.
#[derive(Debug)]
pub(super) struct ProofRules {
    pub(super) bases: Vec<Base>,
    pub(super) algorithms: Algorithms,
    pub(super) max_age: Duration,
    pub(super) leeway: Duration,
}

/// What a proof is asked to prove.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub(super) method: &'q Method,
    /// As the service sees it.
    pub(super) path: &'q str,
    /// What comes along with the proof; nothing does where tokens are given (section 5).
    pub(super) token: Option<Bound<'q>>,
    pub(super) now: Timestamp,
}

/// A token that is bound to a key.
#[derive(Clone, Copy)]
pub(super) struct Bound<'q> {
    pub(super) text: &'q [u8],
    pub(super) key: &'q Thumbprint,
}

/// A proof that is good, but for its nonce and its use.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) name: Locator,
    /// Whose it is.
    pub(super) key: Thumbprint,
    pub(super) nonce: Option<String>,
}

/// What is wrong: with the proof, or with the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Proof(ProofRefusal),
    Token(Refusal),
}

/// A compact serialisation, decoded; nothing of it has been verified.
struct Jws<'a> {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    message: &'a [u8],
}

/// The longest proof, in bytes.
const MAX_PROOF: usize = 8 * 1024;

/// The longest header, in bytes of its base64url: a key of RSA with 8192 bits takes half of it.
const MAX_HEADER: usize = 4 * 1024;

impl ProofRules {
    /// Whether the proof proves what is asked. What costs most, the signature, comes last.
    pub(super) fn judge(&self, proof: &str, question: Question<'_>) -> Result<Proven, Fault> {
        let jws = Jws::decode(proof)?;
        let header = ProofHeader::parse(&jws.header)?;
        if !self.algorithms.contains(header.algorithm) {
            return Err(ProofRefusal::AlgorithmNotAllowed.into());
        }
        let claims = ProofClaims::parse(&jws.payload)?;
        self.judge_claims(&claims, question)?;
        let (key, thumbprint) = header.jwk.key(header.algorithm)?;
        if question.token.is_some_and(|token| !same_bytes(&thumbprint, token.key)) {
            return Err(Fault::Token(Refusal::WrongKey));
        }
        if !key.verify(jws.message, &jws.signature) {
            return Err(ProofRefusal::BadSignature.into());
        }
        // An id is its key's own: nobody can use up another's.
        let name = names::of_proof(&thumbprint, &claims.jti);
        Ok(Proven { name, key: thumbprint, nonce: claims.nonce.map(String::from) })
    }

    fn judge_claims(&self, claims: &ProofClaims<'_>, question: Question<'_>) -> Result<(), ProofRefusal> {
        let ath = question.token.map(|_| claims.ath.as_deref().ok_or(ProofRefusal::MissingClaim));
        let ath = ath.transpose()?;
        if *claims.htm != *question.method.as_str() {
            return Err(ProofRefusal::WrongMethod);
        }
        if !self.bases.iter().any(|base| base.is_target(&claims.htu, question.path)) {
            return Err(ProofRefusal::WrongAddress);
        }
        if question.token.zip(ath).is_some_and(|(token, ath)| *ath != *hash_of(token.text)) {
            return Err(ProofRefusal::WrongToken);
        }
        self.judge_time(claims, question.now)
    }

    fn judge_time(&self, claims: &ProofClaims<'_>, now: Timestamp) -> Result<(), ProofRefusal> {
        let soon = now.saturating_add(self.leeway);
        if claims.iat > soon || claims.nbf.is_some_and(|nbf| nbf > soon) {
            return Err(ProofRefusal::InFuture);
        }
        let last = claims.iat.saturating_add(self.max_age).saturating_add(self.leeway);
        let expired = claims.exp.is_some_and(|exp| now >= exp.saturating_add(self.leeway));
        if now > last || expired { Err(ProofRefusal::TooOld) } else { Ok(()) }
    }

    /// For how long a used proof must be known: from when the first process accepts it, whose clock may be behind by the
    /// leeway, to when the last does, whose clock may be behind as well; and a second for rounding.
    pub(super) fn keep(&self) -> Duration {
        self.max_age.saturating_add(self.leeway * 3).saturating_add(Duration::from_secs(1))
    }
}

/// The token's hash, as `ath` has it (RFC 9449, section 4.2).
fn hash_of(token: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256([token]))
}

impl<'a> Jws<'a> {
    fn decode(proof: &'a str) -> Result<Self, ProofRefusal> {
        if proof.len() > MAX_PROOF {
            return Err(ProofRefusal::TooLarge);
        }
        let (header, rest) = proof.split_once('.').ok_or(ProofRefusal::Malformed)?;
        let (payload, signature) = rest.split_once('.').ok_or(ProofRefusal::Malformed)?;
        if header.len() > MAX_HEADER {
            return Err(ProofRefusal::TooLarge);
        }
        Ok(Self {
            header: decoded(header)?,
            payload: decoded(payload)?,
            signature: decoded(signature)?,
            message: proof.as_bytes().get(..header.len() + 1 + payload.len()).unwrap_or_default(),
        })
    }
}

/// A dot too many is none of the alphabet's.
fn decoded(base64url: &str) -> Result<Vec<u8>, ProofRefusal> {
    URL_SAFE_NO_PAD.decode(base64url).map_err(|_| ProofRefusal::Malformed)
}

impl From<ProofRefusal> for Fault {
    fn from(refusal: ProofRefusal) -> Self {
        Self::Proof(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9449, section 7.1, figure 13: a request to a resource with a token, and the proof of it.
    const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    /// The thumbprint of its key, section 6.1, figure 7.
    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    const ISSUED: u64 = 1_562_262_618;

    fn rules() -> ProofRules {
        ProofRules {
            bases: vec![Base::parse("https://resource.example.org").unwrap()],
            algorithms: Algorithms::asymmetric_default(),
            max_age: Duration::from_secs(60),
            leeway: Duration::from_secs(5),
        }
    }

    fn question(key: &Thumbprint) -> Question<'_> {
        let now = Timestamp::from_secs(ISSUED);
        let token = Some(Bound { text: TOKEN, key });
        Question { method: &Method::GET, path: "/protectedresource", token, now }
    }

    fn key() -> Thumbprint {
        crate::bearer::confirmation::thumbprint(JKT).unwrap()
    }

    #[test]
    fn the_example_of_rfc_9449_is_a_proof_and_of_nothing_else() {
        let (rules, key) = (rules(), key());
        let good = question(&key);
        assert_eq!(rules.judge(PROOF, good).unwrap().nonce, None);

        let other = [7; 32];
        let with = |text, key| Question { token: Some(Bound { text, key }), ..good };
        let rows = [
            ("another method", Question { method: &Method::POST, ..good }, ProofRefusal::WrongMethod),
            ("another address", Question { path: "/", ..good }, ProofRefusal::WrongAddress),
            ("another token", with(b"Kz~8", &key), ProofRefusal::WrongToken),
            ("earlier", Question { now: Timestamp::from_secs(ISSUED - 6), ..good }, ProofRefusal::InFuture),
            ("later", Question { now: Timestamp::from_secs(ISSUED + 66), ..good }, ProofRefusal::TooOld),
        ];
        for (name, question, expected) in rows {
            assert_eq!(rules.judge(PROOF, question).unwrap_err(), Fault::Proof(expected), "{name}");
        }
        for at in [ISSUED - 5, ISSUED + 65] {
            assert!(rules.judge(PROOF, Question { now: Timestamp::from_secs(at), ..good }).is_ok(), "{at}");
        }
        let fault = rules.judge(PROOF, with(TOKEN, &other)).unwrap_err();
        assert_eq!(fault, Fault::Token(Refusal::WrongKey));
        // Where tokens are given none comes along, and the key is what is asked for.
        assert_eq!(rules.judge(PROOF, Question { token: None, ..good }).unwrap().key, key);
    }

    #[test]
    fn any_flipped_bit_of_a_proof_is_refused() {
        let (rules, key) = (rules(), key());
        for at in 0..PROOF.len() {
            for bit in 0..7 {
                let mut bytes = PROOF.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(rules.judge(&changed, question(&key)).is_err(), "bit {bit} at {at}");
            }
        }
    }

    #[test]
    fn what_is_no_compact_serialisation_or_too_large_is_refused() {
        let (rules, key) = (rules(), key());
        let (header, rest) = PROOF.split_once('.').unwrap();
        for (name, proof, expected) in [
            ("nothing", String::new(), ProofRefusal::Malformed),
            ("one part", header.to_owned(), ProofRefusal::Malformed),
            ("two parts", PROOF.rsplit_once('.').unwrap().0.to_owned(), ProofRefusal::Malformed),
            ("four parts", format!("{PROOF}.a"), ProofRefusal::Malformed),
            ("padded", format!("{PROOF}="), ProofRefusal::Malformed),
            ("two in one field", format!("{PROOF}, {PROOF}"), ProofRefusal::Malformed),
            ("a large header", format!("{}.{rest}", "A".repeat(MAX_HEADER + 1)), ProofRefusal::TooLarge),
            ("a large proof", format!("{header}.{}", "A".repeat(MAX_PROOF)), ProofRefusal::TooLarge),
        ] {
            let fault = rules.judge(&proof, question(&key)).unwrap_err();
            assert_eq!(fault, Fault::Proof(expected), "{name}");
        }
    }
}
