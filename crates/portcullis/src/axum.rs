//! Extractors for axum: [`Identity`], `Option<Identity>`, [`Authentication`], and the session's handle.
//!
//! * [`Identity`]: the handler runs for somebody who is signed in. Else it does not, and the answer is 401, or 503
//!   while that cannot be told.
//! * `Option<Identity>`: the handler runs for anybody, not while it cannot be told who it is.
//! * [`Authentication`]: the handler runs and looks for itself.
//! * `Session`: the visitor's session, of `SessionLayer`.
//! * `CsrfToken` puts tokens into pages, and `CsrfForm` takes forms that have proved by one where they come from.
//! * Each of them takes a [realm](crate::realm) as its parameter: `Identity<Staff>`, `Session<Staff>`.
//! * Where the layer is missing that an extractor reads from, the answer is 500, and the log names the layer and the
//!   path. It is never 401, and the handler does not run.
//!
//! An extractor knows no responder, so its refusal goes out as [`DefaultResponder`] makes it, unless an
//! authenticating layer stands outside: the outermost one of them renders it with the responder that it was given.
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::{Request, StatusCode};
//! use portcullis::Identity;
//! use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
//! use tower::ServiceExt;
//!
//! struct ApiKeys;
//!
//! impl Authenticator for ApiKeys {
//!     type Visit = ();
//!
//!     fn open<B>(&self, request: &mut Request<B>) -> Opening<()> {
//!         match request.headers().get("x-api-key") {
//!             Some(key) if key == "k-42" => Opening::authenticated(Identity::new("reporting"), ()),
//!             _ => Opening::anonymous(()),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = Router::new()
//!     .route("/me", get(|me: Identity| async move { format!("hello {}", me.subject()) }))
//!     .route("/", get(|me: Option<Identity>| async move { if me.is_some() { "hello" } else { "sign in" } }))
//!     .layer(AuthenticateLayer::new(ApiKeys));
//!
//! let reporting = Request::get("/me").header("x-api-key", "k-42").body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(reporting).await?.status(), StatusCode::OK);
//! let nobody = Request::get("/me").body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(nobody).await?.status(), StatusCode::UNAUTHORIZED);
//! let nobody = Request::get("/").body(Body::empty())?;
//! assert_eq!(app.oneshot(nobody).await?.status(), StatusCode::OK);
//! # Ok(()) }
//! ```

#[cfg(feature = "csrf")]
mod csrf;
#[cfg(feature = "session")]
mod session;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

#[cfg(feature = "csrf")]
pub use self::csrf::{CsrfForm, CsrfFormRejection};
use crate::identity::{Authentication, Identity, IdentityExt, Outcome};
use crate::realm::Realm;
use crate::rejection::Rejection;
use crate::respond::{DefaultResponder, RequestHead, Unrendered, refuse};

/// Why an extractor did not let the handler run.
#[derive(Clone, Debug)]
pub struct Refused(Box<(Rejection, RequestHead)>);

impl Refused {
    fn new(rejection: Rejection, head: &Parts) -> Self {
        Self(Box::new((rejection, RequestHead::of(head))))
    }

    fn missing<M: Realm>(layer: &'static str, head: &Parts) -> Self {
        Self::new(Rejection::missing(layer, M::NAME), head)
    }

    /// The reason.
    #[must_use]
    pub fn rejection(&self) -> &Rejection {
        &self.0.0
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (rejection, head) = *self.0;
        let mut response = refuse(&DefaultResponder, rejection, &head);
        response.extensions_mut().insert(Unrendered(head));
        response
    }
}

impl<S: Sync, M: Realm> FromRequestParts<S> for Authentication<M> {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refused> {
        authentication(head).cloned()
    }
}

impl<S: Sync, M: Realm> FromRequestParts<S> for Identity<M> {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Refused> {
        let authentication = authentication(head)?;
        identity(authentication, head)?
            .ok_or_else(|| Refused::new(Rejection::unauthenticated(authentication), head))
    }
}

impl<S: Sync, M: Realm> OptionalFromRequestParts<S> for Identity<M> {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Option<Self>, Refused> {
        identity(authentication(head)?, head)
    }
}

fn authentication<M: Realm>(head: &Parts) -> Result<&Authentication<M>, Refused> {
    const FORGOTTEN: &str = "SessionLayer, BearerLayer or AuthenticateLayer, outside the handler";
    head.authentication_in().ok_or_else(|| Refused::missing::<M>(FORGOTTEN, head))
}

/// `outcome` notes that the handler has looked, which makes the response vary.
fn identity<M>(authentication: &Authentication<M>, head: &Parts) -> Result<Option<Identity<M>>, Refused> {
    match authentication.outcome() {
        Outcome::Authenticated(identity) => Ok(Some(identity.clone())),
        Outcome::Anonymous => Ok(None),
        Outcome::Unavailable { retry_after } => {
            Err(Refused::new(Rejection::Unavailable { retry_after: *retry_after }, head))
        }
    }
}

#[cfg(test)]
#[cfg(feature = "session")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::identity::SessionMark;
    use crate::realm::{Claim, Hold};
    use crate::rejection::Challenge;

    struct Read(AtomicBool, Challenge);

    impl SessionMark for Read {
        fn challenge(&self) -> &Challenge {
            &self.1
        }

        fn claim(&self) -> Claim {
            Claim::default()
        }

        fn hold(&self) -> Option<&'static Hold> {
            None
        }

        fn on_read(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn an_extractor_makes_the_response_vary_by_who_asks() {
        for outcome in [Outcome::Anonymous, Outcome::Authenticated(Identity::new("ada").build())] {
            let unread = || Arc::new(Read(AtomicBool::new(false), Challenge::new("Cookie")));
            let (read_by_one, read_by_other) = (unread(), unread());
            let head = |read: &Arc<Read>| {
                let mut request = http::Request::new(());
                let found = Authentication::of_session(outcome.clone(), Arc::<Read>::clone(read));
                request.extensions_mut().insert(found);
                request.into_parts().0
            };
            let _ =
                <Identity as FromRequestParts<()>>::from_request_parts(&mut head(&read_by_one), &()).await;
            let _ = <Identity as OptionalFromRequestParts<()>>::from_request_parts(
                &mut head(&read_by_other),
                &(),
            )
            .await;
            assert!(read_by_one.0.load(Ordering::SeqCst) && read_by_other.0.load(Ordering::SeqCst));
        }
    }
}
