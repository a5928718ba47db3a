//! [`RefreshRequest`]: a refresh token, who presents it, and what for.

use std::fmt;

use crate::issue::Confirmation;

/// A refresh token that somebody presents.
#[derive(Clone, Copy)]
#[must_use]
pub struct RefreshRequest<'a> {
    pub(super) token: &'a str,
    pub(super) client: &'a str,
    pub(super) scope: Option<&'a str>,
    pub(super) key: Option<&'a Confirmation>,
    /// To what the next access token is bound, if the refresh token is bound to nothing.
    pub(super) access_key: Option<&'a Confirmation>,
    /// To what the next refresh token is bound.
    pub(super) next_key: Option<&'a Confirmation>,
}

impl<'a> RefreshRequest<'a> {
    /// This token is presented by this client, which is known to be it, or is a public one.
    pub const fn new(token: &'a str, client_id: &'a str) -> Self {
        Self { token, client: client_id, scope: None, key: None, access_key: None, next_key: None }
    }

    /// Less is asked for than was granted (`scope`, names separated by spaces).
    pub const fn scope(mut self, scope: &'a str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The key that the client has proved to have, by DPoP or by its certificate. A family that was begun for a key is
    /// refreshed with it only.
    pub const fn confirmation(mut self, key: &'a Confirmation) -> Self {
        self.key = Some(key);
        self.next_key = Some(key);
        self
    }

    /// A token that is bound to nothing is exchanged for one that is bound to this key, with an access token that is.
    pub(in crate::issue) const fn bind(mut self, key: &'a Confirmation) -> Self {
        self.next_key = Some(key);
        self.bind_access(key)
    }

    /// The same of the access token alone.
    pub(in crate::issue) const fn bind_access(mut self, key: &'a Confirmation) -> Self {
        self.access_key = Some(key);
        self
    }
}

impl fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest")
            .field("client", &self.client)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
