//! [`Authentication`]: what the layers found out about the caller. [`IdentityExt`]: reads it from a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Request, request};
use smallvec::{SmallVec, smallvec};

use super::{Identity, Person};
use crate::realm::{Claim, DefaultRealm, Hold, Realm};
use crate::rejection::Challenge;

/// What the layers of a [realm](crate::realm) found out about the caller. In the extensions of every request that passed
/// one of them.
pub struct Authentication<M = DefaultRealm> {
    outcome: Outcome<M>,
    found: Found,
}

/// What goes with an outcome, in whatever realm.
#[derive(Clone, Default)]
struct Found {
    /// The layers', the outermost first.
    marks: SmallVec<[Mark; 2]>,
    by: By,
}

/// Whose word it is. As wide as what stands beside it, since what is between two fields is moved bytewise.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(usize)]
enum By {
    #[default]
    Layer,
    /// A place in a stack where there is no layer, and which so leaves nothing.
    Nobody,
}

/// What a layer says of itself.
#[derive(Clone)]
enum Mark {
    /// By which scheme it lets people in.
    Challenge(Challenge),
    /// A session layer's, which says more. One pointer stands for all of it, since most requests are asked nothing.
    Session(Arc<dyn SessionMark>),
}

/// The result within an [`Authentication`].
#[non_exhaustive]
pub enum Outcome<M = DefaultRealm> {
    /// No credential, or none that says who it is.
    Anonymous,
    /// Somebody is signed in.
    Authenticated(Identity<M>),
    /// It cannot be told, because the store or the keys are out of reach. Neither a denial nor a success.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// An [`Authentication`] as code without a type parameter sees it.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) seen: Seen<'a>,
    found: &'a Found,
}

/// An [`Outcome`] as code without a type parameter sees it.
#[derive(Clone, Copy)]
pub(crate) enum Seen<'a> {
    Anonymous,
    Authenticated(&'a Person),
    Unavailable { retry_after: Duration },
}

/// The challenges of the configured schemes, for whoever must answer 401.
pub(crate) type Challenges = SmallVec<[Challenge; 2]>;

/// What a session layer says of itself, and hears of a request.
pub(crate) trait SessionMark: Send + Sync {
    /// By which scheme it lets people in.
    fn challenge(&self) -> &Challenge;

    /// What it says to other session layers.
    fn claim(&self) -> Claim;

    /// The way to its handle, where it leaves one.
    fn hold(&self) -> Option<&'static Hold>;

    /// A handler has looked at who is calling, so the response depends on the session.
    fn on_read(&self);
}

/// Reads who is calling from wherever a framework keeps the request's extensions.
///
/// For a tonic request: `request.extensions().identity()`.
pub trait IdentityExt {
    /// Who is calling in this realm; `None` when nobody is signed in there.
    fn identity_in<M: Realm>(&self) -> Option<&Identity<M>>;

    /// What the layers of this realm found out; `None` when none has looked.
    fn authentication_in<M: Realm>(&self) -> Option<&Authentication<M>>;

    /// Who is calling; `None` when nobody is signed in.
    fn identity(&self) -> Option<&Identity> {
        self.identity_in()
    }

    /// What the layers found out; `None` when no layer of ours has looked.
    fn authentication(&self) -> Option<&Authentication> {
        self.authentication_in()
    }
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
}

impl<M> Authentication<M> {
    /// The result.
    #[must_use]
    pub fn outcome(&self) -> &Outcome<M> {
        self.found.mark_read();
        &self.outcome
    }

    /// Who is calling; `None` when nobody is signed in or it cannot be told.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity<M>> {
        self.found.mark_read();
        self.peek()
    }

    /// The result, looked at by a layer: that does not make the response vary.
    pub(crate) fn state(&self) -> &Outcome<M> {
        &self.outcome
    }

    /// The identity, looked at by a layer.
    pub(crate) fn peek(&self) -> Option<&Identity<M>> {
        match &self.outcome {
            Outcome::Authenticated(identity) => Some(identity),
            Outcome::Anonymous | Outcome::Unavailable { .. } => None,
        }
    }

    pub(crate) fn look(&self) -> Look<'_> {
        let seen = match &self.outcome {
            Outcome::Anonymous => Seen::Anonymous,
            Outcome::Authenticated(identity) => Seen::Authenticated(identity.person()),
            Outcome::Unavailable { retry_after } => Seen::Unavailable { retry_after: *retry_after },
        };
        Look { seen, found: &self.found }
    }

    /// The same, found in another realm.
    pub(crate) fn in_realm<N>(self) -> Authentication<N> {
        let outcome = match self.outcome {
            Outcome::Anonymous => Outcome::Anonymous,
            Outcome::Authenticated(identity) => Outcome::Authenticated(identity.in_realm()),
            Outcome::Unavailable { retry_after } => Outcome::Unavailable { retry_after },
        };
        Authentication { outcome, found: self.found }
    }

    /// What is found where no layer stands.
    pub(crate) fn not_looked() -> Self {
        let found = Found { by: By::Nobody, ..Found::default() };
        Self { outcome: Outcome::Anonymous, found }
    }

    /// Whether a layer has looked.
    pub(crate) fn has_looked(&self) -> bool {
        self.found.by == By::Layer
    }

    pub(crate) fn add_challenge(&mut self, challenge: Option<Challenge>) {
        self.found.marks.extend(challenge.map(Mark::Challenge));
    }

    /// What a session layer found out.
    #[cfg_attr(
        not(feature = "session"),
        expect(dead_code, reason = "only session layers say more of themselves")
    )]
    #[inline]
    pub(crate) fn of_session(outcome: Outcome<M>, mark: Arc<dyn SessionMark>) -> Self {
        let marks = smallvec![Mark::Session(mark)];
        Self { outcome, found: Found { marks, by: By::Layer } }
    }

    /// Nobody is signed in; what else was found stays.
    #[cfg_attr(not(feature = "csrf"), expect(dead_code, reason = "only CsrfLayer drops identities"))]
    pub(crate) fn without_identity(self) -> Self {
        Self { outcome: Outcome::Anonymous, ..self }
    }

    /// What an outer layer had found, kept together with what this one found.
    pub(crate) fn on_top_of(mut self, outer: Self, outcome: Outcome<M>) -> Self {
        let own = std::mem::replace(&mut self.found.marks, outer.found.marks);
        for mark in own {
            // Two copies of one layer on one path have one challenge.
            let is_there = matches!(&mark, Mark::Challenge(challenge) if self.found.has(challenge));
            if !is_there {
                self.found.marks.push(mark);
            }
        }
        self.outcome = outcome;
        self
    }
}

impl<'a> Look<'a> {
    pub(crate) fn challenges(self) -> impl Iterator<Item = &'a Challenge> {
        self.found.challenges()
    }

    /// The challenge of tokens, if they are accepted: of the scheme that was used, where there are two.
    pub(crate) fn token_challenge(self) -> Option<&'a Challenge> {
        self.challenges().find(|challenge| challenge.has_errors())
    }

    pub(crate) fn claim(self) -> Option<Claim> {
        self.found.session().map(SessionMark::claim)
    }

    pub(crate) fn hold(self) -> Option<&'static Hold> {
        self.found.session()?.hold()
    }

    /// On behalf of a handler.
    pub(crate) fn mark_read(self) {
        self.found.mark_read();
    }
}

impl Found {
    fn challenges(&self) -> impl Iterator<Item = &Challenge> {
        self.marks.iter().map(|mark| match mark {
            Mark::Challenge(challenge) => challenge,
            Mark::Session(session) => session.challenge(),
        })
    }

    fn has(&self, challenge: &Challenge) -> bool {
        self.challenges().any(|held| held == challenge)
    }

    /// The session layer's among them.
    fn session(&self) -> Option<&dyn SessionMark> {
        self.marks.iter().find_map(|mark| match mark {
            Mark::Challenge(_) => None,
            Mark::Session(session) => Some(&**session),
        })
    }

    fn mark_read(&self) {
        if let Some(session) = self.session() {
            session.on_read();
        }
    }
}

impl<M> Clone for Authentication<M> {
    fn clone(&self) -> Self {
        Self { outcome: self.outcome.clone(), found: self.found.clone() }
    }
}

impl<M> Clone for Outcome<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Anonymous => Self::Anonymous,
            Self::Authenticated(identity) => Self::Authenticated(identity.clone()),
            Self::Unavailable { retry_after } => Self::Unavailable { retry_after: *retry_after },
        }
    }
}

impl<M> From<Outcome<M>> for Authentication<M> {
    fn from(outcome: Outcome<M>) -> Self {
        Self { outcome, found: Found::default() }
    }
}

impl IdentityExt for Extensions {
    fn identity_in<M: Realm>(&self) -> Option<&Identity<M>> {
        if let Some(authentication) = self.authentication_in::<M>() {
            authentication.found.mark_read();
        }
        self.get()
    }

    fn authentication_in<M: Realm>(&self) -> Option<&Authentication<M>> {
        self.get()
    }
}

impl IdentityExt for request::Parts {
    fn identity_in<M: Realm>(&self) -> Option<&Identity<M>> {
        self.extensions.identity_in()
    }

    fn authentication_in<M: Realm>(&self) -> Option<&Authentication<M>> {
        self.extensions.authentication_in()
    }
}

impl<B> IdentityExt for Request<B> {
    fn identity_in<M: Realm>(&self) -> Option<&Identity<M>> {
        self.extensions().identity_in()
    }

    fn authentication_in<M: Realm>(&self) -> Option<&Authentication<M>> {
        self.extensions().authentication_in()
    }
}

impl<M: Realm> fmt::Debug for Authentication<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("realm", &M::NAME)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl<M: Realm> fmt::Debug for Outcome<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Authenticated(identity) => f.debug_tuple("Authenticated").field(identity).finish(),
            Self::Unavailable { retry_after } => {
                f.debug_struct("Unavailable").field("retry_after", retry_after).finish()
            }
        }
    }
}
