//! Minting tokens: for an application that is its own authority, whose login answers with tokens.
//!
//! * [`TokenIssuer`] mints access tokens (RFC 9068) for ten minutes, by the key of a [`KeyRing`] whose turn it is.
//! * The ring publishes what the tokens are verified with, [as a service](KeyRing::jwks_service), and verifies them in this
//!   process: it is a [`KeySource`](crate::bearer::KeySource). Keys are rotated without a token that is refused.
//! * A shared secret that is shorter than its hash, RSA under 2048 bits and a key of another kind than its algorithm are
//!   refused when they are loaded; private members cannot get into what is published, because [`PublicKey`] has no place
//!   for them.
//! * [`Signer`] is open for keys that live elsewhere, such as in a key management service.
//! * `exp` and `aud` cannot be left out, and every token has a `jti` and, where they can be [taken
//!   back](crate::bearer::Revocations), the version of its user (`tv`).
//!
//! * [`RefreshTokens`] are for the next access token: see [`refresh`]. [`TokenEndpoints`] are where clients refresh, revoke and
//!   look up: see [`endpoint`]. [`JobTickets`] are for work on somebody's behalf: see [`job`].
//! * A login's session, refresh tokens and access tokens have one name, `sid`. Give the session layer the revocations as its
//!   [dependents](crate::dependents::Dependents) and the session's public name as [`Grant::sid`], and what ends the session ends
//!   its tokens.
//!
//! Private keys come from where the application keeps secrets; a key in the source is a key of everybody who reads it.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, header::AUTHORIZATION};
//! use portcullis::bearer::{Algorithm, BearerLayer};
//! use portcullis::identity::IdentityExt;
//! use portcullis::issue::{Grant, KeyRing, SigningKey, TokenIssuer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?; // or SigningKey::pem(&text, Algorithm::ES256)?
//! let issuer = TokenIssuer::builder("https://auth.example", ["api"], &ring).build()?;
//!
//! // A login answers with this:
//! let token = issuer.access_token(&Grant::new("ada", "web").scope("read")).await?;
//! assert_eq!(token.expires_in().as_secs(), 600);
//!
//! // The same process, or another one by the published keys, accepts it:
//! let bearer = BearerLayer::new([issuer.trusted()])?.required();
//! let service = bearer.layer(service_fn(|request: Request<String>| async move {
//!     let name = request.identity().map_or("nobody", |me| me.subject()).to_owned();
//!     Ok::<_, std::io::Error>(Response::new(name))
//! }));
//! let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {}", token.as_str()));
//! assert_eq!(service.oneshot(request.body(String::new())?).await?.body(), "ada");
//!
//! // And everybody else reads this, at the address that the metadata name:
//! let keys = ring.jwks_service::<Bytes>();
//! # drop(keys);
//! # Ok(()) }
//! ```

mod access;
mod claims;
mod cookies;
mod document;
pub mod endpoint;
mod error;
mod grant;
mod issuer;
pub mod job;
mod jwk;
mod key;
mod metadata;
mod pem;
mod public;
mod published;
pub mod refresh;
mod ring;
mod schedule;
mod signer;

pub use access::AccessToken;
pub use cookies::TokenCookies;
pub use document::DocumentService;
pub use endpoint::{
    Checking, ClientKind, Clients, EndpointService, ProofError, ProvenKey, StaticClients, TokenEndpoints,
};
pub use error::{BuildError, BuildErrorKind, IssueError, IssueErrorKind};
pub use grant::{Confirmation, Grant};
pub use issuer::{TokenIssuer, TokenIssuerBuilder};
pub use job::{JobRequest, JobTicket, JobTickets, JobTicketsBuilder, TicketError, TicketErrorKind};
pub use key::SigningKey;
pub use metadata::Metadata;
pub use public::PublicKey;
pub use refresh::{
    RefreshError, RefreshErrorKind, RefreshEvent, RefreshEvents, RefreshKeys, RefreshRefusal, RefreshRequest,
    RefreshTokens, RefreshTokensBuilder, TokenPair,
};
pub use ring::{KeyRing, KeyRingBuilder, RingKey};
pub use schedule::KeyState;
pub use signer::{SignError, Signer, Signing, VerificationKey};
