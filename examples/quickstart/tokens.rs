//! [`Tokens`]: mints access tokens (RFC 9068) with a key that lives as long as the process.

use portcullis::bearer::{Algorithm, Issuer};
use portcullis::issue::{AccessToken, Grant, KeyRing, SigningKey, TokenIssuer};

use super::BoxError;
use super::users::User;

/// Mints tokens of one issuer for one audience, signed with ES256.
pub(crate) struct Tokens(TokenIssuer);

/// The client that they are given to.
const CLIENT: &str = "quickstart-cli";

impl Tokens {
    /// Makes a new key. A service of several processes reads one instead: `SigningKey::pem`.
    pub(crate) fn new(issuer: &str, audience: &str) -> Result<Self, BoxError> {
        let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?;
        Ok(Self(TokenIssuer::builder(issuer, [audience], &ring).build()?))
    }

    /// What `BearerLayer` has to know to accept these tokens, and no others.
    pub(crate) fn issuer(&self) -> Issuer {
        self.0.trusted()
    }

    /// A token for this user.
    pub(crate) async fn mint(&self, user: &User) -> Result<AccessToken, BoxError> {
        let grant = Grant::new(user.name, CLIENT).claim("roles", user.roles)?;
        Ok(self.0.access_token(&grant).await?)
    }
}
