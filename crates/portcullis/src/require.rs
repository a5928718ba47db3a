//! [`RequireLayer`]: lets a request pass only if whoever is calling is allowed to make it.
//!
//! * Nobody signed in: 401 with the challenges of the configured schemes.
//! * Somebody who lacks a scope or a role: 403.
//! * Somebody whose sign-in is too old: 401 with the challenge of RFC 9470.
//! * It cannot be told who it is, because a store is out of reach: 503, never a denial.
//! * No layer has looked: 500, because a layer was forgotten.
//!
//! It stands inside the layers that find out who is calling, per route or around everything.
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::identity::Authentication;
//! use portcullis::{Identity, RequireLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
//! let admins = RequireLayer::authenticated().role("admin").layer(inner);
//!
//! let mut request = Request::get("/admin").body(String::new())?;
//! request.extensions_mut().insert(Authentication::authenticated(Identity::new("ada").role("admin")));
//! assert_eq!(admins.clone().oneshot(request).await?.status(), 200);
//!
//! let mut request = Request::get("/admin").body(String::new())?;
//! request.extensions_mut().insert(Authentication::authenticated(Identity::new("grace")));
//! assert_eq!(admins.oneshot(request).await?.status(), 403);
//! # Ok(()) }
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{Clock, SystemClock};
use tower_layer::Layer;

use crate::guard::{Check, Guard, GuardLayer, Head, Pass};
use crate::identity::{AuthMethod, Look, Person, Seen};
use crate::realm::{DefaultRealm, Realm, Slot};
use crate::rejection::{Forbidden, Lack, Rejection};
use crate::respond::DefaultResponder;

/// Lets a request pass only if whoever is calling meets every requirement.
///
/// Requirements are checked in the order in which they were added.
#[must_use]
pub struct RequireLayer<M = DefaultRealm, R = DefaultResponder> {
    require: Require,
    responder: R,
    realm: PhantomData<fn() -> M>,
}

/// The check that a [`RequireLayer`] makes.
#[derive(Clone)]
pub struct Require {
    requirements: Vec<Requirement>,
    clock: Arc<dyn Clock>,
    /// Whom to look at.
    slot: &'static Slot,
}

#[derive(Clone, Debug)]
enum Requirement {
    /// All of these scopes.
    Scopes(Vec<String>),
    /// One of these scopes.
    AnyScope(Vec<String>),
    Role(String),
    Fresh(Duration),
    AnyAcr(Vec<String>),
    Method(AuthMethod),
}

impl RequireLayer {
    /// Somebody is signed in.
    pub fn authenticated() -> Self {
        let slot = Slot::of::<DefaultRealm>();
        Self {
            require: Require { requirements: Vec::new(), clock: Arc::new(SystemClock), slot },
            responder: DefaultResponder,
            realm: PhantomData,
        }
    }
}

impl<M, R> RequireLayer<M, R> {
    /// Somebody is signed in in this [realm](crate::realm), and all requirements are about them; whoever else is signed in
    /// is not looked at. Default: [`DefaultRealm`].
    pub fn realm<N: Realm>(self) -> RequireLayer<N, R> {
        let Self { mut require, responder, realm: _ } = self;
        require.slot = Slot::of::<N>();
        RequireLayer { require, responder, realm: PhantomData }
    }

    /// The credential has this scope.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.add(Requirement::Scopes(vec![scope.into()]))
    }

    /// The credential has one of these scopes.
    pub fn any_scope<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.add(Requirement::AnyScope(scopes.into_iter().map(Into::into).collect()))
    }

    /// The user has this role.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.add(Requirement::Role(role.into()))
    }

    /// The user proved who they are no longer ago than `max_age`. Unknown counts as too long ago.
    pub fn fresh(self, max_age: Duration) -> Self {
        self.add(Requirement::Fresh(max_age))
    }

    /// The user proved who they are by one of these authentication context classes (RFC 9470).
    pub fn acr<T: Into<String>>(self, classes: impl IntoIterator<Item = T>) -> Self {
        self.add(Requirement::AnyAcr(classes.into_iter().map(Into::into).collect()))
    }

    /// The caller was recognised by this kind of credential.
    pub fn method(self, method: AuthMethod) -> Self {
        self.add(Requirement::Method(method))
    }

    /// The clock that [`fresh`](Self::fresh) reads. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.require.clock = Arc::new(clock);
        self
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> RequireLayer<M, T> {
        RequireLayer { require: self.require, responder, realm: PhantomData }
    }

    fn add(mut self, requirement: Requirement) -> Self {
        // Scopes that are all required are told to the client together.
        match (self.require.requirements.last_mut(), requirement) {
            (Some(Requirement::Scopes(held)), Requirement::Scopes(more)) => held.extend(more),
            (_, requirement) => self.require.requirements.push(requirement),
        }
        self
    }
}

impl<S, M, R: Clone> Layer<S> for RequireLayer<M, R> {
    type Service = Guard<S, Require, R>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::with_responder(self.require.clone(), self.responder.clone()).layer(inner)
    }
}

impl Check for Require {
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        let look = self.slot.look(head.extensions).ok_or(Rejection::missing(FORGOTTEN, self.slot.name))?;
        look.mark_read();
        match look.seen {
            Seen::Anonymous => Err(Rejection::unauthenticated_by(look.challenges().clone())),
            Seen::Unavailable { retry_after } => Err(Rejection::Unavailable { retry_after }),
            Seen::Authenticated(who) => self.judge(who, look).map(|()| Pass::new()),
        }
    }
}

const FORGOTTEN: &str = "SessionLayer, BearerLayer or AuthenticateLayer, outside RequireLayer";

impl Require {
    fn judge(&self, who: &Person, look: Look<'_>) -> Result<(), Rejection> {
        self.requirements.iter().try_for_each(|requirement| self.meets(requirement, who, look))
    }

    fn meets(&self, requirement: &Requirement, who: &Person, look: Look<'_>) -> Result<(), Rejection> {
        let met = match requirement {
            Requirement::Scopes(all) => all.iter().all(|scope| who.has_scope(scope)),
            Requirement::AnyScope(any) => any.iter().any(|scope| who.has_scope(scope)),
            Requirement::Role(role) => who.has_role(role),
            Requirement::Method(method) => who.method() == *method,
            Requirement::Fresh(max_age) => self.is_fresh(who, *max_age),
            Requirement::AnyAcr(any) => who.acr().is_some_and(|acr| any.iter().any(|class| class == acr)),
        };
        if met { Ok(()) } else { Err(requirement.unmet(who, look)) }
    }

    fn is_fresh(&self, who: &Person, max_age: Duration) -> bool {
        who.authenticated_at().is_some_and(|at| self.clock.now().since(at) <= max_age)
    }
}

impl Requirement {
    fn unmet(&self, who: &Person, look: Look<'_>) -> Rejection {
        let bearer = look.token_challenge().cloned();
        let lack = match self {
            Self::Scopes(scopes) | Self::AnyScope(scopes) => Lack::Scope(scopes.clone()),
            Self::Role(_) => Lack::Role,
            Self::Method(_) => Lack::Method,
            Self::Fresh(max_age) => {
                return Rejection::StepUp {
                    challenge: bearer,
                    acr_values: Vec::new(),
                    max_age: Some(*max_age),
                };
            }
            Self::AnyAcr(classes) => {
                return Rejection::StepUp { challenge: bearer, acr_values: classes.clone(), max_age: None };
            }
        };
        // A scope is named only to whoever came with a token that was verified (RFC 6750, section 3).
        let challenge = bearer.filter(|_| who.method() == AuthMethod::Bearer);
        Rejection::Forbidden(Forbidden { lack, challenge })
    }
}

impl<M, R: Clone> Clone for RequireLayer<M, R> {
    fn clone(&self) -> Self {
        Self { require: self.require.clone(), responder: self.responder.clone(), realm: PhantomData }
    }
}

impl<M, R> fmt::Debug for RequireLayer<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequireLayer").field(&self.require).finish()
    }
}

impl fmt::Debug for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require")
            .field("realm", &self.slot.name)
            .field("requirements", &self.requirements)
            .finish_non_exhaustive()
    }
}
