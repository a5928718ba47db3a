//! [`Published`]: what a ring signs with and tells of its keys, until the next one's moment comes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_store::Timestamp;
use serde_json::json;

use super::document::Document;
use super::error::{BuildError, BuildErrorKind};
use super::ring::Entry;
use super::signer::{Signer, VerificationKey};
use crate::bearer::{HmacKeys, KeySet, KeySource};

/// What a ring is at a moment.
pub(super) struct Published {
    pub(super) active: Arc<dyn Signer>,
    /// The header of an access token by the active key (RFC 9068, section 2.1), in base64url.
    pub(super) header: String,
    /// What the tokens are verified with.
    pub(super) set: Arc<KeySet>,
    /// What everybody may know of it.
    pub(super) document: Arc<Document>,
    /// Which keys the set has.
    kids: Vec<String>,
    /// When something begins or ends.
    pub(super) until: Timestamp,
}

impl Published {
    /// What these keys come to. A set of the same keys as before stays the same.
    pub(super) fn new(
        entries: &[Entry],
        active: usize,
        before: Option<&Self>,
        (until, age): (Timestamp, Duration),
    ) -> Result<Self, BuildError> {
        let active = Arc::clone(&entries.get(active).ok_or(BuildErrorKind::UnknownKey)?.signer);
        let kids: Vec<_> = entries.iter().map(|entry| entry.signer.kid().to_owned()).collect();
        let (set, document) = match before.filter(|before| before.kids == kids) {
            Some(before) => (Arc::clone(&before.set), Arc::clone(&before.document)),
            None => {
                let keys = Keys::of(entries.iter().map(|entry| &*entry.signer));
                (keys.set()?, Arc::new(Document::jwks(keys.jwks(), age)))
            }
        };
        let header = header(&*active, "at+jwt");
        Ok(Self { active, header, set, document, kids, until })
    }

    /// Whether the signer could be published.
    pub(super) fn check(signer: &dyn Signer) -> Result<(), BuildError> {
        let fits = match signer.verification_key() {
            VerificationKey::Public(key) => key.algorithm() == signer.algorithm(),
            VerificationKey::Secret(_) => signer.algorithm().is_symmetric(),
        };
        if !fits {
            return Err(BuildErrorKind::WrongAlgorithm.into());
        }
        Keys::of([signer].into_iter()).set().map(drop)
    }
}

fn header(signer: &dyn Signer, typ: &str) -> String {
    let header = json!({ "alg": signer.algorithm().name(), "kid": signer.kid(), "typ": typ });
    URL_SAFE_NO_PAD.encode(header.to_string())
}

/// The verification keys of some signers.
struct Keys(Vec<(String, VerificationKey)>);

impl Keys {
    fn of<'a>(signers: impl Iterator<Item = &'a dyn Signer>) -> Self {
        Self(signers.map(|signer| (signer.kid().to_owned(), signer.verification_key())).collect())
    }

    /// A set that verifiers read.
    fn jwks(&self) -> String {
        let public = self.0.iter().filter_map(|(kid, key)| match key {
            VerificationKey::Public(key) => Some(key.as_jwk(kid)),
            VerificationKey::Secret(_) => None,
        });
        json!({ "keys": public.collect::<Vec<_>>() }).to_string()
    }

    fn set(&self) -> Result<Arc<KeySet>, BuildError> {
        let secrets = self.0.iter().filter_map(|(kid, key)| match key {
            VerificationKey::Public(_) => None,
            VerificationKey::Secret(secret) => Some(secret.clone().kid(kid)),
        });
        let secrets: Vec<_> = secrets.collect();
        if secrets.is_empty() {
            let set = KeySet::jwks(&self.jwks()).map_err(|_| BuildErrorKind::MalformedKey)?;
            return Ok(Arc::new(set));
        }
        HmacKeys::new(secrets).map(|keys| keys.snapshot()).map_err(|_| BuildErrorKind::WeakKey.into())
    }
}
