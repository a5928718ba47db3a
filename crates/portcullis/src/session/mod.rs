//! [`SessionLayer`] finds who is calling by a session that is kept in a store, and gives handlers a [`Session`].
//!
//! * The cookie holds a locator and a secret. The store holds a hash of the secret: a dump cannot be replayed.
//! * A request without the cookie never touches the store; one with it costs one round trip, and a second one only if
//!   it writes.
//! * Nothing is lost under concurrency: saving is compare-and-set, with the request's operations re-applied.
//! * Nothing comes back after logout: a session that has ended is never written again.
//! * An outage is 503, never "not signed in", and never a bypass.
//! * Signing in always makes a new session with a new id, and destroys the one before.
//!
//! The cookie is `__Host-id` with `Secure`, `HttpOnly`, `SameSite=Lax`. Behind a proxy that speaks plain http to the
//! service nothing changes; without https at all, see [`SessionLayerBuilder::insecure_dev`]. Clients that are no browsers
//! can carry the token in a header field, see [`SessionCarrier`].
//!
//! Round trips to the store, beside the one that loads the request's session:
//!
//! | what | how many |
//! | --- | --- |
//! | no cookie, or, with [keys](SessionLayerBuilder::keys), a forged one | 0, and no load |
//! | reading values; writing what is there already | 0 |
//! | a touch, every five minutes at most | 0 on the way, 2 behind the response |
//! | all that a request writes; [`commit`](Session::commit), [`take`](Session::take) | 1 each |
//! | [`rotate`](Session::rotate), [`reauthenticated`](Session::reauthenticated) | 2 |
//! | login; in the place of a visitor's session; of a user's | 1; 2; 3 |
//! | login at the limit, which ends another | 4 |
//! | logout of a visitor; of a user | 1; 2 |
//! | devices: list; revoke one, the others, or all | 2; 3 |
//!
//! ```
//! use http::header::{COOKIE, SET_COOKIE};
//! use http::{Request, Response};
//! use portcullis::session::{MemoryBackend, Session, SessionError, SessionKey, SessionLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! const VISITS: SessionKey<i64> = SessionKey::new("visits");
//!
//! async fn visit(request: Request<String>) -> Result<Response<String>, SessionError> {
//!     let session: &Session = request.extensions().get().expect("SessionLayer is there");
//!     session.increment(&VISITS, 1)?;
//!     session.commit().await?;
//!     Ok(Response::new(format!("visit {}", session.get(&VISITS)?.unwrap_or_default())))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = SessionLayer::new(MemoryBackend::new()).layer(service_fn(visit));
//! let first = service.clone().oneshot(Request::get("/").body(String::new())?).await?;
//! assert_eq!(first.body(), "visit 1");
//!
//! let cookie = first.headers()[SET_COOKIE].to_str()?.split(';').next().unwrap_or_default();
//! let again = Request::get("/").header(COOKIE, cookie).body(String::new())?;
//! assert_eq!(service.oneshot(again).await?.body(), "visit 2");
//! # Ok(()) }
//! ```

mod authenticator;
mod backend;
mod codec;
mod core;
mod devices;
mod error;
mod events;
mod expiry;
mod handle;
mod layer;
mod login;
mod memory;
mod payload;
mod renewal;
mod sessions;
mod shared;
mod state;
mod stored;
mod tag;
mod transport;
mod watch;

pub use self::authenticator::SessionAuthenticator;
pub use self::backend::{EncryptionKeys, SessionCache};
pub use self::codec::{Codec, CodecError, CodecSlot, CodecValue};
pub use self::core::OnUnavailable;
pub use self::devices::{Device, Devices};
pub use self::error::{SessionError, SessionErrorKind};
pub use self::events::{
    DestroyedReason, EventUser, Events, LimitOutcome, RejectedReason, SessionEvent, SessionEventKind,
    StoreOperation,
};
pub use self::expiry::Lifetime;
pub use self::handle::{DetachedSession, ReturnTo, Session, SessionKey};
pub use self::layer::{
    Confirmed, SessionConfigError, SessionLayer, SessionLayerBuilder, SessionPolicy, Strong,
    StrongSessionLayer,
};
pub use self::login::{Limit, LimitPolicy, Login, NetworkPrefix};
pub use self::memory::MemoryBackend;
pub use self::sessions::{DurablyRevoked, Sessions, User};
pub use self::transport::{KeyRing, SameSite, SessionCarrier};
pub use self::watch::{SessionBody, SessionEnd, SessionStream, SessionWatch};
#[doc(no_inline)]
pub use portcullis_store::CredentialVersion;
