//! Tower layers that decide who is calling, and hand the answer to your handler as one [`Identity`].
//!
//! * `SessionLayer` (feature `session`) finds the caller by a session cookie; sessions live in memory or in Redis
//!   (crate `portcullis-redis`).
//! * `BearerLayer` (feature `bearer`, or `rust-crypto` where no C compiler is at hand) verifies bearer JWTs.
//! * `CsrfLayer` (feature `csrf`) refuses what another site made a browser send.
//! * `issue` (feature `issue`) mints tokens, for applications that are their own authority.
//! * [`RequireLayer`] refuses whoever may not.
//! * [`RequireHttpsLayer`] refuses what came over plain http.
//! * [`AuthLayer`] is all of them but guards, in the only right order.
//! * [`authenticate`] and [`guard`] are what they are made of, and open for credentials and checks of your own.
//!
//! The same layers serve axum, hyper and tonic: they leave response bodies and errors of the inner service as they are.
//! Feature `axum` adds extractors. A feature only ever adds a module; it never changes another's behaviour.
//!
//! Stack them from outside to inside: what traces and measures, then session, bearer, CSRF, then guards per route.
//!
//! * `TraceLayer` of tower-http stands outside, because it changes the response's body type; so does `CorsLayer`, because
//!   preflights bring no credentials, and a page of another origin may read why it was refused.
//! * What logs the request's headers sees credentials there as they came: `SetSensitiveRequestHeadersLayer` of tower-http
//!   stands outside of it.
//! * A timeout outside drops a request as a whole: what it has recorded in its session is not saved, and nobody is signed in
//!   by it. One inside answers in the handler's place: what was recorded until then is saved, and the cookie of a login that
//!   was done goes out with that answer. So it is with `CatchPanicLayer` and axum's `HandleErrorLayer`.
//! * What rewrites methods, by `X-HTTP-Method-Override` or a field of a form, stands outside of CSRF and guards, which judge
//!   the method that they see.
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::identity::IdentityExt;
//! use portcullis::session::{MemoryBackend, SessionLayer};
//! use portcullis::{CsrfLayer, RequireLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()                     // top to bottom = outside to inside
//!     .layer(SessionLayer::new(MemoryBackend::new()))
//!     .layer(CsrfLayer::new())
//!     .layer(RequireLayer::authenticated())
//!     .service(service_fn(|request: Request<String>| async move {
//!         let name = request.identity().map_or("nobody", |me| me.subject()).to_owned();
//!         Ok::<_, std::io::Error>(Response::new(name))
//!     }));
//!
//! let response = service.oneshot(Request::get("/").body(String::new())?).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(()) }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod authenticate;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(any(feature = "bearer", feature = "rust-crypto"))]
pub mod bearer;
#[cfg(any(feature = "bearer", feature = "rust-crypto", feature = "session"))]
mod budget;
#[cfg(any(feature = "bearer", feature = "csrf", feature = "rust-crypto", feature = "session"))]
mod cookie_line;
#[cfg(feature = "csrf")]
pub mod csrf;
#[cfg(any(feature = "bearer", feature = "rust-crypto", feature = "session"))]
pub mod dependents;
// The code of the guides, this one, `migration` and `operations`, needs axum and more: the workspace's end-to-end tests test it.
#[cfg(all(doc, not(doctest), feature = "bearer", feature = "csrf", feature = "issue", feature = "session"))]
#[doc = include_str!("deployment.md")]
pub mod deployment {}
#[cfg(any(feature = "bearer", feature = "rust-crypto", feature = "session"))]
pub mod ending;
pub mod guard;
#[cfg(any(feature = "bearer", feature = "rust-crypto", feature = "session"))]
mod header_lines;
pub mod https;
pub mod identity;
#[cfg(feature = "issue")]
pub mod issue;
#[cfg(all(doc, not(doctest), feature = "bearer", feature = "csrf", feature = "session"))]
#[doc = include_str!("migration.md")]
pub mod migration {}
#[cfg(any(feature = "bearer", feature = "csrf", feature = "rust-crypto", feature = "session"))]
mod mac;
#[cfg(any(feature = "bearer", feature = "rust-crypto", feature = "session"))]
mod names;
#[cfg(all(doc, not(doctest), feature = "bearer", feature = "csrf", feature = "issue", feature = "session"))]
#[doc = include_str!("operations.md")]
pub mod operations {}
mod packed;
pub mod realm;
pub mod rejection;
pub mod require;
pub mod respond;
mod secret;
#[cfg(feature = "session")]
pub mod session;
pub mod stack;
mod vary;

#[cfg(any(feature = "bearer", feature = "rust-crypto"))]
pub use bearer::BearerLayer;
#[cfg(feature = "csrf")]
pub use csrf::CsrfLayer;
pub use https::RequireHttpsLayer;
pub use identity::Identity;
pub use realm::Realm;
pub use require::RequireLayer;
#[cfg(feature = "session")]
pub use session::{Session, SessionLayer};
pub use stack::AuthLayer;
