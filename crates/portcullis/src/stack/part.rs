//! [`Part`]: an authenticator that a stack has, or has not. The parts of a stack by the features that bring them; without
//! its feature a part is one that there is none of.

use std::convert::Infallible;
use std::fmt;

use http::{Request, Response};

use crate::authenticate::{Authenticator, Closing, OnConflict, Opening};
use crate::guard::{Check, Head, Pass};
use crate::identity::Authentication;
use crate::rejection::{Challenge, Rejection};

#[cfg(any(feature = "bearer", feature = "rust-crypto"))]
pub(super) type Tokens = crate::bearer::BearerAuthenticator;
#[cfg(not(any(feature = "bearer", feature = "rust-crypto")))]
pub(super) type Tokens = NoAuthenticator;
#[cfg(feature = "csrf")]
pub(super) type Origin = crate::csrf::Csrf;
#[cfg(not(feature = "csrf"))]
pub(super) type Origin = NoCheck;
#[cfg(feature = "session")]
pub(super) type Sessions = crate::session::SessionAuthenticator;
#[cfg(not(feature = "session"))]
pub(super) type Sessions = NoAuthenticator;

/// An authenticator that a stack has, or has not. Where it has not, requests pass as if no layer stood here: nobody has
/// looked.
#[derive(Clone)]
pub struct Part<A>(pub(super) Option<A>);

/// The authenticator of an application that has none of its own.
#[derive(Clone, Copy, Debug)]
pub struct NoAuthenticator(Infallible);

/// A check that there is none of.
#[derive(Clone, Debug)]
pub struct NoCheck(Infallible);

impl<A: Authenticator> Authenticator for Part<A> {
    type Visit = Option<A::Visit>;

    fn challenge(&self) -> Option<Challenge> {
        self.0.as_ref()?.challenge()
    }

    fn on_conflict(&self) -> OnConflict {
        self.0.as_ref().map_or(OnConflict::Refuse, A::on_conflict)
    }

    #[inline]
    fn open<B>(&self, request: &mut Request<B>) -> Opening<Self::Visit> {
        let Some(authenticator) = &self.0 else {
            return Opening::Ready(Ok((Authentication::not_looked(), None)));
        };
        match authenticator.open(request) {
            Opening::Ready(opened) => Opening::Ready(opened.map(|(found, visit)| (found, Some(visit)))),
            Opening::Pending(opening) => {
                Opening::pending(async { opening.await.map(|(found, visit)| (found, Some(visit))) })
            }
        }
    }

    #[inline]
    fn enter<B>(&self, visit: &Self::Visit, request: &mut Request<B>) {
        if let (Some(authenticator), Some(visit)) = (&self.0, visit) {
            authenticator.enter(visit, request);
        }
    }

    #[inline]
    fn close<B>(&self, visit: Self::Visit, response: &Response<B>) -> Closing {
        match (&self.0, visit) {
            (Some(authenticator), Some(visit)) => authenticator.close(visit, response),
            (None, _) | (_, None) => Closing::nothing(),
        }
    }
}

impl Authenticator for NoAuthenticator {
    type Visit = ();

    fn open<B>(&self, _: &mut Request<B>) -> Opening<()> {
        match self.0 {}
    }
}

#[cfg_attr(
    all(feature = "session", any(feature = "bearer", feature = "rust-crypto")),
    expect(dead_code, reason = "there is one of each kind")
)]
impl NoAuthenticator {
    pub(super) fn is_ambient(&self) -> bool {
        match self.0 {}
    }
}

impl NoCheck {
    #[cfg_attr(feature = "csrf", expect(dead_code, reason = "there is one"))]
    pub(super) fn anew(&self) -> Self {
        match self.0 {}
    }
}

impl Check for NoCheck {
    fn check(&self, _: Head<'_>) -> Result<Pass, Rejection> {
        match self.0 {}
    }
}

impl<A: fmt::Debug> fmt::Debug for Part<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
