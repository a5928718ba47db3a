//! Remote key sets for [`BearerLayer`](portcullis::BearerLayer): the keys that an issuer publishes (RFC 7517), fetched
//! over HTTPS, renewed before their time is over, and kept through outages.
//!
//! * A service boots while its issuer is away: nothing is fetched when it is configured. Until there are keys, tokens are
//!   answered with 503 and `Retry-After`, or gRPC's `UNAVAILABLE`, and that ends by itself.
//! * A token under a new key has the issuer asked, and is verified by the new set. However many such tokens come at once,
//!   that is one fetch; and however many are made up, it is two at once and one every 30 seconds.
//!   While somebody makes them up, the tokens of a key that signs as soon as it is published can be 401 for as long: an issuer
//!   that publishes keys before they sign, by the time that its answers may be kept, has none refused.
//! * The issuer's last good set is used while the issuer fails, for 24 hours. An answer without a usable key is a failure.
//! * A key that is no longer in the set verifies nothing from the moment at which the new set is there.
//! * A request waits for a fetch at most, two seconds at that; one under a known key never waits.
//!
//! ```
//! use axum::{Router, routing::get};
//! use http::{Request, header::AUTHORIZATION};
//! use portcullis::BearerLayer;
//! use portcullis::bearer::{Audience, Issuer};
//! use portcullis_jwks::RemoteJwks;
//! use portcullis_testkit::idp::FakeIdp;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idp = FakeIdp::start("api").await; // in place of "https://idp.example"
//!
//! // In a service: RemoteJwks::discover("https://idp.example")?, or RemoteJwks::new(url)?.
//! let keys = RemoteJwks::discovery(idp.url()).insecure_http().build()?;
//! let bearer = BearerLayer::new([Issuer::new(idp.url(), Audience::one_of(["api"])).keys(keys)])?.required();
//! bearer.ready().await?; // not needed; a warm-up, and a readiness probe
//! let app = Router::new().route("/", get(|| async { "hello" })).layer(bearer);
//!
//! idp.rotate("-2");
//! let token = idp.token(serde_json::json!({ "sub": "ada" }));
//! let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
//! let response = app.oneshot(request.body(axum::body::Body::empty())?).await?;
//! assert_eq!((response.status().as_u16(), idp.fetches()), (200, 2));
//! # Ok(()) }
//! ```
//!
//! # Opaque tokens
//!
//! [`RemoteIntrospection`] asks an authorization server about tokens that are no JWTs (RFC 7662), by the same transport.
//!
//! # The fetch
//!
//! One GET over `https`, TLS 1.2 or 1.3, by rustls on aws-lc-rs; the process-wide crypto provider is neither set nor
//! used. Redirects are not followed. Connecting takes 2 seconds at most, the whole 5, the body 512 KiB. `ETag` is sent
//! back; `Cache-Control: max-age` counts between a minute and an hour, and is ten minutes where nothing is said. The set
//! is renewed at four fifths of that time or a little before. After a failure the next attempt comes at random within
//! 250 ms, which doubles up to 15 seconds.
//!
//! Nothing that a token says goes into a request: not `kid`, not `iss`, not `jku`, `x5u` or their like.
//!
//! Trusted are the certificate authorities of the machine, found where OpenSSL finds them (`SSL_CERT_FILE` and
//! `SSL_CERT_DIR` included), and those that are [added](RemoteJwksBuilder::add_roots). A service whose only way out is a
//! proxy [names](RemoteJwksBuilder::proxy) it.
//!
//! # The task
//!
//! One for each source, in the tokio runtime in which the source is first used, which needs `enable_all`. It ends when
//! the last handle is dropped, the layers' among them.
//!
//! # A fleet
//!
//! By itself each process asks the issuer, and one that starts while the issuer is away has no keys.
//! [`shared`](RemoteJwksBuilder::shared) names a place that all of them know, such as `RedisBackend` of the crate
//! `portcullis-redis`:
//!
//! ```no_run
//! use portcullis_jwks::RemoteJwks;
//! use portcullis_redis::{RedisBackend, RedisConfig};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = RedisBackend::connect(RedisConfig::standalone("redis://:password@10.0.0.5:6379")?)?;
//! let keys = RemoteJwks::discovery("https://idp.example").shared(redis).build()?;
//! # let _ = keys;
//! # Ok(()) }
//! ```
//!
//! * Whoever is to ask looks there first. What another process was told since this one was, and is not due yet, is taken over.
//! * Who asks the issuer holds a lease of 6 seconds. The others look for what comes of it, ten times a second. Should it die
//!   meanwhile, they ask when the lease is over.
//! * A set is as old there as the question was, by the store's clock, and is used for `max_stale` like any other.
//! * What is there is read as strictly as what an issuer sends, and its length is bounded. What is no key set is not taken
//!   over, and the next answer of the issuer replaces it.
//! * "No such key" is a verdict of a process's own question only.
//! * While the place is out of reach, a fetch begins up to half a second later, and everything else is as without it.
//!
//! # What is counted and logged
//!
//! `source` is host and path of the configured address. By the `metrics` facade:
//!
//! | metric | labels beside `source` |
//! | --- | --- |
//! | `portcullis_jwks_fetches_total` | `result`: `replaced`, `unchanged`, `connect`, `broken`, `timeout`, `redirect`, `status`, `content_type`, `too_large`, `malformed`, `other_issuer`, `bad_address`, `no_usable_key`, `elsewhere` (another process of the fleet has been asking, in vain) |
//! | `portcullis_jwks_misses_total` | `outcome`: `replaced`, `absent`, `throttled`, `unavailable` |
//! | `portcullis_jwks_shared_total` | `result`: `adopted`, `unusable`, or why the place is out of reach: `timeout`, `unavailable`, `full`, `corrupt`, `too_large`, `config` |
//! | `portcullis_jwks_expired_total` | |
//! | `portcullis_jwks_key_age_seconds`, a gauge, set after every attempt | |
//!
//! By `tracing`, with the target `portcullis_jwks`: `a key set was fetched` (info, with `keys`), `a key set cannot be
//! fetched` (warn, with `error`, `age` and `next_ms`), `the key set is too old and not used any more` (error), `the key
//! set is unchanged` (debug), `a key set was taken over from the fleet` (info, with `keys` and `age`), `the fleet's key set
//! is out of reach` (debug, with `error`), `what the fleet shares is no key set, and is not used` (warn). None holds a key, a token or what a token says.

mod builder;
mod desk;
mod endpoint;
mod error;
mod fetch;
mod fleet;
mod form;
mod introspection;
mod origin;
mod proxy;
mod reach;
mod report;
mod schedule;
mod source;
mod tls;

pub use builder::RemoteJwksBuilder;
pub use error::{ConfigError, ConfigErrorKind};
pub use introspection::{RemoteIntrospection, RemoteIntrospectionBuilder};
pub use source::RemoteJwks;
