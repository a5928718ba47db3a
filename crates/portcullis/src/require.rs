//! [`RequireLayer`]: lets a request pass only if whoever is calling is allowed to make it.
//!
//! * Nobody signed in: 401 with the challenges of the configured schemes.
//! * Somebody who lacks a scope or a role: 403.
//! * Somebody whose sign-in is too old: 401 with the challenge of RFC 9470.
//! * It cannot be told who it is, because a store is out of reach: 503, never a denial.
//! * No layer has looked: 500, because a layer was forgotten.
//!
//! What is asked is a [`Policy`]; policies combine, and may be an application's own. [`AuthorizeLayer`] asks what has to be
//! waited for, [`PolicyTable`] says it of all routes in one place, and [`PublicLayer`] that a route needs nothing.
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

#[cfg(any(feature = "bearer", feature = "rust-crypto", feature = "session"))]
mod authorize;
mod policy;
mod public;
mod table;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{Clock, SystemClock};
use tower_layer::Layer;

#[cfg(any(feature = "bearer", feature = "rust-crypto", feature = "session"))]
pub use self::authorize::{AuthorizeLayer, Authorizer};
use self::policy::{Caller, Rule, Verdict, all};
pub use self::policy::{Decision, Policy};
pub use self::public::{Everybody, PublicLayer};
pub use self::table::{PolicyTable, PolicyTableBuilder, PolicyTableError, Table};
use crate::guard::{Check, Guard, GuardLayer, Head, Pass};
use crate::identity::{AuthMethod, Identity, Look, Person, Seen};
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
    rules: Vec<Rule>,
    clock: Arc<dyn Clock>,
    /// Whom to look at.
    slot: &'static Slot,
}

impl RequireLayer {
    /// Somebody is signed in.
    pub fn authenticated() -> Self {
        let slot = Slot::of::<DefaultRealm>();
        Self {
            require: Require { rules: Vec::new(), clock: Arc::new(SystemClock), slot },
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
        self.policy(Policy::scope(scope))
    }

    /// The credential has one of these scopes.
    pub fn any_scope<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.policy(Policy::any_scope(scopes))
    }

    /// The user has this role.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.policy(Policy::role(role))
    }

    /// The user proved who they are no longer ago than `max_age`. Unknown counts as too long ago.
    pub fn fresh(self, max_age: Duration) -> Self {
        self.policy(Policy::fresh(max_age))
    }

    /// The user proved who they are by one of these authentication context classes (RFC 9470).
    pub fn acr<T: Into<String>>(self, classes: impl IntoIterator<Item = T>) -> Self {
        self.policy(Policy::acr(classes))
    }

    /// The caller was recognised by this kind of credential.
    pub fn method(self, method: AuthMethod) -> Self {
        self.policy(Policy::method(method))
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

    /// Whatever this policy asks for besides.
    pub fn policy(mut self, policy: Policy<M>) -> Self {
        match (self.require.rules.last_mut(), policy.0) {
            // Scopes that are all required are told to the client together.
            (Some(Rule::Scopes(held)), Rule::Scopes(more)) => held.extend(more),
            (_, Rule::All(rules)) => self.require.rules.extend(rules),
            (_, rule) => self.require.rules.push(rule),
        }
        self
    }
}

impl<M: Realm, R> RequireLayer<M, R> {
    /// `predicate` says that the caller may make this request. Said after [`realm`](Self::realm), because it looks at the
    /// identity of one realm; with one of another the answer is 500.
    pub fn predicate(
        self,
        predicate: impl Fn(&Identity<M>, Head<'_>) -> Decision + Send + Sync + 'static,
    ) -> Self {
        self.policy(Policy::predicate(predicate))
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
            Seen::Anonymous => Err(Rejection::unauthenticated_by(look.challenges().cloned().collect())),
            Seen::Unavailable { retry_after } => Err(Rejection::Unavailable { retry_after }),
            Seen::Authenticated(who) => self.judge(who, look, head).map(|()| Pass::new()),
        }
    }
}

const FORGOTTEN: &str = "SessionLayer, BearerLayer or AuthenticateLayer, outside RequireLayer";

impl Require {
    fn judge(&self, who: &Person, look: Look<'_>, head: Head<'_>) -> Result<(), Rejection> {
        let caller = Caller { who, head, clock: &*self.clock };
        match all(self.rules.iter().map(|rule| rule.judge(caller))) {
            Verdict::Allow => Ok(()),
            Verdict::Deny(rule) => Err(self.step_up(caller, rule.unmet(who, look))),
            Verdict::Because(reason) => Err(denied(reason)),
            Verdict::Unavailable => Err(undecided()),
            Verdict::Misplaced { realm } => Err(Rejection::missing(FORGOTTEN, realm)),
        }
    }

    /// Whoever has to sign in once more is told at once all that it takes (RFC 9470, section 3).
    fn step_up(&self, caller: Caller<'_>, mut rejection: Rejection) -> Rejection {
        let Rejection::StepUp { acr_values, max_age, .. } = &mut rejection else { return rejection };
        let mut classes_of_all: Option<Vec<String>> = None;
        for rule in &self.rules {
            match (rule, rule.judge(caller)) {
                (Rule::Fresh(age), Verdict::Deny(_)) => {
                    *max_age = Some(max_age.map_or(*age, |held| held.min(*age)));
                }
                // One class of each list is needed, and a challenge has one list.
                (Rule::AnyAcr(classes), Verdict::Deny(_)) => match &mut classes_of_all {
                    Some(all) => all.retain(|class| classes.contains(class)),
                    None => classes_of_all = Some(classes.clone()),
                },
                _ => {}
            }
        }
        if let Some(all) = classes_of_all {
            *acr_values = all;
        }
        rejection
    }
}

/// A policy of the application's says no. The reason is for the log.
fn denied(reason: &'static str) -> Rejection {
    tracing::debug!(reason, "the policy denies");
    Rejection::forbidden(Lack::Policy)
}

/// A policy of the application's cannot tell.
fn undecided() -> Rejection {
    Rejection::Unavailable { retry_after: Duration::from_secs(1) }
}

impl Rule {
    fn unmet(&self, who: &Person, look: Look<'_>) -> Rejection {
        let bearer = look.token_challenge();
        // Of a caller without a token too: every 401 says what would do (RFC 9110, section 15.5.2).
        let challenge = || bearer.or_else(|| look.challenges().next()).cloned();
        let lack = match self {
            Self::Scopes(scopes) | Self::AnyScope(scopes) => Lack::Scope(scopes.clone()),
            Self::Role(_) => Lack::Role,
            Self::Method(_) => Lack::Method,
            Self::Fresh(max_age) => {
                return Rejection::StepUp {
                    challenge: challenge(),
                    acr_values: Vec::new(),
                    max_age: Some(*max_age),
                };
            }
            Self::AnyAcr(classes) => {
                return Rejection::StepUp {
                    challenge: challenge(),
                    acr_values: classes.clone(),
                    max_age: None,
                };
            }
            Self::Predicate(_) | Self::All(_) | Self::Any(_) | Self::Not(_) => Lack::Policy,
        };
        // A scope is named only to whoever came with a token that was verified (RFC 6750, section 3).
        let challenge = bearer.cloned().filter(|_| who.method() == AuthMethod::Bearer);
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
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
