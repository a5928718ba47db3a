//! [`AuthorizeLayer`]: lets a request pass only if something says so that has to be waited for.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use portcullis_store::StoreError;
use tower_layer::Layer;

use super::{Decision, FORGOTTEN, denied, undecided};
use crate::authenticate::{Authenticate, AuthenticateLayer, Authenticator, Opening};
use crate::budget::WithinBudget;
use crate::guard::Head;
use crate::identity::{Authentication, Identity, Seen};
use crate::realm::{DefaultRealm, Realm, Slot};
use crate::rejection::Rejection;
use crate::respond::DefaultResponder;

/// Lets a request pass only if a policy says so that has to wait for its answer: a database, a policy engine.
///
/// * The policy is asked about whoever is signed in, with the request's head, before any body is read. Nobody: 401.
/// * It has a budget. Past it, and whenever it says [`Unavailable`](Decision::Unavailable), the answer is 503, never a
///   denial and never a success.
/// * What need not wait belongs in [`RequireLayer`](super::RequireLayer), which costs no box.
///
/// ```
/// use http::{Request, Response};
/// use portcullis::Identity;
/// use portcullis::guard::Head;
/// use portcullis::identity::Authentication;
/// use portcullis::require::{AuthorizeLayer, Decision};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// async fn owns(user: String, document: String) -> bool { user == "ada" && document == "/documents/7" }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let owners = AuthorizeLayer::new(|who: &Identity, head: Head<'_>| {
///     let (user, document) = (who.subject().to_owned(), head.uri.path().to_owned());
///     async move { if owns(user, document).await { Decision::Allow } else { Decision::Deny("not theirs") } }
/// });
/// let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
/// let service = owners.layer(inner);
/// for (path, status) in [("/documents/7", 200), ("/documents/8", 403)] {
///     let mut request = Request::get(path).body(String::new())?;
///     request.extensions_mut().insert(Authentication::authenticated(Identity::new("ada")));
///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(()) }
/// ```
#[must_use]
pub struct AuthorizeLayer<M = DefaultRealm, R = DefaultResponder> {
    authorizer: Authorizer,
    responder: R,
    realm: PhantomData<fn() -> M>,
}

/// What an [`AuthorizeLayer`] asks about a request.
#[derive(Clone)]
pub struct Authorizer {
    policy: Arc<dyn Fn(Head<'_>) -> Option<Deciding> + Send + Sync>,
    budget: Duration,
    slot: &'static Slot,
}

type Deciding = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// What a request may wait for a policy.
const BUDGET: Duration = Duration::from_millis(450);

impl<M: Realm> AuthorizeLayer<M> {
    /// Asks `policy`, which takes from caller and head what its future needs. The [realm](crate::realm) is that of the
    /// identity which it takes.
    pub fn new<F>(policy: impl Fn(&Identity<M>, Head<'_>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Decision> + Send + 'static,
    {
        let policy = move |head: Head<'_>| -> Option<Deciding> {
            let who = head.extensions.get::<Authentication<M>>().and_then(Authentication::peek)?;
            Some(Box::pin(policy(who, head)))
        };
        let authorizer = Authorizer { policy: Arc::new(policy), budget: BUDGET, slot: Slot::of::<M>() };
        Self { authorizer, responder: DefaultResponder, realm: PhantomData }
    }
}

impl<M, R> AuthorizeLayer<M, R> {
    /// How long a request may wait for the policy. Default: 450 ms.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.authorizer.budget = budget;
        self
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> AuthorizeLayer<M, T> {
        AuthorizeLayer { authorizer: self.authorizer, responder, realm: PhantomData }
    }
}

impl<S, M, R: Clone> Layer<S> for AuthorizeLayer<M, R> {
    type Service = Authenticate<S, Authorizer, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = AuthenticateLayer::with_responder(self.authorizer.clone(), self.responder.clone());
        layer.in_slot(self.authorizer.slot).layer(inner)
    }
}

/// It finds nobody, so whoever was found before stays.
impl Authenticator for Authorizer {
    type Visit = ();

    fn open<B>(&self, request: &mut Request<B>) -> Opening<()> {
        self.judge(Head::from(&*request)).unwrap_or_else(Opening::refused)
    }
}

impl Authorizer {
    fn judge(&self, head: Head<'_>) -> Result<Opening<()>, Rejection> {
        let missing = Rejection::missing(FORGOTTEN, self.slot.name);
        let look = self.slot.look(head.extensions).ok_or(missing.clone())?;
        look.mark_read();
        match look.seen {
            Seen::Anonymous => Err(Rejection::unauthenticated_by(look.challenges().cloned().collect())),
            Seen::Unavailable { retry_after } => Err(Rejection::Unavailable { retry_after }),
            Seen::Authenticated(_) => {
                let deciding = (self.policy)(head).ok_or(missing)?;
                let deciding = async { Ok::<_, StoreError>(deciding.await) };
                let decided = WithinBudget::new(deciding, Some(self.budget));
                Ok(Opening::pending(async {
                    match decided.await.unwrap_or(Decision::Unavailable) {
                        Decision::Allow => Ok((Authentication::anonymous(), ())),
                        Decision::Deny(reason) => Err(denied(reason)),
                        Decision::Unavailable => Err(undecided()),
                    }
                }))
            }
        }
    }
}

impl<M, R: Clone> Clone for AuthorizeLayer<M, R> {
    fn clone(&self) -> Self {
        Self { authorizer: self.authorizer.clone(), responder: self.responder.clone(), realm: PhantomData }
    }
}

impl<M, R> fmt::Debug for AuthorizeLayer<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthorizeLayer").field(&self.authorizer).finish()
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("realm", &self.slot.name)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
