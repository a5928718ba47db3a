//! Endpoints: services that an application mounts, where clients refresh, revoke and look up tokens.
//!
//! | service | address, as a rule | standard |
//! | --- | --- | --- |
//! | [`token_service`](TokenEndpoints::token_service) | `/token` | RFC 6749, section 6: `grant_type=refresh_token` |
//! | [`revocation_service`](TokenEndpoints::revocation_service) | `/revoke` | RFC 7009 |
//! | [`introspection_service`](TokenEndpoints::introspection_service) | `/introspect` | RFC 7662, for confidential clients only |
//!
//! * A request is a POST of a form of 16 KiB at most; a parameter that stands twice is refused.
//! * Clients identify themselves by `Authorization: Basic`, or by `client_id` and `client_secret` in the form, not by both.
//! * What is refused is 400 `invalid_grant`, `invalid_request`, `unsupported_grant_type` or `invalid_scope`, or 401
//!   `invalid_client`; while the store is away it is 503, and nothing has changed. Why a token is no good stays here.
//! * Every answer is `Cache-Control: no-store`.
//!
//! The first tokens are given by the application's own login. Serve all of it over HTTPS only, and limit how often an
//! address may try client secrets.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, header::CONTENT_TYPE};
//! use http_body_util::Full;
//! # use portcullis::bearer::{Algorithm, MemoryTokenBackend, Revocations};
//! # use portcullis::issue::{Grant, KeyRing, RefreshKeys, RefreshTokens, SigningKey, TokenIssuer};
//! use portcullis::issue::{StaticClients, TokenEndpoints};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = MemoryTokenBackend::new();
//! # let revocations = Revocations::new(store.clone());
//! # let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?;
//! # let issuer = TokenIssuer::builder("https://auth.example", ["api"], &ring).revocations(&revocations).build()?;
//! # let refresh = RefreshTokens::builder(&issuer, store, RefreshKeys::new([7; 32])).build()?;
//! let endpoints = TokenEndpoints::new(&refresh, StaticClients::new().public("web"))?;
//! let service = endpoints.token_service::<Full<Bytes>>();
//!
//! let login = refresh.begin(&Grant::new("ada", "web")).await?;
//! let form = format!("grant_type=refresh_token&client_id=web&refresh_token={}", login.refresh_token());
//! let request = Request::post("/token").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
//! let response = service.oneshot(request.body(Full::new(Bytes::from(form)))?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # Bound to a key
//!
//! A stolen token is worth nothing where whoever uses it has to prove a key, with a fresh signature for each request (DPoP, RFC
//! 9449). [`TokenEndpoints::dpop`] has the endpoints take such proofs, [`TokenEndpoints::proven_key`] is for the login, and
//! [`BearerLayer::dpop`](crate::BearerLayer::dpop) for what the tokens are good for. A script of another origin needs CORS
//! to allow the request field `dpop`, and to expose the response field `dpop-nonce`.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::Request;
//! # use portcullis::bearer::{Algorithm, MemoryTokenBackend, Revocations};
//! # use portcullis::issue::{Grant, KeyRing, RefreshKeys, RefreshTokens, SigningKey, StaticClients, TokenIssuer};
//! use portcullis::bearer::{Dpop, MemoryReplayBackend};
//! use portcullis::issue::TokenEndpoints;
//! # use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = MemoryTokenBackend::new();
//! # let revocations = Revocations::new(store.clone());
//! # let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?;
//! # let issuer = TokenIssuer::builder("https://auth.example", ["api"], &ring).revocations(&revocations).build()?;
//! # let refresh = RefreshTokens::builder(&issuer, store, RefreshKeys::new([7; 32])).build()?;
//! # let clients = StaticClients::new().public("web");
//! let dpop = Dpop::new("https://auth.example", MemoryReplayBackend::new()).required(); // or a `RedisBackend`
//! let endpoints = TokenEndpoints::new(&refresh, clients)?.dpop(dpop)?;
//!
//! // A login, once the password is known to be right:
//! # let (head, ()) = Request::post("/login").body(())?.into_parts();
//! let answer = match endpoints.proven_key(&head).await {
//!     Ok(key) => {
//!         let grant = Grant::new("ada", "web");
//!         let grant = key.iter().fold(grant, |grant, key| grant.confirmation(key.confirmation().clone()));
//!         let pair = refresh.begin(&grant).await?; // "token_type": pair.token_type()
//! #       http::Response::new(Bytes::copy_from_slice(pair.token_type().as_bytes()))
//!     }
//!     Err(error) => error.into_response::<Bytes>(),
//! };
//! // This request has brought no proof.
//! assert_eq!(answer.status(), 400);
//! assert!(answer.body().starts_with(br#"{"error":"invalid_dpop_proof""#));
//! # Ok(()) }
//! ```

mod answer;
mod client;
mod form;
mod proven;
mod service;

pub use client::{Checking, ClientKind, Clients, StaticClients};
pub use proven::{ProofError, ProvenKey};
pub use service::{EndpointService, TokenEndpoints};
