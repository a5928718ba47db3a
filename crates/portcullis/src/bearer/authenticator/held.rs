//! [`Held`]: a token that a request has brought, with what else is asked of it. [`Kept`]: the same, while somebody is waited for.

use http::Method;
use zeroize::Zeroizing;

use crate::bearer::possession::Evidence;
use crate::bearer::revocation::Cleared;
use crate::bearer::token_source::Place;

/// A token, where it stood, and what its request asks for and brings along.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) token: &'a [u8],
    pub(super) place: Place,
    pub(super) method: &'a Method,
    /// Where anything is asked for beyond the token.
    pub(super) evidence: Option<&'a Evidence>,
    /// What a layer further out was told by the store.
    pub(super) cleared: Option<&'a Cleared>,
}

/// The same, for as long as somebody has to be waited for.
pub(super) struct Kept {
    pub(super) token: Zeroizing<String>,
    pub(super) place: Place,
    method: Method,
    evidence: Option<Evidence>,
    cleared: Option<Cleared>,
}

impl Held<'_> {
    pub(super) fn keep(self, token: &str) -> Kept {
        Kept {
            token: Zeroizing::new(token.to_owned()),
            place: self.place,
            method: self.method.clone(),
            evidence: self.evidence.cloned(),
            cleared: self.cleared.cloned(),
        }
    }
}

impl Kept {
    pub(super) fn held(&self) -> Held<'_> {
        let Self { token, place, method, evidence, cleared } = self;
        let (evidence, cleared) = (evidence.as_ref(), cleared.as_ref());
        Held { token: token.as_bytes(), place: *place, method, evidence, cleared }
    }
}
