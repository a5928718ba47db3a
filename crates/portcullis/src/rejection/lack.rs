//! [`Lack`]: what somebody lacks who is signed in, and what that is called in a challenge.

use http::HeaderValue;

use super::Challenge;

/// What is lacking for a request to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// All of these scopes, or one of them.
    Scope(Vec<String>),
    /// A role.
    Role,
    /// The right kind of credential.
    Method,
    /// Whatever a predicate or policy of the application asks for.
    Policy,
}

impl Lack {
    pub(super) fn header(&self, challenge: &Challenge) -> HeaderValue {
        let scope = match self {
            Self::Scope(scopes) => Some(scopes.join(" ")),
            Self::Role | Self::Method | Self::Policy => None,
        };
        challenge.with_error("insufficient_scope", self.message(), scope)
    }

    pub(super) fn message(&self) -> &'static str {
        match self {
            Self::Scope(_) => "a scope is missing",
            Self::Role => "a role is missing",
            Self::Method => "this kind of credential is not accepted here",
            Self::Policy => "not allowed",
        }
    }
}
