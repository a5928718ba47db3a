//! [`Tokens`]: mints access tokens (RFC 9068) with a key that lives as long as the process.

use std::error::Error;

use portcullis::bearer::{Algorithm, Issuer};
use portcullis::issue::{AccessToken, Grant, IssueError, KeyRing, SigningKey, TokenIssuer};

/// Mints tokens of one issuer for one audience, signed with ES256.
pub(crate) struct Tokens(TokenIssuer);

impl Tokens {
    /// Makes a new key. A service of several processes reads one instead: `SigningKey::pem`.
    pub(crate) fn new(issuer: &str, audience: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?;
        Ok(Self(TokenIssuer::builder(issuer, [audience], &ring).build()?))
    }

    /// What `BearerLayer` has to know to accept these tokens, and no others.
    pub(crate) fn issuer(&self) -> Issuer {
        self.0.trusted()
    }

    /// A token for ten minutes.
    pub(crate) async fn mint(&self, grant: &Grant) -> Result<AccessToken, IssueError> {
        self.0.access_token(grant).await
    }
}
