//! [`BearerLayer`]: finds out who is calling by a bearer token (RFC 6750) that is a signed JWT (RFC 7519), or an opaque one.
//!
//! * No `Authorization`, or one of another scheme: the request passes as anonymous, and
//!   [`RequireLayer`](crate::RequireLayer) decides; with [`required`](BearerLayer::required) it is 401 here.
//! * A token that is present and bad is 401 here, whatever session came along; it never counts as absent.
//! * Two `Authorization` headers, or one that says `Bearer` and is malformed: 400. So are tokens in two places, where a
//!   layer looks in [more than one](TokenSource).
//! * Issuer and audience must match to the letter, the algorithm must be allowed for the issuer, and a key is used with
//!   one algorithm only. `crit` and its like are refused; a token never brings its own key.
//! * Well-known providers have [presets](Issuer::auth0), and one issuer can have many [tenants](Tenants).
//! * `exp` is required. A leeway of 5 seconds evens out clocks. Points in time are whole seconds, as all but a few issuers
//!   write them: `1735689600`, and neither `1735689600.5` nor `1.7e9`.
//! * An ID token or a refresh token is no access token. But some ID tokens say nothing of what they are: their audience, a
//!   client, is then all that tells. So never name a client's id as the [audience](Audience::one_of), unless access tokens
//!   are known by their [type](Profile::AccessToken).
//! * A token that is bound to a key or a certificate of its holder (`cnf`) is refused, unless the layer has that proved: by
//!   [DPoP](Dpop), or by the [certificate](ClientCertificates) of the TLS connection.
//! * A token that the keys at hand do not verify asks their [source](KeySource) once; it is the only thing that is waited
//!   for. When no verdict can be reached, because the keys are out of reach, that is 503 and not 401.
//! * Tokens can be [taken back](Revocations) before they expire, where a layer [checks](BearerLayer::revocation) for that:
//!   one round trip for each request, also for tokens that are known from before, or none where the store
//!   [tells](RevocationPush) what is revoked. While the store is away that is 503, unless [said otherwise](OnOutage).
//! * What was verified can be [remembered](BearerLayer::cache) for a minute, so that it costs a tenth.
//! * Opaque tokens are accepted by [asking](Introspection) the server that has issued them.
//! * Challenges say what was wrong by RFC 6750 and RFC 9470, and where a client [finds out](ResourceMetadata) whom to ask
//!   for a token (RFC 9728).
//! * What outlives its request [ends with the token](Expiry).
//! * Handlers see whom a token names and what it says, and the token itself only where it is to be [handed on](ForwardedToken).
//! * Why a token was refused goes to `tracing` in full, at debug; the client is told in a few words.
//!
//! Signatures are verified by aws-lc-rs, which has parts in C; with feature `rust-crypto` in place of `bearer` in pure Rust,
//! with the same answers at a multiple of the time. `portcullis-jwks` needs aws-lc-rs for its TLS in either case.
//!
//! Whoever holds a bearer token can use it: serve it over HTTPS only, and keep request headers out of logs (the layer
//! marks the header as sensitive for what stands inside it).
//!
//! ```
//! use http::{Request, Response, header::AUTHORIZATION};
//! use portcullis::bearer::{Audience, BearerLayer, Issuer, StaticKeys};
//! use portcullis::identity::IdentityExt;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-01", "alg": "ES256",
//! #     "x": "A0lw4kyfOjw0LuBAd2dqEBAgLvg4JRYKeBZlcpIE-hA",
//! #     "y": "jktd7sOpZy8S2RYHUZxVLBeruazA-0MiMfaj5GhRUwc"}]}"#;
//! # const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjIwMjYtMDEifQ.\
//! #     eyJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDAsImlzcyI6Imh0dHBzOi8vaWRwLmV4YW1wbGUiLCJzdWIiOiJhZGEifQ.\
//! #     n94O6RYHHz013YINcWNBQVRACIJ5LAiC4xarum7WP6tWIIAy9u-oQ51l1kjSyc_IAbjhNS8Q05nUoZUyrapdUg";
//! let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(StaticKeys::jwks(JWKS)?);
//! let bearer = BearerLayer::new([issuer])?.required();
//!
//! let inner = service_fn(|request: Request<String>| async move {
//!     let name = request.identity().map_or("nobody", |me| me.subject()).to_owned();
//!     Ok::<_, std::io::Error>(Response::new(name))
//! });
//! let service = bearer.layer(inner);
//!
//! let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {TOKEN}")).body(String::new())?;
//! assert_eq!(service.clone().oneshot(request).await?.body(), "ada");
//!
//! let response = service.oneshot(Request::get("/").body(String::new())?).await?;
//! assert_eq!(response.status(), 401);
//! assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="api""#);
//! # Ok(()) }
//! ```
//!
//! # What is counted
//!
//! By the `metrics` facade, with labels of few values each, none of them taken from a token:
//!
//! | counter `portcullis_bearer_..._total` | label |
//! | --- | --- |
//! | `cache` | `result`: `hit`, `miss`, `evicted` |
//! | `revocation_checks` | `result`: `good`, `revoked`, `not_revocable`, `failed_open`, `unavailable` |
//! | `revocations`: what was revoked | `what`: `token`, `family`, `user`, `everyone`; `result`: `ok`, or a store's error |
//! | `revocation_push` | `state`: see [`RevocationPush`] |
//! | `proofs` | `result`: `good`, `bad`, `no_nonce`, `replayed`, `unavailable` |
//! | `introspections` | `result`: `known`, `active`, `inactive`, `refused`, `crowded`, `left_alone`, or an error's kind |
//!
//! A request that is refused is counted with [all others](crate::respond) by its reason; one that brings no token, or a good one,
//! raises nothing by itself.

mod algorithm;
mod authenticator;
mod cache;
mod claims;
mod confirmation;
mod crypto;
mod dpop;
mod error;
mod events;
mod expiry;
mod introspection;
mod issuer;
mod json;
mod jws;
mod keys;
mod layer;
mod metadata;
mod possession;
mod refusal;
mod revocation;
mod rules;
mod token;
mod token_source;
mod verifier;

pub use algorithm::Algorithm;
pub use authenticator::BearerAuthenticator;
pub use cache::{CacheUsage, TokenCache};
pub use claims::ClaimPath;
pub use dpop::{Dpop, MemoryReplayBackend, NonceKeys};
#[cfg_attr(
    not(feature = "issue"),
    expect(unused_imports, reason = "only issuers give tokens to who proves a key")
)]
pub(crate) use dpop::{KeyFault, KeyProof, KeyProofs};
pub use error::{BuildError, BuildErrorKind, KeysUnavailable};
pub use expiry::{Expired, ExpiringBody, ExpiringStream, Expiry};
pub use introspection::{
    Introspecting, Introspection, IntrospectionError, IntrospectionErrorKind, OpaqueTokens,
    TokenIntrospection,
};
pub use issuer::Issuer;
#[cfg_attr(
    not(feature = "issue"),
    expect(unused_imports, reason = "only issuers of tokens wait for as long")
)]
pub(crate) use issuer::MAX_LEEWAY;
#[cfg_attr(
    not(feature = "issue"),
    expect(unused_imports, reason = "only issuers look at tokens outside of a layer")
)]
pub(crate) use issuer::OwnVerifier;
#[cfg_attr(not(feature = "issue"), expect(unused_imports, reason = "only who mints publishes keys"))]
pub(crate) use keys::rsa_numbers;
pub use keys::{
    HmacKey, HmacKeys, KeyHealth, KeyQuery, KeySet, KeySource, KeyState, Missed, Missing, StaticKeys,
};
pub use layer::BearerLayer;
pub use metadata::{MetadataService, ResourceMetadata};
pub use possession::{ClientCertificate, ClientCertificates};
pub use refusal::Refusal;
pub use revocation::{
    MemoryTokenBackend, OnOutage, RevocationCheck, RevocationError, RevocationErrorKind, RevocationPush,
    Revocations,
};
pub use rules::{Audience, Profile, Tenants};
pub use token::ForwardedToken;
pub use token_source::TokenSource;
#[doc(hidden)]
pub use verifier::verify_compact;
