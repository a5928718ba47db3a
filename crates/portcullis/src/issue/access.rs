//! [`AccessToken`]: a token that was minted, and what its bearer is told of it.

use std::fmt;
use std::time::Duration;

use portcullis_store::Timestamp;

use crate::secret::Redacted;

/// An access token that was minted. It is a credential: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    pub(super) text: Redacted<String>,
    pub(super) id: String,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) scopes: Vec<String>,
    pub(super) is_dpop: bool,
}

impl AccessToken {
    /// The token, as it goes into the `Authorization` header behind its [type](Self::token_type).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text.0
    }

    /// Its `jti`, by which it can be [taken back](crate::bearer::Revocations::revoke_token).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it expires (`exp`), in whole seconds.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires
    }

    /// How long it was good for when it was minted: `expires_in` (RFC 6749, section 5.1), in whole seconds.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires.since(self.issued)
    }

    /// How it is presented: `DPoP` if it is bound to a key by that (RFC 9449, section 5), else `Bearer`.
    #[must_use]
    pub const fn token_type(&self) -> &'static str {
        if self.is_dpop { "DPoP" } else { "Bearer" }
    }

    /// What it allows.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("text", &self.text)
            .field("id", &self.id)
            .field("expires", &self.expires)
            .field("scopes", &self.scopes)
            .finish()
    }
}
