//! [`OwnVerifier`]: tokens of one issuer, verified outside of any layer by the pipeline that layers use.

use portcullis_store::Timestamp;

use super::Issuer;
use crate::bearer::error::BuildError;
use crate::bearer::revocation::{Marks, Revocations};
use crate::bearer::verifier::{Occasion, Verifier};
use crate::identity::{Carrier, Identity};

/// Verifies the tokens of one issuer, whose keys are at hand.
#[derive(Debug)]
pub(crate) struct OwnVerifier(Verifier);

/// A token that is good but for this: it may be revoked.
pub(crate) struct Own {
    pub(crate) identity: Identity,
    marks: Option<Marks>,
}

impl OwnVerifier {
    pub(crate) fn new(issuer: Issuer) -> Result<Self, BuildError> {
        Ok(Self(Verifier::new(vec![issuer.build()?])))
    }

    /// Whom the token names, if it is good at this moment and bound to nothing.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Option<Own> {
        self.look(token, now, false)
    }

    /// The same, also of a token that is bound: for those who do not let its bearer in by it.
    pub(crate) fn describe(&self, token: &str, now: Timestamp) -> Option<Own> {
        self.look(token, now, true)
    }

    fn look(&self, token: &str, now: Timestamp, wants_proof: bool) -> Option<Own> {
        let occasion = Occasion { carrier: Carrier::Explicit, now, wants_marks: true, wants_proof };
        let verified = self.0.verify(token.as_bytes(), occasion).ok()?;
        Some(Own { identity: verified.identity, marks: verified.marks })
    }
}

impl Own {
    /// Whether it is not revoked.
    pub(crate) async fn stands(
        &self,
        revocations: &Revocations,
    ) -> Result<bool, portcullis_store::StoreError> {
        let Some(marks) = &self.marks else { return Ok(false) };
        let status = match revocations.status_now(marks) {
            Some(status) => status?,
            None => revocations.status(marks).await?,
        };
        Ok(marks.judge(&status).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::*;
    use crate::bearer::{Audience, HmacKeys};

    const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

    /// By HS256.
    fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(r#"{"alg":"HS256"}"#), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn a_token_that_is_bound_is_not_good_where_nobody_proves_it() {
        let keys = HmacKeys::new([SECRET.to_vec()]).unwrap();
        let own = OwnVerifier::new(Issuer::new("i", Audience::one_of(["a"])).keys(keys)).unwrap();
        let is_good = |more: &str| {
            let claims = format!(r#"{{"iss":"i","aud":"a","sub":"ada","exp":1000{more}}}"#);
            own.verify(&token(&claims), Timestamp::from_secs(900)).is_some()
        };
        assert!(is_good(""));
        for cnf in [r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#, "{}", "null"] {
            assert!(!is_good(&format!(r#","cnf":{cnf}"#)), "{cnf}");
        }
    }
}
