//! [`TokenPair`]: what a login and a refresh come to.

use std::fmt;
use std::time::Duration;

use crate::issue::AccessToken;
use crate::secret::Redacted;

/// An access token and the refresh token for the next one.
#[derive(Clone)]
pub struct TokenPair {
    pub(super) access: AccessToken,
    pub(super) refresh: Redacted<String>,
    pub(super) left: Duration,
    pub(super) sid: String,
}

impl TokenPair {
    /// The access token.
    #[must_use]
    pub const fn access(&self) -> &AccessToken {
        &self.access
    }

    /// The refresh token. It is a credential: it belongs in a cookie that scripts cannot read, or in secure storage.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        &self.refresh.0
    }

    /// How long the refresh token is good for, if it is not used.
    #[must_use]
    pub const fn refresh_expires_in(&self) -> Duration {
        self.left
    }

    /// How the access token is presented: `DPoP` if it is bound to a key by that, else `Bearer` (`token_type`).
    #[must_use]
    pub const fn token_type(&self) -> &'static str {
        self.access.token_type()
    }

    /// The login that they come of, by which they are revoked together.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair")
            .field("access", &self.access)
            .field("refresh", &self.refresh)
            .field("sid", &self.sid)
            .finish_non_exhaustive()
    }
}
