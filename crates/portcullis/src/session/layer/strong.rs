//! [`StrongSessionLayer`]: asks the store on routes for which a cached session is too old.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, Request};
use tower_layer::Layer;

use crate::Identity;
use crate::authenticate::{Authenticate, AuthenticateLayer, Authenticator, Opening};
use crate::identity::{Authentication, Outcome, Seen};
use crate::realm::{DefaultRealm, Realm, Slot};
use crate::rejection::Rejection;
use crate::respond::DefaultResponder;
use crate::session::authenticator::Seat;
use crate::session::core::RETRY_AFTER;
use crate::session::error::SessionErrorKind;
use crate::session::shared::Shared;
use crate::session::state::State;

/// Asks the store when the request's session came from the [cache](crate::session::SessionCache). For routes on which a
/// session that was revoked half a second ago, or a role that was taken away then, must not count any more.
///
/// * It stands inside of a [`SessionLayer`](crate::session::SessionLayer), outside of a
///   [`RequireLayer`](crate::RequireLayer), as a layer of the route. It has a handle to go by, so that layer is not
///   [`read_only`](crate::session::SessionLayerBuilder::read_only); without one it is 500.
/// * A session that has ended, or whose token was replaced, is nobody's. A store that is away is 503.
/// * It costs one round trip, and nothing when the session does not come from a cache.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::get};
/// use portcullis::RequireLayer;
/// use portcullis::session::{MemoryBackend, SessionCache, SessionLayer, StrongSessionLayer};
/// use tower::ServiceBuilder;
///
/// let cache = SessionCache::new(Duration::from_secs(1));
/// let strong = ServiceBuilder::new()
///     .layer(StrongSessionLayer::new())
///     .layer(RequireLayer::authenticated().role("admin"));
/// let app: Router = Router::new()
///     .route("/admin", get(|| async {}).layer(strong))
///     .route("/feed", get(|| async {}))
///     .layer(SessionLayer::builder(MemoryBackend::new()).cache(cache).build()?);
/// # Ok::<(), portcullis::session::SessionConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it is put in front of a service"]
pub struct StrongSessionLayer<R = DefaultResponder> {
    strong: Strong,
    responder: R,
}

/// What a [`StrongSessionLayer`] asks, in one realm.
#[derive(Clone, Copy)]
pub struct Strong {
    slot: &'static Slot,
    seat: Seat,
}

/// What the store says of the session.
#[derive(Debug)]
pub struct Confirmed(Verdict);

#[derive(Debug)]
enum Verdict {
    /// What the outer layers have found stands.
    Stands,
    /// Who it was, as the store says now.
    Is(Identity),
    /// It was somebody, and is nobody any more.
    IsNobody,
}

impl StrongSessionLayer {
    /// In the default realm.
    pub const fn new() -> Self {
        Self { strong: Strong::of::<DefaultRealm>(), responder: DefaultResponder }
    }
}

impl<R> StrongSessionLayer<R> {
    /// For sessions of this [realm](crate::realm). Default: [`DefaultRealm`].
    pub fn realm<M: Realm>(self) -> Self {
        Self { strong: Strong::of::<M>(), ..self }
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> StrongSessionLayer<T> {
        StrongSessionLayer { strong: self.strong, responder }
    }
}

impl Default for StrongSessionLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, R: Clone> Layer<S> for StrongSessionLayer<R> {
    type Service = Authenticate<S, Strong, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = AuthenticateLayer::with_responder(self.strong, self.responder.clone());
        layer.in_slot(self.strong.slot).layer(inner)
    }
}

impl Strong {
    const fn of<M: Realm>() -> Self {
        Self { slot: Slot::of::<M>(), seat: Seat::of::<M>() }
    }

    /// Whether whoever was found was recognised by this session. Somebody who was recognised by another credential is
    /// not the session's to confirm.
    fn is_its_own(&self, session: &Shared, extensions: &Extensions) -> bool {
        let Some(Seen::Authenticated(found)) = self.slot.look(extensions).map(|look| look.seen) else {
            return false;
        };
        let held = session.peek(|state| state.stored().map(|stored| stored.locator));
        held.is_some() && found.session() == held
    }
}

impl Authenticator for Strong {
    type Visit = Confirmed;

    fn open<B>(&self, request: &mut Request<B>) -> Opening<Confirmed> {
        let Some(session) = self.seat.look(request.extensions()).map(Arc::clone) else {
            return Opening::refused(Rejection::missing("SessionLayer", self.slot.name));
        };
        if !session.peek(State::may_be_old) {
            return Opening::anonymous(Confirmed(Verdict::Stands));
        }
        let is_its_own = self.is_its_own(&session, request.extensions());
        Opening::pending(async move {
            let identity = match session.confirm().await {
                Ok(()) => session.lock().identity(),
                Err(error) if error.kind() == SessionErrorKind::Ended => None,
                Err(_) => return Err(Rejection::Unavailable { retry_after: RETRY_AFTER }),
            };
            let verdict =
                if is_its_own { identity.map_or(Verdict::IsNobody, Verdict::Is) } else { Verdict::Stands };
            Ok((Authentication::anonymous(), Confirmed(verdict)))
        })
    }

    fn enter<B>(&self, visit: &Confirmed, request: &mut Request<B>) {
        let outcome = match &visit.0 {
            Verdict::Stands => return,
            Verdict::Is(identity) => Outcome::Authenticated(identity.clone()),
            Verdict::IsNobody => Outcome::Anonymous,
        };
        let extensions = request.extensions_mut();
        if let Some(outer) = self.slot.take(extensions) {
            self.slot.put(extensions, Authentication::anonymous().on_top_of(outer, outcome));
        }
    }
}

impl<R> fmt::Debug for StrongSessionLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrongSessionLayer").field("strong", &self.strong).finish_non_exhaustive()
    }
}

impl fmt::Debug for Strong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strong").field("realm", &self.slot.name).finish_non_exhaustive()
    }
}
