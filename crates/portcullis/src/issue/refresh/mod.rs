//! Refresh tokens: what a client gets the next access token for, and a login's tokens in one family.
//!
//! * A token is used once. Its use begins the next generation of its family, whose token takes its place.
//! * Tabs that refresh at the same time are given the same next token, for ten seconds: the token before is told of it.
//! * An older one has been copied: the family ends, and its access tokens with it, in the same step.
//! * What was guessed never reaches the store: a token carries a MAC, over the client and the key that it is bound to as well.
//! * A family ends when it is idle for a week, and after thirty days in any case.
//! * While the store or the signer is away nothing is refreshed, and nothing is lost: the token that was presented stays good.
//!
//! The store keeps hashes of two tokens, never one that could be used. The next token is made of the one before it and a key
//! of the application's, so every process makes the same one.
//!
//! The grace is also how long a client may take to repeat a request whose answer was lost; later its user has to sign in
//! again, because a late repetition cannot be told from a theft.
//!
//! ```
//! use portcullis::bearer::{Algorithm, MemoryTokenBackend, Revocations};
//! use portcullis::issue::{Grant, KeyRing, RefreshKeys, RefreshRequest, RefreshTokens, SigningKey, TokenIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = [7; 32];
//! let store = MemoryTokenBackend::new(); // or a `RedisBackend`
//! let revocations = Revocations::new(store.clone());
//! let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?;
//! let issuer = TokenIssuer::builder("https://auth.example", ["api"], &ring).revocations(&revocations).build()?;
//! let refresh = RefreshTokens::builder(&issuer, store, RefreshKeys::new(secret)).build()?;
//!
//! let login = refresh.begin(&Grant::new("ada", "web").scope("read")).await?;
//! let next = refresh.refresh(RefreshRequest::new(login.refresh_token(), "web")).await?;
//! let tab = refresh.refresh(RefreshRequest::new(login.refresh_token(), "web")).await?;
//! assert_eq!(next.refresh_token(), tab.refresh_token());
//!
//! revocations.revoke_family(issuer.name(), "ada", next.sid()).await?; // a logout
//! assert!(refresh.refresh(RefreshRequest::new(next.refresh_token(), "web")).await.is_err());
//! # Ok(()) }
//! ```

mod backend;
mod builder;
mod error;
mod events;
mod keys;
mod pair;
mod request;
mod token;
mod tokens;

pub use builder::RefreshTokensBuilder;
pub use error::{RefreshError, RefreshErrorKind, RefreshRefusal};
pub use events::{RefreshEvent, RefreshEvents};
pub use keys::RefreshKeys;
pub use pair::TokenPair;
pub use request::RefreshRequest;
pub use tokens::RefreshTokens;
