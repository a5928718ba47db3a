//! [`CsrfLayer`]: what `tower_http::csrf` decides by headers, and more: it knows how the request was authenticated,
//! it binds [tokens](CsrfToken) to the session, it refuses when the headers are missing, it covers WebSocket handshakes and
//! gRPC, and it can observe before it enforces.
//!
//! The first step that applies decides:
//!
//! 1. Its host is not among the [allowed](CsrfLayer::allowed_hosts), if any are named: refused, whatever its method.
//! 2. It is GET, HEAD or OPTIONS, and no WebSocket handshake: passes. So safe methods must not change anything. Every
//!    other method counts as unsafe: QUERY, TRACE and custom ones too.
//! 3. No *ambient* credential came along, one that browsers send by themselves: passes, unless there is none at all and the
//!    layer was told to check [always](CsrfLayer::always). Bearer clients, webhooks and native gRPC need no exemption. The
//!    [`Authentication`](crate::identity::Authentication) in the extensions says so. If it is missing, or cannot tell
//!    because a store is out of reach, every `Cookie` counts as ambient, and so does every `Authorization` other than
//!    Bearer and DPoP. Of several [realms](crate::realm) one credential is enough. A layer further in that finds an
//!    ambient credential by itself refuses the request if this one would have.
//! 4. `Origin`, `Sec-Fetch-Site` or `Host` is there twice, or what must be looked at cannot be parsed: refused.
//! 5. It is a WebSocket handshake (`Upgrade: websocket`, or CONNECT): passes if `Origin` is the service's own or
//!    [trusted](CsrfLayer::add_trusted_origin), else it is refused.
//! 6. A [token](CsrfLayer::tokens) came along that is good for whoever sends it: passes. One that is not changes nothing,
//!    but if what follows refuses the request, the token is named as the reason.
//! 7. `Sec-Fetch-Site` is `same-origin` or `none`: passes, whatever `Origin` says (it is `null` under the
//!    `no-referrer` policy).
//! 8. `Sec-Fetch-Site` says something else: passes if `Origin` is trusted, else it is refused.
//! 9. `Origin` is there: passes if it is the service's own ([public_origin](CsrfLayer::public_origin), or the host
//!    that the request went to) or trusted, else it is refused.
//! 10. Neither is there: refused if an ambient credential came along, unless that is
//!     [allowed](CsrfLayer::allow_missing_metadata).
//!
//! A proxy in front must hand on `Origin` and `Sec-Fetch-Site`, and either `Host` or the [public
//! origin](CsrfLayer::public_origin) must be right. A request does not say whether it came by https, so a page of
//! `http://` on the same host passes step 9; `Strict-Transport-Security` keeps browsers from loading such a page.
//!
//! What is refused is counted as `portcullis_csrf_failures_total`, by `reason` ([`CsrfReason::label`]) and `consequence`
//! (`refused`, `dropped`, `reported`), and logged with a hint at what would mend it.
//!
//! # Tokens
//!
//! The headers are enough for browsers of today. Tokens are for two things besides: a form proves its origin where a proxy or
//! an old browser says nothing of it, and a page does nothing in the name of somebody who has signed in since it was loaded.
//! In axum, a handler that takes `CsrfForm` runs only for forms with a good token; elsewhere [`FormTokenLayer`] reads them.
//! Scripts send a token in the header `X-CSRF-Token`. See [`CsrfToken`] for what it is bound to.
//!
//! The layer decides before there is a body: a form's token counts in step 6 only behind a [`FormTokenLayer`]. So where forms
//! have to do without those headers, a handler that takes `CsrfForm` is reached under [`OnFailure::DropIdentity`].
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::CsrfLayer;
//! use portcullis::rejection::{CsrfReason, Rejection};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
//! let service = CsrfLayer::new().add_trusted_origin("https://app.example.com")?.layer(inner);
//! let from = |origin: &str| {
//!     let request = Request::post("/transfer").header("host", "www.example.com").header("cookie", "id=1");
//!     request.header("origin", origin).body(String::new())
//! };
//! assert_eq!(service.clone().oneshot(from("https://www.example.com")?).await?.status(), 200);
//! assert_eq!(service.clone().oneshot(from("https://app.example.com")?).await?.status(), 200);
//!
//! let refused = service.oneshot(from("https://evil.example")?).await?;
//! assert_eq!(refused.status(), 403);
//! let reason = refused.extensions().get::<Rejection>();
//! assert_eq!(reason, Some(&Rejection::Csrf(CsrfReason::OriginMismatch)));
//! # Ok(()) }
//! ```

mod ambient;
mod authority;
mod binding;
mod check;
mod error;
mod events;
#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "extractors take fields out, too"))]
mod field;
mod form;
mod handle;
mod keys;
mod layer;
mod metadata;
mod nonce;
mod origin;
mod presented;
mod tokens;
#[cfg(feature = "axum")]
mod verified;
mod withhold;

pub use check::Csrf;
pub use error::{ConfigError, ConfigErrorKind};
pub use form::{FormBody, FormToken, FormTokenFuture, FormTokenLayer};
pub use handle::CsrfToken;
pub use keys::CsrfKeys;
pub use layer::CsrfLayer;
#[cfg(feature = "axum")]
pub(crate) use verified::Forms;

use crate::rejection::CsrfReason;

/// Whether requests from other hosts of the same site pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// They need to be trusted one by one.
    #[default]
    Deny,
    /// They pass: every host under the registrable domain is trusted, also one that somebody else has taken over.
    Allow,
}

/// What becomes of a request that does not prove its origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused: 403, gRPC 7.
    #[default]
    Reject,
    /// It goes on as nobody's. In every realm the identity is taken away, `Authentication` says that nobody is signed in,
    /// and the `Session` handle is an empty one that can neither be written nor set a cookie; the session itself, and its
    /// cookie, stay as they are. Handlers that need somebody answer 401.
    ///
    /// It is refused all the same where there is nobody to take away: when its host is not
    /// [allowed](CsrfLayer::allowed_hosts), and when no layer outside has looked who is calling. What a layer further in
    /// finds, an ambient credential or a session, is refused there.
    DropIdentity,
}

/// What [`CsrfLayer`] decided. In the request's extensions when it [reports only](CsrfLayer::report_only), and when a
/// request that failed [goes on](OnFailure::DropIdentity).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CsrfVerdict {
    /// The request passed.
    Passed,
    /// The request would have been refused.
    Refused(CsrfReason),
}
