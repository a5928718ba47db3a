//! [`Sources`]: all places where a layer looks for a token.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Uri};

use super::{Place, TokenSource};
use crate::bearer::dpop::DPOP;
use crate::bearer::token::{Malformed, Offered};
use crate::header_lines;
use crate::identity::Carrier;

/// `Authorization`, and where else to look.
#[derive(Clone, Default)]
pub(in crate::bearer) struct Sources(Arc<[TokenSource]>);

impl Sources {
    /// The same, and this one.
    pub(in crate::bearer) fn with(&self, source: TokenSource) -> Self {
        Self(self.0.iter().cloned().chain([source]).collect())
    }

    /// Whether browsers send a token by themselves from any of them.
    pub(in crate::bearer) fn are_ambient(&self) -> bool {
        self.0.iter().any(|source| source.place().carrier() == Carrier::Ambient)
    }

    /// Looks for what stands in a token's place. In two places there may not be one each.
    pub(in crate::bearer) fn find<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        speaks_dpop: bool,
    ) -> Result<Option<Offered<'a>>, Malformed> {
        let mut found = Offered::find(headers, speaks_dpop)?;
        for source in &*self.0 {
            if let Some(more) = source.find(uri, headers)?
                && found.replace(more).is_some()
            {
                return Err(Malformed::TwoPlaces);
            }
        }
        Ok(found)
    }

    /// Keeps the credentials out of logs: a sensitive value prints as `Sensitive`. A proof is one while it is new.
    ///
    /// Says whether there may be a token: most requests without one have nothing where it could stand.
    pub(in crate::bearer) fn mark_sensitive(&self, headers: &mut HeaderMap, speaks_dpop: bool) -> bool {
        let mut is_there = false;
        header_lines::each(headers, &AUTHORIZATION, |line| {
            is_there = true;
            line.set_sensitive(true);
        });
        let proof = speaks_dpop.then_some(DPOP);
        for name in self.0.iter().filter_map(TokenSource::header).chain(proof) {
            header_lines::each(headers, &name, |line| line.set_sensitive(true));
        }
        is_there || !self.0.is_empty()
    }

    /// Takes the credential off the request that stood there.
    pub(in crate::bearer) fn strip<B>(&self, place: Place, request: &mut Request<B>) {
        if matches!(place, Place::Authorization | Place::Dpop) {
            request.headers_mut().remove(AUTHORIZATION);
            request.headers_mut().remove(DPOP);
        }
        self.0.iter().filter(|source| source.place() == place).for_each(|source| source.strip(request));
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entry(&"Authorization").entries(self.0.iter().map(|source| &source.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::COOKIE;

    use super::*;

    #[test]
    fn every_line_of_a_credential_is_sensitive_and_no_other() {
        let sources = Sources::default().with(TokenSource::cookie("__Host-at").unwrap());
        for name in [AUTHORIZATION, COOKIE, DPOP] {
            for lines in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
                let lines = lines.iter().copied().map(HeaderValue::from_static);
                let mut headers: HeaderMap = lines.map(|line| (name.clone(), line)).collect();
                headers.append("accept", HeaderValue::from_static("a"));
                headers.append("accept", HeaderValue::from_static("b"));
                sources.mark_sensitive(&mut headers, true);
                for (held, value) in &headers {
                    assert_eq!(value.is_sensitive(), held == name, "{held}: {value:?}");
                }
            }
        }
    }
}
