//! [`Authentication`]: what the layers found out about the caller. [`IdentityExt`]: reads it from a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Request, request};
use smallvec::SmallVec;

use super::Identity;
use crate::rejection::Challenge;

/// What the layers found out about the caller. In the extensions of every request that passed one of them.
#[derive(Clone)]
pub struct Authentication {
    outcome: Outcome,
    challenges: Challenges,
    reader: Option<Arc<dyn OnRead>>,
}

/// The result within an [`Authentication`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// No credential, or none that says who it is.
    Anonymous,
    /// Somebody is signed in.
    Authenticated(Identity),
    /// It cannot be told, because the store or the keys are out of reach. Neither a denial nor a success.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// The challenges of the configured schemes, for whoever must answer 401.
pub(crate) type Challenges = SmallVec<[Challenge; 2]>;

/// Is told that a handler has looked at who is calling, so that the response can say `Vary`.
pub(crate) trait OnRead: Send + Sync {
    fn on_read(&self);
}

/// Reads who is calling from wherever a framework keeps the request's extensions.
///
/// For a tonic request: `request.extensions().identity()`.
pub trait IdentityExt {
    /// Who is calling; `None` when nobody is signed in.
    fn identity(&self) -> Option<&Identity>;
    /// What the layers found out; `None` when no layer of ours has looked.
    fn authentication(&self) -> Option<&Authentication>;
}

impl Authentication {
    /// Nobody is signed in.
    #[must_use]
    pub fn anonymous() -> Self {
        Outcome::Anonymous.into()
    }

    /// Somebody is signed in.
    #[must_use]
    pub fn authenticated(identity: impl Into<Identity>) -> Self {
        Outcome::Authenticated(identity.into()).into()
    }

    /// It cannot be told; worth trying again after `retry_after`.
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Outcome::Unavailable { retry_after }.into()
    }

    /// The result.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        self.mark_read();
        &self.outcome
    }

    /// Who is calling; `None` when nobody is signed in or it cannot be told.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.mark_read();
        self.peek()
    }

    /// The result, looked at by a layer: that does not make the response vary.
    pub(crate) fn state(&self) -> &Outcome {
        &self.outcome
    }

    /// The identity, looked at by a layer.
    pub(crate) fn peek(&self) -> Option<&Identity> {
        match &self.outcome {
            Outcome::Authenticated(identity) => Some(identity),
            Outcome::Anonymous | Outcome::Unavailable { .. } => None,
        }
    }

    pub(crate) fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// The challenge of this scheme, if it is configured.
    pub(crate) fn challenge(&self, scheme: &str) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.scheme() == scheme)
    }

    pub(crate) fn add_challenge(&mut self, challenge: Option<Challenge>) {
        self.challenges.extend(challenge);
    }

    #[cfg_attr(
        not(feature = "session"),
        expect(dead_code, reason = "only a session's cookie makes responses vary")
    )]
    pub(crate) fn on_read(mut self, reader: Arc<dyn OnRead>) -> Self {
        self.reader = Some(reader);
        self
    }

    /// What an outer layer had found, kept together with what this one found.
    pub(crate) fn on_top_of(mut self, outer: &Self, outcome: Outcome) -> Self {
        let own = std::mem::replace(&mut self.challenges, outer.challenges.clone());
        // Two copies of one layer on one path have one challenge.
        self.challenges.extend(own.into_iter().filter(|challenge| !outer.challenges.contains(challenge)));
        self.reader = self.reader.or_else(|| outer.reader.clone());
        self.outcome = outcome;
        self
    }

    fn mark_read(&self) {
        if let Some(reader) = &self.reader {
            reader.on_read();
        }
    }
}

impl From<Outcome> for Authentication {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, challenges: Challenges::new(), reader: None }
    }
}

impl IdentityExt for Extensions {
    fn identity(&self) -> Option<&Identity> {
        let _ = self.authentication().map(Authentication::mark_read);
        self.get()
    }

    fn authentication(&self) -> Option<&Authentication> {
        self.get()
    }
}

impl IdentityExt for request::Parts {
    fn identity(&self) -> Option<&Identity> {
        self.extensions.identity()
    }

    fn authentication(&self) -> Option<&Authentication> {
        self.extensions.authentication()
    }
}

impl<B> IdentityExt for Request<B> {
    fn identity(&self) -> Option<&Identity> {
        self.extensions().identity()
    }

    fn authentication(&self) -> Option<&Authentication> {
        self.extensions().authentication()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
